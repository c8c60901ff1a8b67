"""A value that conforms to a JSON Schema, for built-in replies: small, drawn, and checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.schema.cost import TooCostly, follow
from emulator.core.schema.untrusted import Allowance, Verdict

MAX_DEPTH = 12
#: How many subschemas are looked at before giving up: `allOf` and `$ref` can multiply without end.
MAX_STEPS = 5_000
#: How many fields, items and names of fields are put together before giving up.
MAX_FIELDS = 300_000
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "haven")
_FORMATS = {
    "date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "time": "12:00:00Z", "email": "ada@example.com",
    "uri": "https://example.com/", "uuid": "123e4567-e89b-42d3-a456-426614174000", "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1", "hostname": "example.com",
}  # fmt: skip


class CannotConform(ValueError):
    """No conforming value was found; the message says for what."""


def instance(document: Json, draw: Draw) -> Json:
    """Return a value that conforms to a schema.

    Raises: CannotConform, where the document is no schema, or asks for what is not tried (a `pattern` that no plain
    word matches, contradictions).
    """
    fits = _compiled(document)
    for lean in (False, True):
        value = _made(document, draw, lean)
        try:
            if fits(value):
                return value
        except TooCostly:
            raise CannotConform("the schema asked for is too large") from None
    raise CannotConform("no simple value conforms to the schema asked for")


def _compiled(document: Json) -> Verdict:
    """Compile a schema, once its cost is known."""
    try:
        return Allowance().schema(document)
    except ValueError as error:
        raise CannotConform(f"the schema asked for {error}") from None


def _made(document: Json, draw: Draw, lean: bool) -> Json:
    try:
        value = _Maker(document, draw, lean).make(document, "$", 0)
        orjson.dumps(value)
    except CannotConform:
        raise
    except (ValueError, OverflowError, TypeError):
        raise CannotConform("the schema asked for has numbers beyond what JSON carries here") from None
    return value


class _Maker:
    """Makes values of subschemas of one document; `lean` leaves optional fields out."""

    def __init__(self, root: Json, draw: Draw, lean: bool) -> None:
        self.root = root
        self.draw = draw
        self.lean = lean
        self.steps = 0
        self.fields = 0

    def make(self, schema: Json, label: str, depth: int) -> Json:
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return None
        schema = self.merged(schema, depth)
        if "const" in schema:
            return schema["const"]
        for listed in ("enum", "examples"):
            if isinstance(schema.get(listed), list) and schema[listed]:
                return schema[listed][self.draw.below(label, len(schema[listed]))]
        if "default" in schema:
            return schema["default"]
        kind = schema.get("type") or (
            "object" if "properties" in schema else "array" if "items" in schema else "string"
        )
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        maker = _MAKERS.get(kind) if isinstance(kind, str) else None
        return maker(self, schema, label, depth) if maker else None

    def merged(self, schema: Mapping[str, Json], depth: int) -> dict[str, Json]:
        """Follow `$ref`, take every part of `allOf` and the first branch of a union, as one schema."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise CannotConform("the schema asked for is too large")
        result = dict(schema)
        parts: list[Json] = []
        if isinstance(result.get("$ref"), str):
            parts.append(follow(self.root, result.pop("$ref")))
        if isinstance(result.get("allOf"), list):
            parts += result.pop("allOf")
        for union in ("anyOf", "oneOf"):
            if isinstance(result.get(union), list) and result[union]:
                branches = result.pop(union)
                parts.append(next((branch for branch in branches if _is_null(branch) is self.lean), branches[0]))
        for part in parts:
            if isinstance(part, Mapping) and depth <= MAX_DEPTH:
                self.merge(result, self.merged(part, depth + 1))
        return result

    def merge(self, into: dict[str, Json], part: Mapping[str, Json]) -> None:
        for key, value in part.items():
            have = into.get(key)
            if key == "properties" and isinstance(have, Mapping) and isinstance(value, Mapping):
                self.count(len(have) + len(value))
                into[key] = {**value, **have}
            elif key == "required" and isinstance(have, list) and isinstance(value, list):
                self.count(len(have) + len(value))
                into[key] = [*have, *value]
            else:
                into.setdefault(key, value)

    def count(self, fields: int) -> None:
        self.fields += fields
        if self.fields > MAX_FIELDS:
            raise CannotConform("the schema asked for is too large")

    def object(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        names = required if self.lean or depth > 3 else list(dict.fromkeys([*properties, *required]))
        self.count(len(names))
        return {name: self.make(properties.get(name, {}), f"{label}.{name}", depth + 1) for name in names}

    def array(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        prefix = _list(schema.get("prefixItems"))
        least = _whole(schema.get("minItems"), 0 if self.lean else 1)
        most = _whole(schema.get("maxItems"), 100)
        length = min(max(least, len(prefix)), most, 100)
        self.count(length)
        items = [*prefix, *[schema.get("items", {})] * length][:length]
        return [self.make(item, f"{label}[{index}]", depth + 1) for index, item in enumerate(items)]

    def string(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        named = _FORMATS.get(schema["format"]) if isinstance(schema.get("format"), str) else None
        if named:
            return named
        word = _WORDS[self.draw.below(label, len(_WORDS))]
        least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), 10_000)
        while len(word) < min(least, 10_000):
            word += word
        return word[: min(max(least, len(word)), most)]

    def integer(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        step = _whole(schema.get("multipleOf"), 1) or 1
        low, high = self.bounds(schema, 1)
        first = -(-low // step) * step
        room = max(0, int((high - first) // step))
        return int(first + step * self.draw.below(label, min(room, 9) + 1))

    def number(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        if "multipleOf" in schema:
            return self.integer(schema, label, depth)
        low, high = self.bounds(schema, 0.001)
        return round(low + (min(high, low + 10) - low) * self.draw.below(label, 11) / 10, 3)

    def bounds(self, schema: Mapping[str, Json], nudge: float) -> tuple[Any, Any]:
        lows = _given(schema, {"minimum": 0, "exclusiveMinimum": nudge})
        highs = _given(schema, {"maximum": 0, "exclusiveMaximum": -nudge})
        top = min(highs, default=None)
        bottom = max(lows, default=1 if top is None or top >= 1 else top - 10)
        return bottom, bottom + 10 if top is None else top

    def boolean(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        return self.draw.below(label, 2) == 1


def _is_null(branch: Json) -> bool:
    return isinstance(branch, Mapping) and branch.get("type") == "null"


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _given(schema: Mapping[str, Json], keywords: Mapping[str, float]) -> list[float]:
    """Return the bounds that a schema gives, each moved by so much."""
    numbers = [(_number(schema.get(keyword)), move) for keyword, move in keywords.items()]
    return [number + move for number, move in numbers if number is not None]


def _whole(value: Json, otherwise: int) -> int:
    number = _number(value)
    return otherwise if number is None else int(number)


_MAKERS = {
    "object": _Maker.object,
    "array": _Maker.array,
    "string": _Maker.string,
    "integer": _Maker.integer,
    "number": _Maker.number,
    "boolean": _Maker.boolean,
}
