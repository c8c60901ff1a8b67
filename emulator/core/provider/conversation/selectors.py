"""Where in a body a rule looks: a dotted path, `[]` through the items of a list, and which values there are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.core.errors import Json
from emulator.core.frozen import frozen


@frozen
class Place:
    """A value that is not null, its path (`tools[0].type`), the indexes in it, and the object that it stands in."""

    path: str
    value: Json
    index: tuple[int, ...] = ()
    holder: Json = None


class Selector:
    """Finds places in a body; `top` is the field of the body in which all of them stand."""

    __slots__ = ("_above", "_among", "_below", "_beside", "_none_of", "_unlike", "_within", "at", "steps", "top")

    def __init__(self, given: Json) -> None:
        spec: Mapping[str, Json] = {"at": given} if isinstance(given, str) else given
        self.at: str = spec["at"]
        self.steps: Sequence[str] = self.at.replace("[]", ".[]").split(".")
        self.top = self.steps[0]
        self._among, self._none_of = spec.get("is"), spec.get("not")
        self._above, self._below, self._beside = spec.get("above"), spec.get("below"), spec.get("with", {})
        self._within: Mapping[str, Json] | None = spec.get("within")
        self._unlike: Mapping[str, Json] | None = spec.get("unlike")

    def find(self, body: Mapping[str, Json]) -> Iterator[Place]:
        """Yield the places in a body."""
        if body.get(self.top) is not None:
            yield from self._walk(Place("", body), self.steps, self._within is None)

    def _walk(self, place: Place, steps: Sequence[str], within: bool) -> Iterator[Place]:
        value = place.value
        if value is None:
            return
        within = within or _has(value, self._within)
        if not steps:
            if within and self._meant(value):
                yield place
        elif steps[0] == "[]":
            for number, item in enumerate(value) if isinstance(value, list) else ():
                inner = Place(f"{place.path}[{number}]", item, (*place.index, number), value)
                yield from self._walk(inner, steps[1:], within)
        elif isinstance(value, Mapping):
            path = f"{place.path}.{steps[0]}" if place.path else steps[0]
            yield from self._walk(Place(path, value.get(steps[0]), place.index, value), steps[1:], within)

    def _meant(self, value: Json) -> bool:
        if self._among is not None and not _among(value, self._among):
            return False
        if self._none_of is not None and _among(value, self._none_of):
            return False
        if self._above is not None and not (_is_number(value) and value > self._above):
            return False
        if self._below is not None and not (_is_number(value) and value < self._below):
            return False
        return _has(value, self._beside) and not (self._unlike and _has(value, self._unlike))


def _has(value: Json, fields: Mapping[str, Json] | None) -> bool:
    """Tell whether a value is an object with some fields; anything has none."""
    return all(isinstance(value, Mapping) and value.get(name) == item for name, item in (fields or {}).items())


def _among(value: Json, known: Sequence[Json]) -> bool:
    """Tell whether a value is one of some; true is no 1."""
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in known)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
