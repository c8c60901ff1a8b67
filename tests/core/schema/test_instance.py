"""Instances: a value that conforms, or a plain word that none was found; never another one, and never for ever."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from emulator.core.schema.cost import Cost
from emulator.core.schema.instances.instance import instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.schema.schema import Schema, is_draft_07
from emulator.core.seeded_random import Draw

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


LARGE = 9007199254740991


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [({"type": "integer", "minimum": -LARGE, "maximum": LARGE}, 1, 10), ({"type": "number", "minimum": -1e308}, 1, 11),
     ({"type": "integer", "minimum": -LARGE, "maximum": -5}, -15, -5), ({"type": "integer", "minimum": 0}, 0, 9),
     ({"type": "integer", "minimum": -14, "maximum": 5, "multipleOf": 7}, -14, 0),
     ({"type": "number", "minimum": -3, "maximum": 0.5}, -3, 0.5),
     ({"type": "integer", "minimum": -LARGE, "not": {"minimum": -100}}, -LARGE, -101)],
    ids=["zods-int", "low-number", "below", "from-0", "multiple", "around-0", "not"],
)  # fmt: skip
def test_a_number_is_small_where_it_may_be(schema: dict[str, Any], least: float, most: float) -> None:
    for seed in range(5):
        assert least <= instance(schema, Draw(seed)) <= most


#: What z.email() of zod 4 and others write.
EMAIL = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
PASSWORD = r"^(?=.*[A-Z])(?=.*\d)(?=.*[!@#$%^&*])[A-Za-z\d!@#$%^&*]{8,}$"
TEXTS = [
    r"^\d{5}$", "^[A-Z]{3}$", "^(red|green)$", EMAIL, PASSWORD, "^(?=.*foo).*$", r"^(a)(b)\2\1$", "^[^a-z]+$",
    r"^\p{L}+\p{N}$", r"^\+?[1-9]\d{1,14}$", r"^[\w.-]+@[\w.-]+\.\w{2,}$", r"^\d{4}-\d{2}$", r"^[\]\-x]{3}$", "^$",
    "^.{3}$", r"^((a|b){2,3}c?)+$", r"^[\s\S]{2,}$", r"^(?!foo)\w+$", r"^\S+\s\S+$", r"^\/x\/$", r"^\u00e9\x41\t$",
    "(?i)^abc$", "x|y", "a{0,2}b", r"^(?:[01]\d|2[0-3]):[0-5]\d$", "^#[0-9a-fA-F]{6}$", r"^[\p{Lu}\d]+$",
    r"^(?<y>\d)z$", r"\bcat\b", r"^\D\W$",
]  # fmt: skip
#: Which of them Python's engine does not read.
NOT_PYTHONS = (r"^\p{L}+\p{N}$", r"^[\p{Lu}\d]+$", r"^(?<y>\d)z$")
HARD: dict[str, Any] = {
    **{pattern: {"type": "string", "pattern": pattern} for pattern in TEXTS},
    "pattern-and-length": {"type": "string", "pattern": "^[a-z]+-[0-9]+$", "minLength": 20, "maxLength": 20},
    "two-patterns": {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}, {"minLength": 6}]},
    "format-and-pattern": {"type": "string", "format": "email", "pattern": "@example[.]com$"},
    "long-email": {"type": "string", "format": "email", "minLength": 40},
    "step-0.05": {"type": "number", "multipleOf": 0.05, "minimum": 0.12},
    "two-steps": {"type": "number", "allOf": [{"multipleOf": 0.1}, {"multipleOf": 0.25}], "exclusiveMinimum": 0},
    "within-a-hair": {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.0001},
    "unique": {"type": "array", "uniqueItems": True, "minItems": 5, "items": {"type": "integer", "maximum": 2}},
    "unique-words": {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": ["a", "b", "c"]}},
    "unique-ids": {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "string", "format": "uuid"}},
    "unique-where-few-are-left": {"type": "array", "uniqueItems": True, "minItems": 30,
                                  "items": {"type": "string", "maxLength": 2}},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 50}},
    "contains-some": {
        "type": "array", "contains": {"type": "string"}, "minContains": 2, "maxContains": 2, "minItems": 4},
    "min-properties": {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
    "names": {"type": "object", "minProperties": 2, "propertyNames": {"pattern": "^x_[a-z]{3}$"}},
    "names-by-pattern": {"type": "object", "minProperties": 1, "patternProperties": {r"^\d{3}$": {"const": 1}},
                         "additionalProperties": False},
    "dependent": {"type": "object", "properties": {"card": {"type": "string"}}, "required": ["card"],
                  "dependentRequired": {"card": ["address"]}, "dependentSchemas": {"address": {"required": ["zip"]}}},
    "not": {"type": "string", "not": {"enum": ["amber", "birch", "cedar", "delta", "ember", "flint", "grove"]}},
    "not-a-field": {"type": "object", "properties": {"a": {}, "b": {}}, "not": {"required": ["a"]}},
    "if-then-else": {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"],
                     "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]},
                     "else": {"required": ["y"]}},
    "one-of-overlapping": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 0}]},
    "unevaluated": {"allOf": [{"properties": {"a": {"type": "integer"}}}], "properties": {"b": {}}, "type": "object",
                    "unevaluatedProperties": False},
    "unevaluated-items": {"type": "array", "prefixItems": [{"type": "integer"}], "unevaluatedItems": False},
    "pydantic-union": {"$defs": {"Cat": {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
                                         "required": ["kind", "lives"], "type": "object"},
                                 "Dog": {"properties": {"kind": {"const": "dog"}}, "required": ["kind"],
                                         "type": "object"}},
                       "properties": {"pets": {"items": {"discriminator": {"propertyName": "kind"}, "oneOf": [
                           {"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}, "minItems": 2, "type": "array"}},
                       "required": ["pets"], "type": "object"},
    "pydantic-types": {"properties": {
        "price": {"anyOf": [{"type": "number"}, {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "type": "string"}]},
        "when": {"format": "date-time", "type": "string"}, "pair": {
            "maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}], "type": "array"},
        "tags": {"items": {"type": "string"}, "type": "array", "uniqueItems": True, "minItems": 2},
        "by_name": {"additionalProperties": {"exclusiveMinimum": 0, "type": "integer"}, "type": "object"}},
        "required": ["price", "when", "pair", "tags", "by_name"], "type": "object"},
    "zod-tuple": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {
        "at": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]},
        "mail": {"type": "string", "format": "email", "pattern": EMAIL}}, "required": ["at", "mail"],
        "additionalProperties": False},
    "draft-07-tuple": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "minItems": 2,
                       "maxItems": 2, "items": [{"type": "number"}, {"$ref": "#/definitions/word", "type": "null"}],
                       "definitions": {"word": {"type": "string"}}},
    "unsaid-draft-07-tuple": {"type": "array", "items": [{"type": "number"}, {"type": "string"}],
                              "additionalItems": False},
    "draft-07-format": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string", "format": "email",
                        "pattern": r"^\d{5}$"},
    "draft-07-dependencies": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                              "required": ["a"], "dependencies": {"a": ["b"], "b": {"required": ["c"]}}},
}  # fmt: skip


@pytest.mark.parametrize("document", HARD.values(), ids=HARD)
def test_a_value_is_found_whatever_the_keyword(document: Any) -> None:
    value = instance(document, Draw(0))
    assert Schema(document, foreign=True).verdict(value)
    judge = Draft7Validator if is_draft_07(document) else Draft202012Validator
    if document.get("pattern") not in NOT_PYTHONS:
        assert list(judge(document).iter_errors(value)) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_multiple_is_one_for_who_reckons_in_floats_too(seed: int) -> None:
    document = {"type": "number", "multipleOf": 0.05, "minimum": 0.13, "maximum": 0.22}
    assert 0.15 / 0.05 < 3
    assert instance(document, Draw(seed)) == 0.2


FORMATS = {
    "date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "time": "12:00:00Z", "duration": "P1D",
    "email": "ada@example.com", "hostname": "example.com", "uri": "https://example.com/", "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1", "uuid": "123e4567-e89b-42d3-a456-426614174000", "regex": "^a$", "json-pointer": "/a",
}  # fmt: skip


def test_a_format_has_a_text_of_its_own() -> None:
    document = {"type": "object", "properties": {name: {"type": "string", "format": name} for name in FORMATS}}
    assert instance(document, Draw(0)) == FORMATS


@pytest.mark.parametrize("document", EASY.values(), ids=EASY)
@pytest.mark.parametrize("seed", range(5))
def test_a_conforming_value_is_found(document: Any, seed: int) -> None:
    value = instance(document, Draw(seed))
    assert list(Draft202012Validator(document).iter_errors(value)) == []


NONE = "no value conforms to the schema asked for"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "strng"}, "the schema asked for is no JSON Schema: "),
        ({"$ref": "https://example.com/x"}, "the schema asked for refers to 'https://example.com/x'; only "),
        (False, f"{NONE}: 'false' allows no value"),
        ({"type": "string", "pattern": "^(?=a)b$"}, f"{NONE}: 'pattern' is met by no text that was tried"),
        ({"type": "integer", "minimum": 5, "maximum": 4},
         f"{NONE}: 'multipleOf' and the bounds beside it leave no number"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, f"{NONE}: 'false' allows no value"),
        ({"type": "string", "minLength": 20_000},
         f"{NONE}: 'minLength' 20000 is more than the 10000 characters that are made at most"),
        ({"not": {}}, f"{NONE}: 'false' allows no value"),
        ({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"const": 1}}, f"{NONE}: 'uniqueItems' at $"),
        ({"type": "object", "required": ["a"], "maxProperties": 0}, f"{NONE}: 'maxProperties' at $ was not met"),
        ({"oneOf": [{"type": "string"}, {"type": "string"}]}, f"{NONE}: 'oneOf' at $ was not met"),
        ({"type": "object", "properties": {"a": {"enum": [1], "const": 2}}, "required": ["a"]},
         f"{NONE}: 'enum' and 'const' at $.a leave no value"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": True, "minItems": 2,
          "additionalItems": False, "maxItems": 1}, f"{NONE}: 'maxItems' at $ was not met"),
    ],
    ids=["no-schema", "outside", "false", "pattern", "contradiction", "impossible-field", "long", "not", "unique",
         "too-few", "one-of", "enum", "draft-07-boolean-items"],
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
    "backtracking": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "enum": ["a" * 40 + "!"],
        "pattern": "^(a+)+$",
    },
    "deep": None,
}
deep: dict[str, Any] = {"type": "integer"}
for _ in range(100):
    deep = {"type": "object", "required": ["a"], "properties": {"a": deep}}
HOSTILE["deep"] = deep


def test_a_recursive_schema_gets_a_value() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
    definition = {"type": "object", "properties": {"next": node}, "required": ["next"]}
    document = {"$ref": "#/$defs/node", "$defs": {"node": definition}}
    assert Schema(document).verdict(instance(document, Draw(0)))


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_comes_to_an_end(document: Any) -> None:
    try:
        said = str(Schema(document).verdict(instance(document, Draw(0))))
    except CannotConform as error:
        said = str(error).partition(": ")[0]
    assert said in (
        "True",
        NONE,
        "the schema asked for is too large",
        "the schema asked for refers to itself without end",
        "the schema asked for has numbers beyond what JSON carries here",
        "the schema asked for is no JSON Schema",
    )


def test_a_schema_that_multiplies_without_end_is_given_up() -> None:
    with pytest.raises(CannotConform, match=f"{NONE}: .* leads on without end"):
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
