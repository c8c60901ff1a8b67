"""What Redis could not be told, and what was not heard from it: made good as soon as it is back."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from emulator.core.store import StoreFailed
from emulator.stores.redis.claims import grant_end, keys_of
from emulator.stores.redis.pipeline import Pipeline, Script

FIND = Script("find")
#: Notes, and claims, that wait for Redis.
MOST = 10_000


class _LostClaim(NamedTuple):
    """A claim of which nobody knows whether it was taken; it is not after `until`. `fail` is told number and life."""

    until: float
    session: str
    end: str
    fail: Callable[[int, str], None]


class LostMessages:
    """One worker's; `beat` is called once a second."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._notes: deque[tuple[Any, ...]] = deque(maxlen=MOST)
        self._claims: deque[_LostClaim] = deque(maxlen=MOST)

    def tell(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Send a note that nobody waits for; where Redis is away, again with each beat."""

        def done(told: asyncio.Future[Any]) -> None:
            if not told.cancelled() and told.exception():
                self._notes.append(command)

        future = self._pipeline.send(*command)
        future.add_done_callback(done)
        return future

    def give_up(self, until: float, session: str, end: str, fail: Callable[[int, str], None]) -> None:
        """Look later whether a claim was taken, by how its grant ends; then tell."""
        self._claims.append(_LostClaim(until, session, end, fail))

    async def beat(self) -> None:
        """Tell again what was not told, and find what was taken unheard.

        Raises: StoreFailed.
        """
        notes, self._notes = self._notes, deque(maxlen=MOST)
        for command in notes:
            self.tell(command)
        now, ripe = asyncio.get_running_loop().time(), defaultdict[str, dict[str, _LostClaim]](dict)
        while self._claims and self._claims[0].until <= now:
            item = self._claims.popleft()
            ripe[item.session][item.end] = item
        for session, items in ripe.items():
            await self._find(session, items)

    async def _find(self, session: str, items: dict[str, _LostClaim]) -> None:
        try:
            found = await self._pipeline.send(*FIND.call(keys_of(session, ("session", "journal")), *items))
        except StoreFailed:
            self._claims.extendleft(items.values())
            raise
        for row in map(orjson.loads, found):
            items[grant_end(row[12], row[13])].fail(row[0], row[11])
