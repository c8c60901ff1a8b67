"""Texts and shapes with `${holes}`, as provider.yaml has them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from emulator.core.errors import Json
from emulator.core.tree import change_texts, walk

_HOLE = re.compile(r"\$\{([a-z0-9_.]+)\}")


def fill(shape: Json, values: Mapping[str, Json]) -> Json:
    """Fill a shape's holes; a string that is exactly one hole becomes the value itself."""

    def filled(text: str) -> Json:
        whole = _HOLE.fullmatch(text)
        return values[whole[1]] if whole else _HOLE.sub(lambda hole: str(values[hole[1]]), text)

    return change_texts(shape, filled)


def without_empty(shape: Json) -> Json:
    """Return a filled shape without the fields `name~` that hold nothing."""
    if isinstance(shape, list):
        return [without_empty(item) for item in shape]
    if not isinstance(shape, Mapping):
        return shape
    fields = {name: without_empty(item) for name, item in shape.items()}
    return {
        name.removesuffix("~"): item for name, item in fields.items() if not (name.endswith("~") and _is_empty(item))
    }


def _is_empty(value: Json) -> bool:
    return all(map(_is_empty, value.values())) if isinstance(value, Mapping) else value is None


def fill_text(form: str, values: Mapping[str, Json]) -> str:
    """Fill the holes of a text, which is taken apart once."""
    return "".join([str(values[part]) if hole else part for part, hole in _parts(form)])


@functools.lru_cache(maxsize=256)
def _parts(form: str) -> tuple[tuple[str, bool], ...]:
    """Return a form's literals and names of holes, in order, and which they are."""
    return tuple((part, index % 2 == 1) for index, part in enumerate(_HOLE.split(form)) if part)


def holes(shape: Json) -> Iterator[str]:
    """Yield the names of a shape's holes."""
    for _, leaf in walk(shape):
        if isinstance(leaf, str):
            yield from _HOLE.findall(leaf)


def only_hole(form: str) -> str | None:
    """Return the name of the hole that a text is, if it is nothing else."""
    whole = _HOLE.fullmatch(form)
    return whole[1] if whole else None


def drawn_length(hole: str) -> tuple[str, int]:
    """Return what a hole of an id draws, and how many characters: `hex32` says so, 24 are usual."""
    kind = hole.rstrip("0123456789")
    return kind, 26 if kind == "ulid" else int(hole[len(kind) :] or 24)
