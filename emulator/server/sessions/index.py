"""The directory of a shared store: all sessions but the default one, by id and by key."""

from __future__ import annotations

from emulator.core.cache import Memo
from emulator.stores.redis.pipeline import Line

#: Keys of clients that are known to be of no session, and the longest that could be of one.
MOST_STRANGERS, LONGEST_KEY = 10_000, 200
_SESSIONS, _KEYS = "emulator:sessions", "emulator:keys"


class Directory:
    """Finds a session by its key; a key that is of none stays so, for keys are not made twice."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._strangers: Memo[str, bool] = Memo(MOST_STRANGERS)

    async def find(self, key: str) -> str | None:
        """Return the id of the session that has a key."""
        if len(key) > LONGEST_KEY or self._strangers.get(key):
            return None
        id = await self._line.send("HGET", _KEYS, key)
        if id is None:
            self._strangers.put(key, True)
        return id.decode() if id else None

    async def add(self, id: str, key: str) -> None:
        self._line.send("HSET", _SESSIONS, id, key)
        await self._line.send("HSET", _KEYS, key, id)

    async def remove(self, id: str, key: str) -> None:
        self._line.send("HDEL", _SESSIONS, id)
        await self._line.send("HDEL", _KEYS, key)

    async def count(self) -> int:
        return int(await self._line.send("HLEN", _SESSIONS))

    async def ids(self) -> list[str]:
        return [id.decode() for id in await self._line.send("HKEYS", _SESSIONS)]
