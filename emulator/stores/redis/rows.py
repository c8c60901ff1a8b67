"""The rows of a journal, each made an exchange again when it is read: what is missing to that is said in a note."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from emulator.core.frozen import frozen
from emulator.core.values import Exchange, Note, Sent
from emulator.stores.redis.claims import key_of, sent_in
from emulator.stores.redis.pipeline import Pipeline

#: Rows of a journal that are read at once; other connections have their turn between them.
ROWS = 50
#: Fields of a journal's row: request, grant, rest, sent, and the same of the first answer where it is a replay.
_FIELDS = ("r", "g", "x", "s", "fr", "fg", "fx")
#: What is kept as sent where the store was away before the answer could go out, and what is said of it.
FAILED = b"failed"
_FAILURE = Note(None, "sent", "the store failed before this could be answered: the client got a 500, store_failed")
_NOTHING = Sent(0, (), "cut", 0.0)
_ENDED = Note(None, "sent", "the worker that took this request ended before it told what was sent")


@frozen
class Entry:
    """A row of a journal: what an exchange is made of; `rest` is what cannot be worked out again."""

    request: bytes
    grant: Sequence[Any]
    rest: bytes
    first: Entry | None = None


Remake = Callable[[str, Entry, Exchange | None], Awaitable[Exchange | None]]


class Rows:
    """Reads what is kept of exchanges; `remake(session, entry, first)` makes one of it, or None."""

    def __init__(self, pipeline: Pipeline, worker: str, remake: Remake) -> None:
        self._pipeline = pipeline
        self._worker = worker
        self.remake = remake

    async def since(
        self, session: str, number: int, before: int | None = None, most: int | None = None
    ) -> tuple[list[Exchange], int]:
        """Return the exchanges after a number and before another, or the first `most`, and how many are gone."""
        last, oldest = await self._pipeline.send("HMGET", key_of(session, "session"), "number", "oldest")
        first, end = int(oldest or 1), before or int(last or 0) + 1
        exchanges: list[Exchange] = []
        gone, begin = first - 1, max(number + 1, first)
        end = end if most is None else min(end, begin + most)
        for start in range(begin, end, ROWS):
            numbers = range(start, min(start + ROWS, end))
            found = await self.read(session, numbers)
            exchanges += found
            gone += len(numbers) - len(found)
            await asyncio.sleep(0)
        return exchanges, gone

    async def read(self, session: str, numbers: Sequence[int], with_texts: Sequence[bytes] = ()) -> list[Exchange]:
        """Return the exchanges of these numbers that can be made again, and whose requests may have some texts."""
        if not numbers:
            return []
        fields = [f"{name}{number}" for number in numbers for name in _FIELDS]
        values = await self._pipeline.send("HMGET", key_of(session, "journal"), *fields)
        rows = [values[at : at + len(_FIELDS)] for at in range(0, len(values), len(_FIELDS))]
        alive = {self._worker: True}
        made = [
            await self._made(session, row, alive) for row in rows if row[0] is not None and may_have(row[0], with_texts)
        ]
        return [item for item in made if item]

    async def _made(self, session: str, row: Sequence[bytes | None], alive: dict[str, bool]) -> Exchange | None:
        request, grant, rest, sent, *given = (value or b"" for value in row)
        first = Entry(given[0], orjson.loads(given[1]), given[2]) if given[0] else None
        entry = Entry(request, orjson.loads(grant), rest, first)
        replayed = await self.remake(session, first, None) if first else None
        exchange = await self.remake(session, entry, replayed)
        if exchange is None:
            return None
        if sent == FAILED:
            return replace(exchange, sent=_NOTHING, notes=(*exchange.notes, _FAILURE))
        if sent:
            return replace(exchange, sent=sent_in(sent))
        worker = entry.grant[12]
        if worker not in alive:
            alive[worker] = await self.is_alive(worker)
        return replace(exchange, sent=_NOTHING, notes=(*exchange.notes, _ENDED)) if not alive[worker] else exchange

    async def is_alive(self, worker: str) -> bool:
        """Tell whether a worker is still there."""
        return worker == self._worker or bool(await self._pipeline.send("EXISTS", living(worker)))


def may_have(request: bytes, texts: Sequence[bytes]) -> bool:
    """Tell whether a kept request may have texts: where it has none that is escaped, they are in its bytes."""
    return not texts or b"\\" in request or all(text in request for text in texts)


def living(worker: str) -> str:
    """Return the key that is there as long as a worker lives."""
    return f"emulator:worker:{worker}"
