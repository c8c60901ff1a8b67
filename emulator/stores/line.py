"""A line to Redis: commands in order, and all that wait go in one round trip; nothing is sent a second time.

One batch is under way at a time, so that what one worker writes before it reads is always seen by it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from emulator.core.store import StoreFailed

#: Seconds for Redis to be reached, and to answer.
CONNECT_S, ANSWER_S = 2.0, 5.0
#: Commands in one round trip: a batch that is too long would keep other workers waiting.
BATCH = 256
_FAILURES = (exceptions.RedisError, OSError, asyncio.TimeoutError)


class Script:
    """A Lua script by its name in `scripts/`: sent whole only where Redis does not know it yet."""

    def __init__(self, name: str) -> None:
        self.text = files("emulator.stores").joinpath(f"scripts/{name}.lua").read_bytes()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str | bytes], *arguments: str | bytes | int) -> tuple[Any, ...]:
        """Return the command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)

    def whole(self, command: tuple[Any, ...]) -> tuple[Any, ...]:
        return ("EVAL", self.text, *command[2:])


class Line:
    """Sends commands as they come; a result is awaited by whom it concerns. Used on one event loop."""

    def __init__(self, url: str, scripts: Sequence[Script] = ()) -> None:
        self._url = url
        self._scripts = {script.digest: script for script in scripts}
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._client: Redis | RedisCluster | None = None

    def send(self, *command: Any) -> asyncio.Future[Any]:
        """Put a command in the line; the result is there for whoever awaits it.

        Raises: StoreFailed, when awaited.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_take_notice)
        self._waiting.append((command, future))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._run())
        return future

    async def settle(self) -> None:
        """Wait until all that was sent is done, or has failed."""
        while self._sending:
            await asyncio.shield(self._sending)

    async def close(self) -> None:
        await self.settle()
        if self._client:
            client, self._client = self._client, None
            await client.aclose()

    def listener(self) -> Redis:
        """Return a client of its own, to subscribe with; any node of a cluster passes messages on."""
        return _plain(self._url, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._send(batch)
        finally:
            self._sending = None

    async def _send(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        try:
            results = await self._execute([command for command, _ in batch])
            unknown = [n for n, result in enumerate(results) if isinstance(result, exceptions.NoScriptError)]
            again = [self._scripts[batch[n][0][1]].whole(batch[n][0]) for n in unknown]
            for n, result in zip(unknown, await self._execute(again) if again else (), strict=True):
                results[n] = result
        except _FAILURES as error:
            await self._forget()
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, Exception):
                future.set_exception(StoreFailed(f"Redis at {place(self._url)} failed: {told(result)}"))
            else:
                future.set_result(result)

    async def _execute(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = self._client or await self._connect()
        pipeline = client.pipeline(transaction=False)
        if isinstance(client, RedisCluster):
            await pipeline.initialize()
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    async def _connect(self) -> Redis | RedisCluster:
        """Find out whether it is a cluster: only then do the commands go to the nodes of their keys."""
        client: Redis | RedisCluster = _plain(self._url, ANSWER_S)
        try:
            info = await client.info("cluster")
        except _FAILURES:
            await client.aclose()
            raise
        if info.get("cluster_enabled"):
            await client.aclose()
            client = RedisCluster.from_url(
                self._url, socket_timeout=ANSWER_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
            )
        self._client = client
        return client

    async def _forget(self) -> None:
        """Begin with fresh connections after a failure."""
        if self._client:
            client, self._client = self._client, None
            with contextlib.suppress(*_FAILURES):
                await client.aclose()


def _take_notice(future: asyncio.Future[Any]) -> None:
    """Keep asyncio from complaining where nobody awaits what failed."""
    if not future.cancelled():
        future.exception()


def _plain(url: str, answer_s: float | None) -> Redis:
    client: Redis = Redis.from_url(
        url, socket_timeout=answer_s, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
    )
    return client


def place(url: str) -> str:
    """Return host, port and database of a Redis URL, without what else stands in it."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"


def told(error: BaseException) -> str:
    """Return what an error says, in one line and without an address that may hold a password."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
