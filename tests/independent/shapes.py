"""What a value of a request may be, and which code, param and words OpenAI has for one that it may not be."""

from __future__ import annotations

import re
from collections.abc import Callable

from independent.values import Json, Refused

#: Looks at a value and the path it stands at. Raises: Refused.
Shape = Callable[[Json, str], None]

MOST = 10**400
_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
}


def refuse(code: str | None, param: str | None, why: str, status: int = 400) -> Refused:
    """Return a refusal in OpenAI's words."""
    refused = Refused(status, why)
    refused.code, refused.param = code, param
    return refused


def _wrong_type(value: Json, at: str, wanted: str) -> Refused:
    given = "null" if value is None else _NAMES.get(type(value), "a value")
    return refuse("invalid_type", at, f"Invalid type for '{at}': expected {wanted}, but got {given} instead.")


def anything(value: Json, at: str) -> None:
    """Take any value."""


def boolean(value: Json, at: str) -> None:
    if not isinstance(value, bool):
        raise _wrong_type(value, at, "a boolean")


def text(least: int = 0, most: int = MOST, form: str = "") -> Shape:
    def shape(value: Json, at: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, at, "a string")
        if len(value) > most:
            raise refuse("string_above_max_length", at, f"Invalid '{at}': string too long, at most {most}.")
        if len(value) < least:
            raise refuse("empty_string", at, f"Invalid '{at}': empty string.")
        if form and not re.search(form, value):
            raise refuse("invalid_value", at, f"Invalid '{at}': string does not match pattern '{form}'.")

    return shape


def integer(low: int = -MOST, high: int = MOST) -> Shape:
    return _bounded("integer", low, high, lambda value: type(value) is int or (type(value) is float and value % 1 == 0))


def number(low: float = -MOST, high: float = MOST) -> Shape:
    return _bounded("decimal", low, high, lambda value: type(value) in (int, float))


def _bounded(kind: str, low: float, high: float, is_one: Callable[[Json], bool]) -> Shape:
    def shape(value: Json, at: str) -> None:
        if not is_one(value):
            raise _wrong_type(value, at, f"an {kind}" if kind == "integer" else f"a {kind}")
        if value < low:
            raise refuse(f"{kind}_below_min_value", at, f"Invalid '{at}': {kind} below minimum value {low}.")
        if value > high:
            raise refuse(f"{kind}_above_max_value", at, f"Invalid '{at}': {kind} above maximum value {high}.")

    return shape


def words(*allowed: str) -> Shape:
    def shape(value: Json, at: str) -> None:
        if value not in allowed or isinstance(value, bool):
            code = "invalid_value" if isinstance(value, str) else "invalid_type"
            raise refuse(code, at, f"Invalid value for '{at}'. Supported values are: {', '.join(allowed)}.")

    return shape


def array(item: Shape = anything, least: int = 0, most: int = MOST) -> Shape:
    def shape(value: Json, at: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, at, "an array")
        if len(value) < least:
            raise refuse("empty_array", at, f"Invalid '{at}': empty array.")
        if len(value) > most:
            raise refuse("array_above_max_length", at, f"Invalid '{at}': array too long, at most {most}.")
        for index, inner in enumerate(value):
            item(inner, f"{at}[{index}]")

    return shape


def record(required: str = "", is_open: bool = False, **fields: Shape) -> Shape:
    """An object with these fields; what is required is named in one string; others are unknown, unless it is open."""

    def shape(value: Json, at: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, at, "an object")
        inside = f"{at}." if at else ""
        for name in required.split():
            if name not in value:
                raise missing(inside + name)
        for name in value if not is_open else ():
            if name not in fields:
                raise refuse("unknown_parameter", inside + name, f"Unknown parameter: '{inside}{name}'.")
        for name, inner in fields.items():
            if name in value:
                inner(value[name], inside + name)

    return shape


def missing(param: str) -> Refused:
    return refuse("missing_required_parameter", param, f"Missing required parameter: '{param}'.")


def mapping(item: Shape, most: int = MOST, longest: int = MOST) -> Shape:
    def shape(value: Json, at: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, at, "an object")
        if len(value) > most:
            raise refuse("object_above_max_properties", at, f"Invalid '{at}': too many properties, at most {most}.")
        for name, inner in value.items():
            text(0, longest)(name, f"{at}.{name}")
            item(inner, f"{at}.{name}")

    return shape


def null_or(inner: Shape) -> Shape:
    def shape(value: Json, at: str) -> None:
        if value is not None:
            inner(value, at)

    return shape


def either(wanted: str, **shapes: Shape) -> Shape:
    """A value of one of several types, by their names in JSON."""
    kinds = {str: "string", list: "array", dict: "object", int: "integer", float: "number"}
    kinds |= {type(None): "null", bool: "boolean"}

    def shape(value: Json, at: str) -> None:
        inner = shapes.get(kinds.get(type(value), ""))
        if inner is None:
            raise _wrong_type(value, at, wanted)
        inner(value, at)

    return shape


def tagged(field: str, kinds: dict[str, Shape], other: Shape | None = None) -> Shape:
    """An object whose form one of its fields tells; `other`: where that one is left out."""

    def shape(value: Json, at: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, at, "an object")
        if value.get(field) is None and other:
            other(value, at)
            return
        if field not in value:
            raise missing(f"{at}.{field}")
        words(*kinds)(value[field] if isinstance(value[field], str) else 0, f"{at}.{field}")
        kinds[value[field]](value, at)

    return shape
