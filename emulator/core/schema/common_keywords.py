"""The keywords that most schemas have, for jsonschema: they judge as its own do, and what holds costs next to nothing.

Its own write all of a wrong value into a message, which nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from emulator.core.errors import Json

_TYPES: Mapping[type, frozenset[str]] = {
    NoneType: frozenset(("null",)),
    bool: frozenset(("boolean",)),
    int: frozenset(("integer", "number")),
    float: frozenset(("number",)),
    str: frozenset(("string",)),
    list: frozenset(("array",)),
    dict: frozenset(("object",)),
}


def is_of(value: Json, wanted: str | Sequence[str]) -> bool:
    """Tell whether a value is plainly of a type, or of one of several; a whole float is no plain integer."""
    names = _TYPES.get(type(value), frozenset())
    return wanted in names if isinstance(wanted, str) else not names.isdisjoint(wanted)


def common_keywords(usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return `type`, `enum`, `required` and `maxItems`; `usual` are jsonschema's own keywords."""
    from jsonschema import ValidationError

    def types(validator: Any, wanted: str | Sequence[str], value: Json, schema: Json) -> Sequence[Any]:
        names = [wanted] if isinstance(wanted, str) else wanted
        good = is_of(value, wanted) or any(validator.is_type(value, name) for name in names)
        return () if good else (ValidationError("is of another type"),)

    def enum(validator: Any, wanted: Sequence[Json], value: Json, schema: Json) -> Any:
        if not isinstance(value, str):
            return usual["enum"](validator, wanted, value, schema)
        return () if value in wanted else (ValidationError("is not listed"),)

    def required(validator: Any, wanted: Sequence[str], value: Json, schema: Json) -> Sequence[Any]:
        missing = [name for name in wanted if name not in value] if isinstance(value, dict) else ()
        return [ValidationError(f"lacks {name}") for name in missing]

    def most_items(validator: Any, wanted: float, value: Json, schema: Json) -> Sequence[Any]:
        return (ValidationError("is too long"),) if isinstance(value, list) and len(value) > wanted else ()

    return {"type": types, "enum": enum, "required": required, "maxItems": most_items}
