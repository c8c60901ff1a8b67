"""A page of a list of kept answers, or of their items: what is asked for, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from emulator.core.answer.stored import Recalled
from emulator.core.durations import whole_number
from emulator.core.errors import Json
from emulator.core.provider.operation import Operation
from emulator.core.tree import Path, at
from emulator.core.values import Exchange


class Page:
    """What a list is asked for: by its query, with the documented defaults."""

    def __init__(self, operation: Operation, asked: Mapping[str, str]) -> None:
        names = operation.page
        given: Mapping[str, Json] = {**operation.checks(frozenset()).defaults, **asked}
        limit = whole_number(str(given.get(names["limit"], "")))
        self.limit = 20 if limit is None else limit
        self.after = str(given.get(names["after"], ""))
        self.oldest_first = given.get(names["order"]) == names["oldest_first"]
        self._wanted = dict(_wanted(operation.page.get("filters", ()), asked))
        #: What fields of fields, which answers repeat from requests, must be.
        self.of_request = [orjson.dumps(value) for place, value in self._wanted.items() if len(place) > 1]

    def begin(self, order: Sequence[Any], name: Callable[[Any], str]) -> int | None:
        """Return where the page begins; None where nothing has the id after which it is to."""
        if not self.after:
            return 0
        return next((place for place, item in enumerate(order, 1) if name(item) == self.after), None)

    def may_want(self, exchange: Exchange, change: str) -> bool:
        """Tell whether an answer need be read: what a filter asks for is in its bytes, its request, or what changed."""
        said = [sent_in(exchange), orjson.loads(change) if change else {}]
        data = data_of(exchange) if self._wanted else b""
        return all(orjson.dumps(value) in data or _has(said, place, value) for place, value in self._wanted.items())

    def wants(self, *said: Mapping[str, Json]) -> bool:
        """Tell whether an answer, or its request, has what the list asks for."""
        return all(_has(said, place, value) for place, value in self._wanted.items())

    def told(self, rows: Sequence[Json], ids: Sequence[str], more: bool) -> Recalled:
        ends = {"first_id": ids[0], "last_id": ids[-1]} if ids else {"first_id": None, "last_id": None}
        return Recalled(page={"items": rows, **ends, "has_more": more})


def _has(said: Iterable[Mapping[str, Json]], place: Path, value: str) -> bool:
    return any(at(one, place) == value for one in said)


def _wanted(names: Sequence[str], asked: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield the places that must be so: NAME, or NAME[KEY] where NAME[] is known; others are no filters."""
    for given, value in asked.items():
        name, _, key = given.removesuffix("]").partition("[")
        if (f"{name}[]" if key else given) in names:
            yield (name, key) if key else (name,), value


def data_of(exchange: Exchange) -> bytes:
    """Return the bytes of an answer: what is not in them need not be read."""
    return b"".join([exchange.later.body if exchange.later else b"", *(item.data for item in exchange.timeline.frames)])


def sent_in(exchange: Exchange) -> Mapping[str, Json]:
    return exchange.claim.call.body if exchange.claim.call else {}
