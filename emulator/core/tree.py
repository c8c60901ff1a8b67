"""JSON as a tree: its leaves walked or changed, and the paths into it named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import orjson

from emulator.core.errors import Json

Path = tuple[str | int, ...]
_CONTAINERS = (dict, list)


def path_of(steps: Iterable[str | int]) -> str:
    """Return a path as messages show it: `messages[0].content`; empty for the whole."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def deeper(value: Json, levels: int) -> bool:
    """Tell whether JSON has more levels of lists and objects."""
    layer = [value] if value and value.__class__ in _CONTAINERS else []
    for _ in range(levels):
        layer = [item for container in layer for item in parts(container) if item and item.__class__ in _CONTAINERS]
        if not layer:
            return False
    return True


def kind_of(value: Json) -> str:
    """Return what JSON Schema calls the type of a value."""
    return _KINDS.get(type(value), "object")


_KINDS: Mapping[type, str] = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


def at(value: Json, steps: Iterable[str | int], missing: Json = None) -> Json:
    """Return what is at a path; `missing` where there is nothing."""
    for step in steps:
        held = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if not (held or (isinstance(value, Mapping) and step in value)):
            return missing
        value = value[step]
    return value


def parts(value: Json) -> Iterable[Json]:
    """Return what a list or an object holds; nothing for other values."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def listed(value: Json) -> list[Json]:
    """Return a list, or the one item that stands in the place of one."""
    return value if isinstance(value, list) else [value]


def nested(values: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    """Return objects in which values are at dotted paths; those that are there stay."""
    made: dict[str, Json] = {}
    for path, value in values:
        *steps, last = path.split(".")
        inner = made
        for step in steps:
            inner = inner.setdefault(step, {})
        inner.setdefault(last, value)
    return made


def walk(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield every leaf with its path."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for step, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from walk(item, (*path, step))
        else:
            yield (*path, step), item


def change_texts(value: Json, change: Callable[[str], Json], names: bool = False) -> Json:
    """Return a value with each string in it changed; the names of fields only with `names`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key) if names else key: change_texts(item, change, names) for key, item in value.items()}
    return [change_texts(item, change, names) for item in value] if isinstance(value, list | tuple) else value


def parsed(data: str | bytes, otherwise: Json = None) -> Json:
    """Return JSON; something else for what is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return otherwise


def compact(value: Json) -> str:
    """Return compact JSON."""
    return orjson.dumps(value).decode()


def canonical(value: Json) -> bytes:
    """Return JSON that is the same for equal values; 1.0 is 1, as in JSON Schema."""
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if b".0" in data:
        data = orjson.dumps(_folded(value), option=orjson.OPT_SORT_KEYS)
    return data


def _folded(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _folded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_folded(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value
