"""A value that conforms to a JSON Schema, for built-in replies: small, drawn, and checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from emulator.core.draws import Draw
from emulator.core.errors import Json, shown
from emulator.core.schema.bounds import PATTERN_BYTES, check_size
from emulator.core.schema.schema import Schema

MAX_DEPTH = 12
#: How many subschemas are looked at before giving up: `allOf` and `$ref` can multiply without end.
MAX_STEPS = 5_000
#: How many subschemas are weighed, one that is met on several levels of the value on each.
MAX_WEIGHED = 20_000
#: How many references and unions may lead from one subschema to the next without a step down into the value.
MAX_CHAIN = 60
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
#: Keywords whose subschemas may all meet the same value: that of their schema, or one of its items or fields.
_PARTS = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"), 0),
    **dict.fromkeys(("items", "prefixItems", "contains", "additionalProperties", "patternProperties", "propertyNames",
                     "unevaluatedItems", "unevaluatedProperties"), 1),
}  # fmt: skip
_BY_NAME = ("dependentSchemas", "patternProperties")
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
    schema = _compiled(document)
    for lean in (False, True):
        value = _made(document, draw, lean)
        if schema.verdict(value):
            return value
    raise CannotConform("no simple value conforms to the schema asked for")


def _compiled(document: Json) -> Schema:
    """Compile a schema, once its size is known."""
    try:
        check_size(document)
        _Weigher(document).weigh(document)
        return Schema(document, PATTERN_BYTES)
    except CannotConform:
        raise
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


class _Weigher:
    """Counts the subschemas that a value and what is in it meet, every `$ref` followed: pairs soon make millions."""

    def __init__(self, root: Json) -> None:
        self.root = root
        self.known: dict[tuple[int, int], int] = {}  # by the subschema's identity and level

    def weigh(self, schema: Json, level: int = 0, above: tuple[int, ...] = ()) -> int:
        """Return the weight of a subschema, `level` deep in the value; `above` are those that meet the same part of it.

        Raises: CannotConform, for one that is too heavy, meets itself, or refers in ways that are not followed.
        """
        if not isinstance(schema, Mapping) or level > MAX_DEPTH:
            return 1
        if id(schema) in above:
            raise CannotConform("the schema asked for refers to itself without end")
        if len(above) > MAX_CHAIN:
            raise CannotConform("the schema asked for is too large")
        name = id(schema), level
        if name not in self.known:
            weight = 1
            for part, deeper in self.parts(schema):
                weight += self.weigh(part, level + deeper, () if deeper else (*above, id(schema)))
            fields = schema.get("properties")
            if isinstance(fields, Mapping):  # each meets a value of its own, so the heaviest counts
                weight += max((self.weigh(item, level + 1) for item in fields.values()), default=0)
            if weight > MAX_STEPS or len(self.known) >= MAX_WEIGHED:
                raise CannotConform("the schema asked for is too large")
            self.known[name] = weight
        return self.known[name]

    def parts(self, schema: Mapping[str, Json]) -> Iterator[tuple[Json, int]]:
        """Yield the subschemas that may all meet the same, and how many levels deeper than this one; check references.

        Only those are followed that `follow` follows: by pointer, within the one document.
        """
        references = [schema[keyword] for keyword in _REFERENCES if isinstance(schema.get(keyword), str)]
        for to in references:
            if to != "#" and not to.startswith("#/"):
                raise CannotConform(f"the schema asked for refers to {shown(to)}; only '#/…' is followed")
        if schema is not self.root and isinstance(schema.get("$id"), str):
            raise CannotConform("the schema asked for has an $id inside; only '#/…' of the whole is followed")
        yield from ((follow(self.root, to), 0) for to in references)
        for keyword, deeper in _PARTS.items():
            part = schema.get(keyword)
            if isinstance(part, list):
                yield from ((item, deeper) for item in part)
            elif keyword in _BY_NAME and isinstance(part, Mapping):
                yield from ((item, deeper) for item in part.values())
            elif keyword in schema:
                yield part, deeper


def follow(root: Json, pointer: str) -> Json:
    """Return what a local `$ref` points to; None where there is nothing."""
    node = root if pointer in ("#", "") or pointer.startswith("#/") else None
    for step in pointer.removeprefix("#").split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and step.isdecimal():
            node = node[int(step)] if int(step) < len(node) else None
        else:
            node = node.get(step) if isinstance(node, Mapping) else None
    return node


class _Maker:
    """Makes values of subschemas of one document; `lean` leaves optional fields out."""

    def __init__(self, root: Json, draw: Draw, lean: bool) -> None:
        self.root = root
        self.draw = draw
        self.lean = lean
        self.steps = 0

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
                _merge(result, self.merged(part, depth + 1))
        return result

    def object(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        names = required if self.lean or depth > 3 else list(dict.fromkeys([*properties, *required]))
        return {name: self.make(properties.get(name, {}), f"{label}.{name}", depth + 1) for name in names}

    def array(self, schema: Mapping[str, Json], label: str, depth: int) -> Json:
        prefix = _list(schema.get("prefixItems"))
        least = _whole(schema.get("minItems"), 0 if self.lean else 1)
        most = _whole(schema.get("maxItems"), 100)
        length = min(max(least, len(prefix)), most, 100)
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


def _merge(into: dict[str, Json], part: Mapping[str, Json]) -> None:
    for key, value in part.items():
        have = into.get(key)
        if key == "properties" and isinstance(have, Mapping) and isinstance(value, Mapping):
            into[key] = {**value, **have}
        elif key == "required" and isinstance(have, list) and isinstance(value, list):
            into[key] = [*have, *value]
        else:
            into.setdefault(key, value)


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
