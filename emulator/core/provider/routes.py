"""Routes: which operation a path below the base URL is for. Whole paths are looked up; those with `{names}` are tried.

A path comes with its escapes undone but for %2F and %25: a slash inside of a name ends no segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote

from emulator.core.frozen import frozen

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Routed(Protocol):
    """What a path can be for; at `streams_at` the same is asked for as a stream."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def streams_at(self) -> str | None: ...


T = TypeVar("T", bound=Routed)


@frozen
class Route(Generic[T]):
    """Where a method of a path leads: its operation, the parameters of the path, and whether it is that of streams."""

    operation: T
    params: Mapping[str, str]
    streams: bool


class Routes(Generic[T]):
    """All paths of a provider with their methods: `by_path` as they are written, `whole` those without parameters."""

    def __init__(self, operations: Iterable[T]) -> None:
        self.by_path: dict[str, dict[str, Route[T]]] = {}
        by_shape: dict[str, dict[str, Route[T]]] = {}
        for operation in operations:
            for path, streams in ((operation.path, False), (operation.streams_at, True)):
                if path:
                    route = Route(operation, dict.fromkeys(parameters(path), ""), streams)
                    self.by_path.setdefault(path, {})[operation.method] = route
                    by_shape.setdefault(shape(path), {})[operation.method] = route
        self.whole = {path: methods for path, methods in by_shape.items() if "{}" not in path}
        patterns = [(path, methods) for path, methods in by_shape.items() if "{}" in path]
        patterns.sort(key=lambda item: -len(item[0]))  # the one that says most goes first
        self._patterns = [(_pattern(path), methods) for path, methods in patterns]

    def find(self, path: str) -> Mapping[str, Route[T]] | None:
        """Return what a path is for, by method, the parameters filled in; None for one that is unknown."""
        methods = self.whole.get(path)
        if methods is not None:
            return methods
        for pattern, found in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                values = [unquote(value) for value in match.groups()]
                return {method: _filled(route, values) for method, route in found.items()}
        return self.whole.get(unquote(path)) if "%" in path else None

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_path)


def parameters(path: str) -> list[str]:
    """Return the names of a path's parameters, in order."""
    return _PARAMETER.findall(path)


def shape(path: str) -> str:
    """Return a path without the names of its parameters: two of one shape are the same path."""
    return _PARAMETER.sub("{}", path)


def fill_path(path: str, params: Mapping[str, str]) -> str:
    """Return a path with its parameters filled in."""
    return _PARAMETER.sub(lambda name: params[name[1]], path)


def _pattern(shape: str) -> re.Pattern[str]:
    return re.compile("([^/]+?)".join(map(re.escape, shape.split("{}"))))


def _filled(route: Route[T], values: list[str]) -> Route[T]:
    return Route(route.operation, dict(zip(route.params, values, strict=True)), route.streams)
