"""Texts and shapes with `${holes}`, as provider.yaml has them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from emulator.core.errors import Json
from emulator.core.tree import walk

_HOLE = re.compile(r"\$\{([a-z0-9_.]+)\}")


def fill(shape: Json, values: Mapping[str, Json]) -> Json:
    """Fill a shape's holes; a string that is exactly one hole becomes the value, `name~` goes where it is empty."""
    if isinstance(shape, str):
        whole = _HOLE.fullmatch(shape)
        return values[whole[1]] if whole else _HOLE.sub(lambda hole: str(values[hole[1]]), shape)
    if isinstance(shape, Mapping):
        found = {name: fill(item, values) for name, item in shape.items()}
        return {name.removesuffix("~"): item for name, item in found.items() if name[-1:] != "~" or not _is_empty(item)}
    return [fill(item, values) for item in shape] if isinstance(shape, list) else shape


def _is_empty(value: Json) -> bool:
    return all(map(_is_empty, value.values())) if isinstance(value, Mapping) else value in (None, "", [])


def fill_text(form: str, values: Mapping[str, Json]) -> str:
    """Fill the holes of a text, which is taken apart once."""
    return "".join([str(values[part]) if hole else part for part, hole in text_parts(form)])


@functools.lru_cache(maxsize=256)
def text_parts(form: str) -> tuple[tuple[str, bool], ...]:
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


@functools.lru_cache(maxsize=256)
def drawn_length(hole: str) -> tuple[str, int]:
    """Return what a hole of an id draws, and how many characters: `hex32` says so, 24 are usual."""
    kind = hole.rstrip("0123456789")
    return kind, 26 if kind == "ulid" else int(hole[len(kind) :] or 24)


def difference(shape: Json, body: Json) -> str | None:
    """Return the path of the first field that only one of two bodies has; `name~` of the shape may be missing."""
    if not isinstance(shape, Mapping):
        return None
    if not isinstance(body, Mapping):
        return ""
    fields = {name.removesuffix("~"): item for name, item in shape.items() if name[-1:] != "~" or name[:-1] in body}
    for name in [*fields, *body]:
        if (name in fields) != (name in body):
            return str(name)
        below = difference(fields[name], body[name])
        if below is not None:
            return f"{name}.{below}" if below else name
    return None
