"""What is made for any schema conforms, as jsonschema judges it: all keywords of both drafts, nested and combined."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.validators import extend

from emulator.core.schema.instances.instance import instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.seeded_random import Draw

Schemas = st.SearchStrategy[Any]

NAMES = st.sampled_from(["a", "b", "c", "dd"])
NUMBERS = st.integers(-9, 9) | st.sampled_from([0.5, -1.25, 0.05, 2.5, 10, 100])
SIZES = st.integers(0, 4)
PATTERNS = st.sampled_from(
    [r"^\d{5}$", "^[A-Z]{3}$", "^(red|green)$", "^x", "a+b", "^[a-c]{2,4}$", r"^(?!foo)\w+$", r"\.(png|jpg)$", "b$"]
)
NAME_PATTERNS = st.sampled_from(["^a", "^x_", "b$", r"^\d+$", "."])
FORMATS = st.sampled_from(["date", "email", "uuid", "uri", "ipv4", "date-time", "unheard-of"])
VALUES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("abc", max_size=3)
    | st.lists(st.integers(0, 2), max_size=2) | st.dictionaries(NAMES, st.integers(0, 2), max_size=2)
)  # fmt: skip


def some(**keywords: Schemas) -> Schemas:
    """Draw up to five of some keywords."""
    names = st.lists(st.sampled_from(sorted(keywords)), min_size=1, max_size=5, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: keywords[name] for name in chosen}))


TEXTS = some(type=st.just("string"), minLength=st.integers(0, 8), maxLength=st.integers(0, 12), pattern=PATTERNS,
             format=FORMATS)  # fmt: skip
AMOUNTS = some(
    type=st.sampled_from(["integer", "number", ["number", "null"]]), minimum=NUMBERS, maximum=NUMBERS,
    exclusiveMinimum=NUMBERS, exclusiveMaximum=NUMBERS, multipleOf=st.sampled_from([1, 2, 3, 0.5, 0.05, 0.1, 7, 2.5]),
)  # fmt: skip
LEAVES = (
    TEXTS | AMOUNTS | some(enum=st.lists(VALUES, min_size=1, max_size=4), const=VALUES) | st.booleans()
    | some(type=st.sampled_from(["boolean", "null", "object", "array", "string"]))
)  # fmt: skip


def grown(old: bool, inner: Schemas) -> Schemas:
    """Draw schemas of the one draft or the other around others."""
    few, names = st.lists(inner, min_size=1, max_size=3), st.lists(NAMES, max_size=2, unique=True)
    fields = {
        "type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3), "required": names,
        "additionalProperties": inner, "patternProperties": st.dictionaries(NAME_PATTERNS, inner, max_size=2),
        "propertyNames": TEXTS, "minProperties": SIZES, "maxProperties": SIZES,
    }  # fmt: skip
    items = {"type": st.just("array"), "minItems": SIZES, "maxItems": SIZES, "uniqueItems": st.booleans(),
             "contains": inner}  # fmt: skip
    combined = {"allOf": few, "anyOf": few, "oneOf": few, **dict.fromkeys(("not", "if", "then", "else"), inner)}
    if old:
        fields |= {"dependencies": st.dictionaries(NAMES, names | inner, max_size=2)}
        items |= {"items": few | inner, "additionalItems": inner}
    else:
        fields |= {"dependentRequired": st.dictionaries(NAMES, names, max_size=2), "unevaluatedProperties": inner,
                   "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2)}  # fmt: skip
        items |= {"prefixItems": few, "items": inner, "minContains": SIZES, "maxContains": SIZES,
                  "unevaluatedItems": inner}  # fmt: skip
    references = st.fixed_dictionaries({"$ref": st.sampled_from(["#/$defs/x", "#/$defs/y", "#"])})
    return some(**fields) | some(**items) | some(**combined) | references | some(**{**fields, **items, **combined})


def documents(old: bool) -> Schemas:
    parts = st.recursive(LEAVES, lambda inner: grown(old, inner), max_leaves=10)
    named = {"$schema": "http://json-schema.org/draft-07/schema#"} if old else {}
    return st.builds(
        lambda whole, x, y: {**whole, "$defs": {"x": x, "y": y}, **named} if isinstance(whole, dict) else whole,
        parts, parts, parts,
    )  # fmt: skip


def beside_a_list_alone(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
    """What draft-07 says of additionalItems; jsonschema asks items that are true or false for their length."""
    usual = Draft7Validator.VALIDATORS["additionalItems"](validator, wanted, value, schema)
    return usual if isinstance(schema.get("items"), list) else ()


def unnamed(document: Any) -> Any:
    """Leave out which draft a document is of: jsonschema would judge what refers to it by keywords of its own."""
    return (
        {name: item for name, item in document.items() if name != "$schema"} if isinstance(document, dict) else document
    )


ORACLES = {False: Draft202012Validator, True: extend(Draft7Validator, {"additionalItems": beside_a_list_alone})}


@pytest.mark.parametrize("old", [False, True], ids=["2020-12", "draft-07"])
def test_what_is_made_conforms_and_is_made_again(old: bool) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @given(document=documents(old), seed=st.integers(0, 9))
    def holds(document: Any, seed: int) -> None:
        try:
            value = instance(document, Draw(seed))
        except CannotConform:
            return
        assert instance(document, Draw(seed)) == value
        try:
            errors = [error.message for error in ORACLES[old](unnamed(document)).iter_errors(value)]
        except RecursionError:  # the oracle follows {"$ref": "#"} for ever
            return
        assert errors == []

    holds()


# From a value to a schema that it conforms to: such a one is never refused


def around(value: Any) -> Schemas:
    """Draw a schema to which a value conforms."""
    exact = st.just({"const": value}) | st.lists(VALUES, max_size=3).map(lambda others: {"enum": [*others, value]})
    if isinstance(value, bool) or value is None:
        return exact
    if isinstance(value, int):
        below, above = st.integers(value - 5, value), st.integers(value, value + 5)
        return exact | some(minimum=below, maximum=above, type=st.sampled_from(["integer", "number"])) | st.just(
            {"type": "integer", "multipleOf": abs(value) or 1, "minimum": value})  # fmt: skip
    if isinstance(value, str):
        sizes = {"minLength": st.integers(0, len(value)), "maxLength": st.integers(len(value), len(value) + 3)}
        return exact | some(type=st.just("string"), pattern=st.just(f"^[{value or 'a'}]*$"), **sizes)
    if isinstance(value, list):
        each = st.tuples(*map(around, value)).map(list)
        sizes = {"minItems": st.integers(0, len(value)), "maxItems": st.integers(len(value), len(value) + 3)}
        prefix = each.map(lambda items: {"type": "array", "prefixItems": items, "items": False} if items else {})
        held = each.map(lambda items: {"type": "array", "contains": items[0]} if items else {})
        return exact | prefix | held | some(type=st.just("array"), **sizes)
    fields = st.fixed_dictionaries({name: around(item) for name, item in value.items()})
    required = fields.map(lambda properties: {"type": "object", "properties": properties, "required": list(properties),
                                              "additionalProperties": False})  # fmt: skip
    some_names = st.just({"minProperties": len(value), "type": "object", "propertyNames": {"enum": [*value, "zz"]}})
    return exact | required | some_names


def both(value: Any) -> Schemas:
    """Draw schemas that hold at once, or of which one does."""
    one = around(value)
    return (
        one
        | st.tuples(one, one).map(lambda parts: {"allOf": list(parts)})
        | st.tuples(one, LEAVES).map(lambda parts: {"anyOf": list(parts)})
        | st.tuples(one, one).map(lambda parts: {"if": parts[0], "then": parts[1]})
        | one.map(lambda part: {"not": {"not": part}})
    )


@given(data=st.data(), value=VALUES | st.dictionaries(NAMES, VALUES, max_size=3) | st.lists(VALUES, max_size=3))
def test_what_can_be_met_is_not_refused(data: st.DataObject, value: Any) -> None:
    document = data.draw(both(value))
    made = instance(document, Draw(0))
    assert list(Draft202012Validator(document).iter_errors(made)) == []
