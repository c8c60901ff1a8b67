"""Compiled paths: `a.b`, `a[].b` through each item of a list; of several, the first at which something is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from emulator.core.errors import Json
from emulator.core.tree import listed

Path: TypeAlias = Callable[[Json], Json]


def text_of(value: Json) -> str:
    return value if isinstance(value, str) else ""


def path_of(paths: Json) -> Path:
    """Compile a path, or several."""
    looks = paths_of(paths)
    if len(looks) > 1:
        return lambda value: next((found for look in looks if (found := look(value)) is not None), None)
    return looks[0] if looks else lambda value: None


def paths_of(paths: Json) -> list[Path]:
    """Compile several paths, each by itself."""
    return [] if paths is None else [_follow(path) for path in listed(paths)]


def _follow(path: str) -> Path:
    steps = path.replace("[]", ".[]").split(".")
    if len(steps) == 1:
        return lambda value: value.get(path)
    first, rest = steps[0], steps[1:]
    return lambda value: None if (found := value.get(first)) is None else _walk(found, rest)


def _walk(value: Json, steps: Sequence[str]) -> Json:
    for index, step in enumerate(steps):
        if step == "[]":
            return _each(value, steps[index + 1 :])
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _each(value: Json, steps: Sequence[str]) -> list[Json] | None:
    if not isinstance(value, list):
        return None
    found = [_walk(item, steps) for item in value]
    if "[]" in steps:
        return [item for items in found if isinstance(items, list) for item in items]
    return found


def condition_of(spec: Mapping[str, Json] | None) -> Callable[[Json], bool]:
    """Compile `{path: value}`: each path holds its value, or one of several."""
    if spec is None:
        return lambda value: False
    looks = [(path_of(path), listed(wanted)) for path, wanted in spec.items()]
    return lambda value: all(_holds(look(value), wanted) for look, wanted in looks)


def asking(given: Json) -> Callable[[Json], bool]:
    """Compile what asks for something: a path at which true stands, or a condition."""
    if isinstance(given, Mapping):
        return condition_of(given)
    if isinstance(given, str) and given.isidentifier():  # a field of the body, as most are
        return lambda value: value.get(given) is True
    look = path_of(given)
    return lambda value: look(value) is True


def _holds(found: Json, wanted: Sequence[Json]) -> bool:
    """Tell whether a value, or one of a list, is wanted."""
    return found in wanted or (isinstance(found, list) and any(item in wanted for item in found))
