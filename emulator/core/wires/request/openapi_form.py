"""Schemas as OpenAPI 3.0 writes them, for APIs that take those: `nullable`, types in any case, numbers as texts."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.durations import whole_number
from emulator.core.errors import Json

#: Keywords whose values hold schemas: by name, in a list, or one.
_NAMED, _LISTED, _ONE = ("properties", "$defs", "defs"), ("anyOf", "oneOf", "allOf", "prefixItems"), ("items",)
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def json_schema(given: Json) -> Json:
    """Return a JSON Schema that says the same; what is no schema stays as it is."""
    if not isinstance(given, Mapping):
        return given
    found = {name: _said(name, value) for name, value in given.items() if name != "nullable"}
    if given.get("nullable") is not True:
        return found
    kind = found.get("type")
    if isinstance(kind, str):
        found["type"] = [kind, "null"]
    if isinstance(found.get("enum"), list):
        found["enum"] = [*found["enum"], None]
    return found


def _said(name: str, value: Json) -> Json:
    if name == "type":
        return _kind(value)
    if name in _NAMED and isinstance(value, Mapping):
        return {key: json_schema(item) for key, item in value.items()}
    if name in _LISTED and isinstance(value, list):
        return [json_schema(item) for item in value]
    if name in _COUNTS and isinstance(value, str) and (number := whole_number(value)) is not None:
        return number
    return json_schema(value) if name in _ONE else value


def _kind(value: Json) -> Json:
    if isinstance(value, list):
        return [_kind(item) for item in value]
    return value.lower() if isinstance(value, str) else value
