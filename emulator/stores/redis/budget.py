"""The bytes that all sessions of a shared store keep, as each worker knows them: looked at once a second.

Sessions are on nodes of their own in a cluster, so no script sees two of them. What each keeps stands in its own hash;
the workers that touch it carry that on to one key for all, until it stands there as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

from emulator.core.store import StoreFailed
from emulator.stores.redis.claims import key_of
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
