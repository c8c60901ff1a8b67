"""Any JSON Schema in a request, hostile ones too: each is answered, whole and streamed."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.contract.generation.strategies import ANY_JSON

from .cases import case, fuzz, kept
from .conftest import Server
from .test_bodies import KEYED


def nested(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "required": ["a"], "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> Any:
    """Two references at each level: 2**levels parts if they were all followed."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


def chain(length: int) -> Any:
    """Each reference leads to the next one."""
    definitions = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": {"type": "string"}}}


def doubling_below(levels: int) -> Any:
    """Eight parts that say the same of a field, at each level of the value."""
    definitions = {
        f"d{n}": {
            "type": "object",
            "required": ["a"],
            "allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}}] * 8,
        }
        for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


def doubling_by_anchors(levels: int) -> Any:
    definitions = {f"d{n}": {"$anchor": f"d{n}", "allOf": [{"$ref": f"#d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#d0", "$defs": {**definitions, "last": {"$anchor": f"d{levels}", "type": "string"}}}


HOSTILE = {
    "loop": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "needs itself": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
    "tree": {"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}, "m": {"$ref": "#"}},
        "required": list("lrm")},
    "remote": {"$ref": "http://127.0.0.1:9/schema.json"},
    "file": {"$ref": "file:///etc/passwd"},
    "nowhere": {"$ref": "#/$defs/none"},
    "anchor": {"$ref": "#x", "$defs": {"a": {"$anchor": "x", "type": "integer"}}},
    "dynamic": {"$dynamicRef": "#x", "$dynamicAnchor": "x"},
    "own id": {"$id": "http://example.com/x", "$ref": "http://example.com/x"},
    "bad id": {"$id": ":::%%", "type": "object"},
    "other dialect": {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
    "unknown dialect": {"$schema": "http://example.com/mine"},
    "catastrophic": {"type": "string", "pattern": "^(a+)+$", "minLength": 40},
    "huge repeat": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "look-around": {"type": "string", "pattern": "(?=x)(?<!y)\\1"},
    "broken pattern": {"type": "string", "pattern": "("},
    "huge string": {"type": "string", "minLength": 10**12},
    "huge list": {"type": "array", "minItems": 10**12},
    "huge lists": {"type": "array", "minItems": 90, "items": {"type": "array", "minItems": 90,
        "items": {"minItems": 90, "type": "array"}}},
    "huge object": {"type": "object", "minProperties": 10**12},
    "wide": {"type": "object", "properties": {f"p{n}": {"$ref": "#/$defs/q"} for n in range(300)},
             "$defs": {"q": {"type": "object", "properties": {f"q{n}": {"type": "array",
                 "items": {}} for n in range(300)}}}},
    "doubling": doubling(40),
    "doubling in a branch": {"$defs": doubling(40)["$defs"], "oneOf": [{"type": "object"}, {"$ref": "#/$defs/d0"}]},
    "doubling of items": {"$defs": doubling(40)["$defs"], "type": "array", "items": {"$ref": "#/$defs/d0"},
        "minItems": 2},
    "doubling below": doubling_below(9),
    "doubling by anchors": doubling_by_anchors(40),
    "chain": chain(500),
    "long chain": chain(5_000),
    "many branches": {"anyOf": [{"const": n} for n in range(3_000)], "not": {}},
    "deep": nested(60),
    "contradiction": {"type": "string", "enum": [1], "const": None},
    "no types": {"type": []},
    "wrong type": {"type": "text"},
    "type of types": {"type": {"type": "string"}},
    "empty enum": {"enum": []},
    "crossed": {"type": "integer", "minimum": 5, "maximum": 1},
    "no step": {"type": "number", "multipleOf": 0},
    "small step": {"type": "number", "multipleOf": 1e-300},
    "far": {"type": "number", "minimum": 1e308, "exclusiveMaximum": -1e308},
    "half": {"type": "integer", "minimum": 0.5, "maximum": 0.6},
    "negative": {"type": "string", "minLength": -5, "maxLength": -1},
    "huge bound": {"type": "array", "minItems": 1e308},
    "wrong parts": {"type": "object", "properties": [], "required": "a", "allOf": {}, "anyOf": 1, "items": 7},
    "numbers as parts": {"allOf": [1], "oneOf": ["x"], "properties": {"a": 3}},
    "odd names": {"type": "object", "required": ["", "\u0000", "a/b~c", "__proto__"],
        "properties": {"": {"type": "null"}}},
    "unique": {"type": "array", "uniqueItems": True, "minItems": 90, "items": {"type": "boolean"}},
    "unevaluated": {"unevaluatedProperties": False, "type": "object", "properties": {"a": {"default": "x" * 50_000}}},
    "conditional": {"if": True, "then": False, "else": False},
    "prefix": {"type": "array", "prefixItems": [{"$ref": "#"}] * 30},
}  # fmt: skip


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_is_answered(server: Server, schema: Any) -> None:
    check_schema(server, schema)


KEYS = ["type", "properties", "items", "required", "allOf", "anyOf", "oneOf", "not", "$ref", "enum", "const", "pattern",
        "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "multipleOf", "format", "$defs", "additionalProperties", "prefixItems", "default", "examples", "if",
        "$id"]  # fmt: skip
LEAVES = ANY_JSON | st.sampled_from(
    ["string", "object", "array", "integer", "number", "null", "boolean", "#", "#/$defs/a", "#/items", "date", "uuid",
        "a",
     -1, 10**9, 1e300, ["string", "null"], ["a", "b"], "^a+$", True]
)  # fmt: skip
SCHEMAS = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), LEAVES, max_size=4),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYS), inner | st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner), max_size=4
    ),
    max_leaves=8,
)


@fuzz(500)
@given(SCHEMAS)
def test_any_schema_is_answered(server: Server, schema: Any) -> None:
    check_schema(server, schema)


@pytest.mark.parametrize("schema", kept("schemas"))
def test_a_kept_schema_is_answered(server: Server, schema: bytes) -> None:
    check_schema(server, json.loads(schema))


def check_schema(server: Server, schema: Any) -> None:
    """Offer a tool with these parameters, and ask for an answer of this form: a 200, or that no value was found."""
    function = {"name": "f", "parameters": schema}
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    asked = ({"tools": [{"type": "function", "function": function}]}, {"response_format": form})
    connection = server.connect()
    for name, model in (("brivionix", "gpt-5.4"), ("brainstormrouter", "auto")):
        for more, stream in itertools.product(asked, (False, True)):
            body = {"model": model, "messages": [{"role": "user", "content": "f"}], "stream": stream, **more}
            with case("schemas", json.dumps(schema).encode(), server.spent):  # each request is bounded by itself
                connection.request("POST", f"/{name}/v1/chat/completions", json.dumps(body), KEYED)
                response = connection.getresponse()
                data = response.read()
                assert response.headers["x-emulator-error"] is None, data
                cannot = response.status == 404 and b'"emulator_cannot_conform"' in data
                assert response.status == 200 or cannot, data
                assert len(data) < 5_000_000
    connection.close()
