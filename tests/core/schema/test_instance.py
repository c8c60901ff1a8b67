"""Instances: a value that conforms, or a plain word that none was found; never another one, and never for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.core.draws import Draw
from emulator.core.schema.cost import Cost
from emulator.core.schema.instance import CannotConform, instance
from emulator.core.schema.schema import Schema

PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 18, "maximum": 20},
        "ok": {"type": "boolean"},
    },
}

EASY: dict[str, Any] = {
    "true": True,
    "nothing-said": {},
    "person": PERSON,
    "const": {"const": {"a": [1]}},
    "enum": {"enum": [1, "b", None]},
    "empty-enum-of-examples": {"examples": [], "type": "string"},
    "examples": {"type": "string", "pattern": "^x+$", "examples": ["xxx"]},
    "default": {"type": "string", "minLength": 50, "default": "y" * 50},
    "nullable": {"type": ["null", "integer"]},
    "only-null": {"type": ["null"]},
    "null": {"type": "null"},
    "ref": {"$defs": {"a": PERSON}, "type": "object", "properties": {"p": {"$ref": "#/$defs/a"}}, "required": ["p"]},
    "ref-with-escapes": {"$defs": {"a/b~c": {"type": "integer"}}, "$ref": "#/$defs/a~1b~0c"},
    "ref-into-a-list": {"allOf": [{"type": "integer"}], "properties": {"x": {"$ref": "#/allOf/0"}}},
    "ref-to-the-root": {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}},
    "all-of": {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                         {"properties": {"b": {}}, "required": ["b"]}], "required": ["a"], "properties": {}},
    "any-of": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 3}]},
    "one-of": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    "any-of-null": {"anyOf": [{"type": "null"}]},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 5},
    "empty-array": {"type": "array", "maxItems": 0},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    "items-alone": {"items": {"type": "integer"}},
    "long-string": {"type": "string", "minLength": 40, "maxLength": 41},
    "short-string": {"type": "string", "maxLength": 2},
    "date": {"type": "string", "format": "date"},
    "unknown-format": {"type": "string", "format": "zip"},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 14},
    "number-multiple": {"type": "number", "multipleOf": 5},
    "exclusive": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "exclusive-number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "negative": {"type": "integer", "maximum": -5},
    "big": {"type": "number", "minimum": 1e6},
    "pattern-properties": {"type": "object", "patternProperties": {"^a/": {"type": "integer"}}},
    "required-unknown": {"type": "object", "required": ["x", "y"]},
}  # fmt: skip


@pytest.mark.parametrize("document", EASY.values(), ids=EASY)
@pytest.mark.parametrize("seed", range(5))
def test_a_conforming_value_is_found(document: Any, seed: int) -> None:
    value = instance(document, Draw(seed))
    assert list(Draft202012Validator(document).iter_errors(value)) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "strng"}, "the schema asked for is no JSON Schema: "),
        ({"$ref": "https://example.com/x"}, "the schema asked for refers to 'https://example.com/x'; only "),
        (False, "no simple value conforms to the schema asked for"),
        ({"type": "string", "pattern": "^[0-9]{9}$"}, "no simple value conforms to the schema asked for"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no simple value conforms to the schema asked for"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}},
         "no simple value conforms to the schema asked for"),
        ({"not": {}}, "no simple value conforms to the schema asked for"),
        ({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"const": 1}},
         "no simple value conforms to the schema asked for"),
    ],
    ids=["no-schema", "outside", "false", "pattern", "contradiction", "impossible-field", "not", "unique"],
)  # fmt: skip
def test_what_cannot_be_met_is_said(document: Any, message: str) -> None:
    with pytest.raises(CannotConform) as caught:
        instance(document, Draw(0))
    assert str(caught.value).startswith(message)


def fields(schemas: list[Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{number}": schema for number, schema in enumerate(schemas)}}


WORD = {"type": "string", "pattern": "^[a-z]+$"}
BY_NAME = {"type": "object", "patternProperties": {"^x": {}}}
MANY = "the schema asked for has more than 50 patterns"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (fields([WORD] * 50), None),
        (fields([WORD] * 51), MANY),
        (fields([WORD] * 50 + [BY_NAME]), MANY),
        ({"$defs": {"unused": {"items": [WORD] * 51}}}, MANY),
        ({"type": "string", "pattern": "a|" * 499 + ".."}, None),
        (
            {"type": "string", "pattern": "a|" * 500 + "b"},
            "the schema asked for has a pattern of 1001 characters; up to 1000",
        ),
        ({"type": "object", "patternProperties": {"a" * 1001: {}}}, "the schema asked for has a pattern of 1001 "),
        ({"type": "string", "pattern": r"\p{L}{1,100}"}, "the schema asked for is no JSON Schema: "),
        ({"type": "string", "pattern": "(a{1,1000}){1,1000}"}, "the schema asked for is no JSON Schema: "),
        (fields([{"type": "string"}] * 4_000), None),
        (fields([{"type": "string"}] * 19_999), "the schema asked for has more than 20000 parts"),
        (fields([{"enum": [{"pattern": 5, "patternProperties": []}]}]), None),
    ],
    ids=[
        "most",
        "one-more",
        "by-name",
        "unused",
        "longest",
        "long",
        "long-name",
        "unicode",
        "multiplied",
        "parts",
        "one-more-part",
        "data",
    ],
)
def test_patterns_are_bounded_in_number_length_and_size(document: Any, message: str | None) -> None:
    said = None
    try:
        instance(document, Draw(0))
    except CannotConform as error:
        said = str(error)
    assert said is None if message is None else said is not None and said.startswith(message)


def test_a_schema_of_too_many_parts_is_not_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cost, "weigh", lambda *given: pytest.fail("it was weighed"))
    with pytest.raises(CannotConform, match="has more than 20000 parts"):
        instance(fields([{"type": "string"}] * 20_000), Draw(0))


def test_only_patterns_of_requests_are_bounded_in_size() -> None:
    assert Schema({"pattern": r"\p{L}{1,100}"}).verdict("a" * 9)


NODE = {"type": "object", "required": ["l", "r"], "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}}


def pairs(levels: int, keyword: str) -> dict[str, Any]:
    """A schema of a few lines that a validator would visit 2**levels times."""
    twice = [{keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)]
    definitions = {f"d{n}": part for n, part in enumerate([*twice, {"type": "string"}])}
    return {"$defs": definitions, "allOf": [{"$ref": "#/$defs/d0"}]}


HOSTILE: dict[str, Any] = {
    "endless": NODE,
    "to-itself": {"$ref": "#"},
    "to-each-other": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "all-of-itself": {"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]},
    "wide": {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(9)}},
    "huge-array": {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9, "items": {}}},
    "huge-string": {"type": "string", "minLength": 10**12},
    "huge-numbers": {"type": "integer", "minimum": 10**30, "multipleOf": 10**29},
    "pairs-of-pairs": pairs(40, "allOf"),
    "pairs-of-pairs-inside": {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, **pairs(40, "anyOf")},
    "many-names": {
        "$defs": {"a": {"required": [f"a{n}" for n in range(3000)]}},
        "allOf": [{"$ref": "#/$defs/a"}] * 1600,
    },
    "step-0.5": {"type": "number", "multipleOf": 0.5, "minimum": 0.1, "maximum": 0.6},
    "deep": None,
}
deep: dict[str, Any] = {"type": "integer"}
for _ in range(100):
    deep = {"type": "object", "required": ["a"], "properties": {"a": deep}}
HOSTILE["deep"] = deep


def test_a_recursive_schema_gets_a_value() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
    definition = {"type": "object", "properties": {"next": node}, "required": ["next"]}
    assert instance({"$ref": "#/$defs/node", "$defs": {"node": definition}}, Draw(0)) == {"next": None}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_comes_to_an_end(document: Any) -> None:
    try:
        said = str(Schema(document).verdict(instance(document, Draw(0))))
    except CannotConform as error:
        said = str(error).partition(": ")[0]
    assert said in (
        "True",
        "no simple value conforms to the schema asked for",
        "the schema asked for is too large",
        "the schema asked for refers to itself without end",
        "the schema asked for has numbers beyond what JSON carries here",
        "the schema asked for is no JSON Schema",
    )


def test_a_schema_that_multiplies_without_end_is_too_large() -> None:
    with pytest.raises(CannotConform, match="the schema asked for is too large"):
        instance(NODE, Draw(0))


def chain(length: int, links: int) -> dict[str, Any]:
    """Return a schema of `length` definitions, each a union of as many references to the next one."""
    definitions: dict[str, Any] = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * links} for n in range(length)}
    return {"$defs": definitions | {f"d{length}": {"type": "integer"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(("length", "links"), [(14, 2), (40, 1)], ids=["wide", "long"])
def test_references_that_lead_too_far_are_too_large(length: int, links: int) -> None:
    with pytest.raises(CannotConform, match="the schema asked for is too large"):
        instance(chain(length, links), Draw(0))
    assert isinstance(instance(chain(5, links), Draw(0)), int)


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "pattern": "^[0-9]+$", "default": "42"}, "42"),
        ({"type": "string", "pattern": "^[0-9]+$", "examples": ["7"]}, "7"),
        ({"type": "string", "pattern": "^[0-9]+$", "enum": ["8"]}, "8"),
        ({"anyOf": [{"type": "null"}, {"const": 9}]}, 9),
    ],
    ids=["format", "default", "examples", "enum", "not-null"],
)
def test_what_a_schema_offers_is_taken(document: Any, value: Any) -> None:
    assert instance(document, Draw(0)) == value


@pytest.mark.parametrize("document", [{"$ref": "#"}, {"allOf": [{"$ref": "#/allOf/0"}]}], ids=["root", "part"])
def test_a_schema_that_meets_itself_is_said_to(document: Any) -> None:
    with pytest.raises(CannotConform) as caught:
        instance(document, Draw(0))
    assert str(caught.value) == "the schema asked for refers to itself without end"


def test_an_id_inside_is_not_followed() -> None:
    with pytest.raises(CannotConform) as caught:
        instance({"properties": {"a": {"$id": "x"}}}, Draw(0))
    assert str(caught.value) == "the schema asked for has an $id inside; only '#/…' of the whole is followed"


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(
        ["string", "integer", "number", "boolean", "null", "array", "object"])}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-5, 5)}, optional={
        "maximum": st.integers(-5, 9), "exclusiveMaximum": st.integers(-5, 9), "multipleOf": st.integers(1, 4)}),
    st.fixed_dictionaries({"type": st.just("number"), "exclusiveMinimum": st.floats(-5, 5)}, optional={
        "maximum": st.floats(-5, 9)}),
    st.fixed_dictionaries({"type": st.just("string"), "minLength": st.integers(0, 12)}, optional={
        "maxLength": st.integers(0, 12), "format": st.sampled_from(["date", "email", "nope"])}),
    st.fixed_dictionaries({"enum": st.lists(st.integers() | st.text(max_size=3), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": st.none() | st.booleans()}),
    st.booleans(),
)  # fmt: skip
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("object")}, optional={
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True), "additionalProperties": st.booleans()}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={
            "minItems": st.integers(0, 4), "maxItems": st.integers(0, 4),
            "prefixItems": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$ref": st.sampled_from(["#", "#/properties/a", "#/items", "#/anyOf/0", "#/allOf/1"])}),
    ),
    max_leaves=8,
)  # fmt: skip


@given(document=SCHEMAS, seed=st.integers(0, 9))
def test_a_value_conforms_or_none_is_given(document: Any, seed: int) -> None:
    try:
        value = instance(document, Draw(seed))
    except CannotConform:
        return
    assert instance(document, Draw(seed)) == value
    try:
        good = Draft202012Validator(document).is_valid(value)
    except RecursionError:  # the oracle follows {"$ref": "#"} for ever
        reject()
    assert good
