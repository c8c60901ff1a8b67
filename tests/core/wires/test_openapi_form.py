"""Schemas as OpenAPI 3.0 writes them, read as JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.core.wires.request.openapi_form import json_schema


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"nullable": True}, {}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"},
         {"type": "array", "items": {"type": "number"}, "minItems": 2}),
        ({"minItems": "many"}, {"minItems": "many"}),
        ({"properties": {"type": {"type": "OBJECT"}}}, {"properties": {"type": {"type": "object"}}}),
        ({"anyOf": [{"type": "NULL"}, {"type": "OBJECT"}]}, {"anyOf": [{"type": "null"}, {"type": "object"}]}),
        ({"default": {"type": "OBJECT"}, "required": ["A"]}, {"default": {"type": "OBJECT"}, "required": ["A"]}),
        (True, True),
        (None, None),
    ],
)  # fmt: skip
def test_what_a_schema_says(given: Any, said: Any) -> None:
    assert json_schema(given) == said
