"""What a worker looks after once a second: the bytes that all sessions keep, and what Redis could not be told.

Sessions are on nodes of their own in a cluster, so no script sees two of them. What each keeps stands in its own hash;
the workers that touch it carry that on to one key for all, until it stands there as it is.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson

from emulator.core.store import StoreFailed
from emulator.stores.redis.claims import grant_end, key_of, keys_of
from emulator.stores.redis.pipeline import Pipeline, Script

KEPT = Script("kept")
_KEY = "emulator:kept"


class SharedBudget:
    """What sessions may keep together, journals and idempotency records; `most` in bytes."""

    def __init__(self, pipeline: Pipeline, most: int) -> None:
        self._pipeline = pipeline
        self._most = most
        self._all = 0
        self._told: dict[str, int] = {}  # by session: what this worker has told, or has heard
        self._touched: set[str] = set()

    def touch(self, session: str) -> None:
        """Look at a session with the next beat."""
        self._touched.add(session)

    async def know(self, session: str) -> None:
        """Learn what a session counts for, if that matters now."""
        if self._all > self._most and session not in self._told:
            self._told[session] = int(await self._pipeline.send("HGET", _KEY, session) or 0)

    def room(self, session: str) -> int:
        """Return how many bytes a session that records may keep: where all are over, what the others leave to it."""
        return self._most if self._all <= self._most else self._most - (self._all - self._told.get(session, 0))

    async def beat(self) -> None:
        """Tell what the touched sessions keep, and learn what all do.

        One that was told is looked at again: it may have been deleted before that, and would count for ever.
        """
        touched, self._touched = self._touched, set()
        try:
            kept = dict(zip(touched, await asyncio.gather(*map(self._bytes_of, touched)), strict=True))
            changed = {id: size for id, size in kept.items() if size != self._told.get(id, 0)}
            self._all = await self.tell(changed)
        except StoreFailed:
            self._touched |= touched
            raise
        self._touched |= changed.keys()
        self._told = {id: size for id, size in (self._told | changed).items() if size}

    async def _bytes_of(self, session: str) -> int:
        found = await self._pipeline.send("HMGET", key_of(session, "session"), "bytes", "first-bytes")
        return sum(int(value or 0) for value in found)

    def tell(self, kept: Mapping[str, int]) -> Awaitable[int]:
        """Note what sessions keep, and return what all do."""
        return self._pipeline.send(*KEPT.call([_KEY], *(part for item in kept.items() for part in item)))


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
