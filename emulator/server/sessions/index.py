"""The directory of a shared store: all sessions but the default one, by id and by key."""

from __future__ import annotations

from emulator.core.cache import LruCache
from emulator.core.frozen import frozen
from emulator.stores.redis.pipeline import Pipeline

#: Keys of clients that are known to be of no session, and the longest that could be of one.
MOST_STRANGERS, LONGEST_KEY = 10_000, 200
_SESSIONS, _KEYS = "emulator:sessions", "emulator:keys"


@frozen
class SessionVersion:
    """What this worker knows of a session: its version, its life (a reset begins another), its source's digest."""

    version: str
    life: str
    source: str


class SessionIndex:
    """Finds a session by its key; a key that is of none stays so, for keys are not made twice."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._strangers: LruCache[str, bool] = LruCache(MOST_STRANGERS)

    async def find(self, key: str) -> str | None:
        """Return the id of the session that has a key."""
        if len(key) > LONGEST_KEY or self._strangers.get(key):
            return None
        id = await self._pipeline.send("HGET", _KEYS, key)
        if id is None:
            self._strangers.put(key, True)
        return id.decode() if id else None

    async def add(self, id: str, key: str) -> None:
        self._pipeline.send("HSET", _SESSIONS, id, key)
        await self._pipeline.send("HSET", _KEYS, key, id)

    async def remove(self, id: str, key: str) -> None:
        self._pipeline.send("HDEL", _SESSIONS, id)
        await self._pipeline.send("HDEL", _KEYS, key)

    async def count(self) -> int:
        return int(await self._pipeline.send("HLEN", _SESSIONS))

    async def ids(self) -> list[str]:
        return [id.decode() for id in await self._pipeline.send("HKEYS", _SESSIONS)]
