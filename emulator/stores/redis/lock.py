"""A lock on a session that all workers know."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from emulator.core.store import StoreFailed
from emulator.stores.redis.claims import key_of
from emulator.stores.redis.pipeline import Pipeline, Script

UNLOCK = Script("unlock")
#: Seconds after which a lock is taken from a worker that does not give it back, between two tries, and for all tries.
LOCK_S, TRY_S, TRIES_S = 10.0, 0.005, 15.0


@asynccontextmanager
async def locked(pipeline: Pipeline, session: str) -> AsyncIterator[None]:
    """Keep other workers, and other requests to this one, from changing a session.

    Raises: StoreFailed, also where others keep it for too long.
    """
    lock, token = key_of(session, "lock"), secrets.token_hex(8)
    try:
        await _lock(pipeline, lock, token)
        yield
    finally:  # also where nobody knows whether it was got
        pipeline.send(*UNLOCK.call([lock], token))


async def _lock(pipeline: Pipeline, lock: str, token: str) -> None:
    try:
        async with asyncio.timeout(TRIES_S):
            while not await pipeline.send("SET", lock, token, "NX", "PX", int(LOCK_S * 1000)):
                await asyncio.sleep(TRY_S)
    except TimeoutError:
        raise StoreFailed(f"Others have kept {lock} for {TRIES_S:g} s.") from None
