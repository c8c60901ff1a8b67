"""JSON as a tree: its leaves walked or changed, and the paths into it named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from emulator.core.errors import Json

Path = tuple[str | int, ...]


def path_of(steps: Iterable[str | int]) -> str:
    """Return a path as messages show it: `messages[0].content`; empty for the whole."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def walk(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield every leaf with its path."""
    if isinstance(value, Mapping | list):
        for step, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from walk(item, (*path, step))
    else:
        yield path, value


def change_texts(value: Json, change: Callable[[str], Json]) -> Json:
    """Return a value with each string in it changed; names of fields stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: change_texts(item, change) for key, item in value.items()}
    return [change_texts(item, change) for item in value] if isinstance(value, list) else value
