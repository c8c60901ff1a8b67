"""The commonest keywords judge as jsonschema's own do, whether they stand alone or a reference leads to them."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from emulator.core.schema.slow import oracle

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, 1.5, "", "a", "1", [], [1], ["a", "b"], {}, {"a": 1}, {"a": "x", "b": None},
    {"c": 1.0},
]  # fmt: skip
SCHEMAS: dict[str, Any] = {
    **{name: {"type": name} for name in ("null", "boolean", "integer", "number", "string", "array", "object")},
    "types": {"type": ["integer", "null"]},
    "described": {"type": "string", "title": "A text", "$comment": "fact: words"},
    "type and more": {"type": "string", "minLength": 1},
    "words": {"enum": ["a", ""]},
    "words and others": {"enum": [1, False, [True], {"a": 1.0}, "1"]},
    "required": {"required": ["a", "b"]},
    "at most": {"maxItems": 1},
    "no others": {"properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    "no others but": {"properties": {"a": {}}, "patternProperties": {"^b": {}}, "additionalProperties": False},
    "fields": {"properties": {"a": {"type": "integer"}, "c": {"type": "integer"}}},
    "items": {"items": {"type": "string"}},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("place", ["alone", "below", "referred to"])
def test_a_schema_is_judged_as_by_jsonschema(schema: Any, place: str) -> None:
    below = {
        "properties": {"x": {"$ref": "#/$defs/it", "type": ["integer", "string", "object"]}},
        "$defs": {"it": schema},
    }
    whole = {"alone": schema, "below": {"properties": {"x": schema}}, "referred to": below}[place]
    ours, usual = oracle(whole), Draft202012Validator(whole)
    for value in VALUES if place == "alone" else [{"x": item} for item in VALUES]:
        assert list(map(what, ours.iter_errors(value))) == list(map(what, usual.iter_errors(value))), value


def what(error: Any) -> Any:
    """Return what is wrong, without its words."""
    return error.validator, list(error.absolute_path), error.instance
