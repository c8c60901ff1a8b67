"""Routes: which operation a path below the base URL is for. Whole paths are looked up; those with `{names}` are tried.

A path comes with its escapes undone but for %2F and %25: a slash inside of a name ends no segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from emulator.core.frozen import frozen
from emulator.core.provider.operation import Operation

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@frozen
class Route:
    """Where a method of a path leads: its operation, the parameters of the path, and whether it is that of streams."""

    operation: Operation
    params: Mapping[str, str]
    streams: bool


class Routes:
    """All paths of a provider with their methods: `by_path` as they are written, `whole` those without parameters."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.by_path: dict[str, dict[str, Route]] = {}
        by_shape: dict[str, dict[str, Route]] = {}
        for operation in operations:
            for path, streams in ((operation.path, False), (operation.streams_at, True)):
                if path:
                    route = Route(operation, dict.fromkeys(parameters(path), ""), streams)
                    self.by_path.setdefault(path, {})[operation.method] = route
                    by_shape.setdefault(shape(path), {})[operation.method] = route
        self.whole = {path: methods for path, methods in by_shape.items() if "{}" not in path}
        patterns = sorted((path for path in by_shape if "{}" in path), key=lambda path: -len(path))
        self._patterns = [  # the one that says most goes first
            (re.compile("([^/]+?)".join(map(re.escape, path.split("{}")))), by_shape[path]) for path in patterns
        ]

    def find(self, path: str) -> Mapping[str, Route] | None:
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


def _filled(route: Route, values: list[str]) -> Route:
    return Route(route.operation, dict(zip(route.params, values, strict=True)), route.streams)
