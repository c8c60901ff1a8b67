"""A line to Redis: commands in order, and all that wait go in one round trip; nothing is done a second time.

One batch is under way at a time, so that what one worker writes before it reads is always seen by it. Whoever waits is
told within ANSWER_S that Redis does not answer. What it has in its socket by then is run nevertheless once it goes on;
scripts that must not be so are sent with a time on the clock of Redis, after which they refuse.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from emulator.core.store import StoreFailed

#: Seconds for Redis to be reached, and to answer; those that are left for the answer to come when a script has run.
CONNECT_S, ANSWER_S, MARGIN_S = 2.0, 5.0, 0.5
#: Seconds without an answer after which the end of the line waits no longer, and those for a connection to be closed.
PATIENCE_S, CLOSE_S = 0.5, 0.1
#: Commands in one round trip: a batch that is too long would keep other workers waiting.
BATCH = 256
_FAILURES = (exceptions.RedisError, OSError, asyncio.TimeoutError)
#: The last argument of a script that is run in time or not at all; when that is, is known when it is sent.
_IN_TIME = object()
_ALWAYS = "1e999"


class Script:
    """A Lua script of `scripts/`, with what goes before it: sent whole only where Redis does not know it yet."""

    def __init__(self, name: str, *before: str) -> None:
        folder = files("emulator.stores.redis").joinpath("scripts")
        self.text = b"\n".join(folder.joinpath(f"{item}.lua").read_bytes() for item in (*before, name))
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()
        self._last = (_IN_TIME,) if "late" in before else ()

    def call(self, keys: Sequence[str | bytes], *arguments: str | bytes | int) -> tuple[Any, ...]:
        """Return the command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments, *self._last)

    def whole(self, command: tuple[Any, ...]) -> tuple[Any, ...]:
        return ("EVAL", self.text, *command[2:])


class _Waiting(NamedTuple):
    """A command that waits, who waits for it, and until when (on the loop's clock)."""

    command: tuple[Any, ...]
    future: asyncio.Future[Any]
    until: float


class Pipeline:
    """Sends commands as they come; a result is awaited by whom it concerns. Used on one event loop."""

    def __init__(self, url: str, scripts: Sequence[Script] = ()) -> None:
        self._url = url
        self._scripts = {script.digest: script for script in scripts}
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None
        self._batches = 0  # that were answered, or have failed
        self._ahead: float | None = None  # seconds that the clock of Redis is ahead of the loop's
        self._client: Redis | RedisCluster | None = None

    def send(self, *command: Any) -> asyncio.Future[Any]:
        """Put a command in the line; the result is there for whoever awaits it.

        Raises: StoreFailed, when awaited.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        future.add_done_callback(_take_notice)
        self._waiting.append(_Waiting(command, future, self.until()))
        if self._sending is None:
            self._sending = loop.create_task(self._run())
        return future

    def until(self) -> float:
        """Return until when what is sent now is waited for, on the loop's clock."""
        return asyncio.get_running_loop().time() + ANSWER_S

    def set_clock(self, now: int) -> None:
        """Know what time it is at Redis: microseconds."""
        self._ahead = now / 1e6 - asyncio.get_running_loop().time()

    async def settle(self) -> None:
        """Wait until all that was sent is done, or has failed."""
        while self._sending:
            await asyncio.shield(self._sending)

    async def close(self) -> None:
        """Disconnect when all that was sent is done, or when no answer comes any more: the rest has failed then."""
        while self._sending:
            sending, batches = self._sending, self._batches
            await asyncio.wait([sending], timeout=PATIENCE_S)
            if not sending.done() and batches == self._batches:
                sending.cancel()
                await asyncio.wait([sending])
        await self._forget()

    def listener(self) -> Redis:
        """Return a client of its own, to subscribe with; any node of a cluster passes messages on."""
        return _plain(self._url, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._send(batch)
                self._batches += 1
        except asyncio.CancelledError as error:
            waiting, self._waiting = self._waiting, []
            self._tell(waiting, [error] * len(waiting))
        finally:
            self._sending = None

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        until = batch[0].until  # it waits longest
        try:
            async with asyncio.timeout_at(until):
                results = await self._results([item.command for item in batch], until - MARGIN_S)
        except (*_FAILURES, asyncio.CancelledError) as error:
            self._tell(batch, [error] * len(batch))
            if isinstance(error, asyncio.CancelledError):
                raise
            await self._forget()
        else:
            self._tell(batch, results)

    def _tell(self, batch: Sequence[_Waiting], results: Sequence[Any]) -> None:
        for item, result in zip(batch, results, strict=True):
            if item.future.done():
                continue
            if isinstance(result, BaseException):
                item.future.set_exception(StoreFailed(f"Redis at {place(self._url)} failed: {told(result)}"))
            else:
                item.future.set_result(result)

    async def _results(self, commands: Sequence[tuple[Any, ...]], until: float) -> list[Any]:
        """Run commands; a script that did nothing, unknown or by a clock that was set meanwhile, is sent once more."""
        results = await self._execute([self._timed(command, until) for command in commands])
        for _ in range(2):  # one may be both
            again = [n for n, result in enumerate(results) if self._did_nothing(commands[n], result)]
            if not again:
                return results
            whole = [self._scripts[commands[n][1]].whole(commands[n]) for n in again]
            found = await self._execute([self._timed(command, until) for command in whole])
            for n, result in zip(again, found, strict=True):
                results[n] = result
        return [
            TimeoutError() if self._did_nothing(command, result) else result
            for command, result in zip(commands, results, strict=True)
        ]

    def _timed(self, command: tuple[Any, ...], until: float) -> tuple[Any, ...]:
        """Say until when a script may run, if it is one that must know."""
        if command[-1] is not _IN_TIME:
            return command
        return (*command[:-1], _ALWAYS if self._ahead is None else int((until + self._ahead) * 1e6))

    def _did_nothing(self, command: tuple[Any, ...], result: Any) -> bool:
        if command[-1] is _IN_TIME and isinstance(result, list) and result[:1] == [b"late"]:
            self.set_clock(result[1])
            return True
        return isinstance(result, exceptions.NoScriptError)

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
        client = self._client = _plain(self._url, ANSWER_S)
        info = await client.info("cluster")
        if not info.get("cluster_enabled"):
            return client
        await client.aclose()
        cluster = self._client = RedisCluster.from_url(
            self._url, socket_timeout=ANSWER_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
        )
        return cluster

    async def _forget(self) -> None:
        """Begin with fresh connections after a failure."""
        if self._client:
            client, self._client = self._client, None
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(CLOSE_S):
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
    if isinstance(error, asyncio.TimeoutError | asyncio.CancelledError):
        return "it does not answer"
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
