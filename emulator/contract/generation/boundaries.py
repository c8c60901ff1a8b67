"""Valid bodies at every boundary of a JSON Schema, one at a time, without chance.

    good body + one field at one of its boundaries ──verdict──> Boundary

The boundaries of a field: each bound, each word of an enum, each type, each branch of a union, each optional field of
an object alone, and lists that are empty or as short and as long as they may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from zlib import crc32

from emulator.contract.generation.subschemas import Document
from emulator.core.errors import Json
from emulator.core.schema.instances.instance import instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.seeded_random import Draw
from emulator.core.tree import at

Steps: TypeAlias = tuple[str | int, ...]
Flat: TypeAlias = Mapping[str, Json]

_PLAIN = "Hello!"
_SLUG = re.compile(r"[^A-Za-z0-9_.+-]+")
_MOST_SLUG = 24


@dataclass(frozen=True, slots=True)
class Boundary:
    """A valid value: where it is special, by which keyword, and how; `comment` is the nearest `$comment`.

    `stated`: the schema states this bound; else it is only what it leaves open, such as an empty list.
    """

    steps: Steps
    keyword: str
    label: str
    comment: str
    stated: bool
    value: Json

    def within(self, step: str | int, value: Json) -> Boundary:
        """Return this boundary as one of the value around it."""
        return replace(self, steps=(step, *self.steps), value=value)


def boundaries(schema: Json, good: Mapping[str, Json]) -> Iterator[Boundary]:
    """Yield valid bodies, each with one field of a good one at a boundary, in the order of the schema."""
    finder = _Finder(schema)
    for name, part in schema.get("properties", {}).items():
        for found in finder.find(part, 0):
            body = {**good, name: found.value}
            if finder.valid(body):
                yield found.within(name, body)


def slug(value: Json) -> str:
    """Return a value as a part of an id: readable, and different for different values."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    short = _SLUG.sub("_", text[: 40 * _MOST_SLUG])[:_MOST_SLUG]
    return short if short == text else f"{short.strip('_')}~{crc32(json.dumps(value).encode()) & 0xFFFF:04x}"


def tags(schema: Json) -> set[str]:
    """Return the names of the fields that tell the branches of the schema's unions apart, such as `role`."""
    if isinstance(schema, list):
        return {name for item in schema for name in tags(item)}
    if not isinstance(schema, Mapping):
        return set()
    branches = [item for union in ("anyOf", "oneOf") for item in schema.get(union, ()) if isinstance(item, Mapping)]
    own = {
        name
        for branch in branches
        for name, part in branch.get("properties", {}).items()
        if isinstance(part, Mapping) and "const" in part
    }
    return own | tags(list(schema.values()))


def place(steps: Steps, value: Json, known_tags: set[str]) -> str:
    """Return a place as ids name it: `messages.user.content`, an item by its tag, or 0 where it has none."""
    names = []
    for step in steps:
        inner = at(value, [step])
        tag = next((inner[name] for name in sorted(known_tags) if isinstance(inner, Mapping) and name in inner), None)
        if isinstance(step, int):
            names.append(tag if isinstance(tag, str) and tag else "0")
        else:
            names.append(step)
        value = inner
    return ".".join(names) or "body"


class _Finder:
    """Finds the boundaries of one document's parts; the first of each part is its plainest value."""

    def __init__(self, schema: Json) -> None:
        self.document = Document(schema)
        self.valid = self.document.verdict(schema)

    def find(self, part: Json, depth: int) -> list[Boundary]:
        """Return the boundaries of a part, each once; `depth` counts the references that led to it."""
        found: dict[str, Boundary] = {}
        for flat, below in self.document.flatten(part, depth):
            for item in self.of_flat(flat, below):
                found.setdefault(json.dumps(item.value, sort_keys=True), item)
        return list(found.values())

    def of_flat(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        for keyword in ("const", "enum"):
            if keyword in flat:
                for word in [flat[keyword]] if keyword == "const" else flat[keyword]:
                    yield _boundary(flat, keyword, slug(word), word)
                return
        names = flat.get("type", list(_OF_TYPE))
        for name in [names] if isinstance(names, str) else names:
            yield from _OF_TYPE[name](self, flat, depth)

    def object(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        parts: Mapping[str, Json] = flat.get("properties", {})
        required = list(dict.fromkeys(flat.get("required", ())))
        found = {name: self.find(parts.get(name, True), depth) for name in [*required, *parts]}
        if any(not found[name] for name in required):
            return
        plain = {name: found[name][0].value for name in required}
        yield _boundary(flat, "type", "object", plain, stated=False)
        for name, items in found.items():
            for item in items[1:] if name in required else items:
                yield item.within(name, {**plain, name: item.value})

    def array(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        least, most = flat.get("minItems", 0), flat.get("maxItems")
        items = self.find(flat.get("items", {"type": "string"}), depth)  # of what may be anything, texts are enough
        if not items:
            return
        size = max(least, 1)
        for item in items:
            yield item.within(0, [item.value] * size)
        if least == 0:
            yield _boundary(flat, "type", "empty-list", [], stated=False)
        else:
            yield _boundary(flat, "minItems", f"at-{least}", [items[0].value] * least)
        if most is not None:
            yield _boundary(flat, "maxItems", f"at-{most}", [items[0].value] * most)

    def string(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        least, most = flat.get("minLength", 0), flat.get("maxLength")
        if "pattern" in flat:
            with suppress(CannotConform):  # the mutations still break it; what fits it is left to the fuzz phase
                yield _boundary(flat, "pattern", "fits", instance(dict(flat), Draw("boundary")))
            return
        if len(_PLAIN) >= least and (most is None or len(_PLAIN) <= most):
            yield _boundary(flat, "type", "string", _PLAIN)
        if least:
            yield _boundary(flat, "minLength", f"at-{least}", "x" * least)
        else:
            yield _boundary(flat, "type", "empty-string", "", stated=False)
        if most is not None:
            yield _boundary(flat, "maxLength", f"at-{most}", "x" * most)

    def number(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        step = 1 if flat.get("type") == "integer" else 0.01
        bounds = [(name, flat[name], move * step) for name, move in _BOUNDS.items() if name in flat]
        for name, bound, move in bounds:
            value = round(bound + move, 2) if move else bound
            yield _boundary(flat, name, f"at-{value}", value)
        if not bounds:
            yield _boundary(flat, "type", "number", 1 if flat.get("type") == "integer" else 0.5)

    def boolean(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        for value in (False, True):
            yield _boundary(flat, "type", slug(value), value)

    def null(self, flat: Flat, depth: int) -> Iterator[Boundary]:
        yield _boundary(flat, "type", "null", None)


def _boundary(flat: Flat, keyword: str, label: str, value: Json, stated: bool = True) -> Boundary:
    return Boundary((), keyword, label, str(flat.get("$comment", "")), stated, value)


#: How far inside a bound the last good number lies, in steps.
_BOUNDS: Mapping[str, int] = {"minimum": 0, "maximum": 0, "exclusiveMinimum": 1, "exclusiveMaximum": -1}

_OF_TYPE: Mapping[str, Callable[[_Finder, Flat, int], Any]] = {
    "string": _Finder.string,
    "integer": _Finder.number,
    "number": _Finder.number,
    "array": _Finder.array,
    "object": _Finder.object,
    "boolean": _Finder.boolean,
    "null": _Finder.null,
}
