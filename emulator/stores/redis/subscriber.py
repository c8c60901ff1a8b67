"""An ear on Redis: messages of channels, as long as it is there, and again when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from redis import exceptions
from redis.asyncio.client import PubSub

from emulator.stores.redis.pipeline import ANSWER_S, Pipeline

log = logging.getLogger("emulator")

#: Seconds between two tries to reach a Redis that is gone.
AGAIN_S = 0.2
_FAILURES = (exceptions.RedisError, OSError)


class Subscriber:
    """Calls `hear(channel, message)` for every message, and `begun()` whenever it begins to listen."""

    def __init__(
        self, pipeline: Pipeline, hear: Callable[[str, bytes], Awaitable[None]], begun: Callable[[], Awaitable[None]]
    ) -> None:
        self._pipeline = pipeline
        self._hear = hear
        self._begun = begun
        self._channels: set[str] = set()
        self._pubsub: PubSub | None = None

    async def add(self, channel: str) -> None:
        """Listen to one more channel."""
        self._channels.add(channel)
        await self._tell("subscribe", channel)

    async def remove(self, channel: str) -> None:
        self._channels.discard(channel)
        await self._tell("unsubscribe", channel)

    async def _tell(self, command: str, channel: str) -> None:
        if self._pubsub:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(ANSWER_S):
                    await getattr(self._pubsub, command)(channel)

    async def listen(self) -> None:
        """Listen until cancelled."""
        while True:
            client = self._pipeline.listener()
            try:
                async with client, client.pubsub() as pubsub:
                    async with asyncio.timeout(ANSWER_S):
                        await pubsub.subscribe(*self._channels)
                    self._pubsub = pubsub
                    await self._begun()
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            await self._heard(message["channel"].decode(), message["data"])
            except _FAILURES:
                self._pubsub = None
            await asyncio.sleep(AGAIN_S)

    async def _heard(self, channel: str, message: bytes) -> None:
        try:
            await self._hear(channel, message)
        except Exception:  # one message must not end the listening
            log.exception("a message on %s failed", channel)
