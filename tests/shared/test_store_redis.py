"""The store suite over a real Redis: every test of `test_store` that is not about how memory is bounded."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import test_store

from emulator.core.store import Counters, Store, soon
from emulator.core.wire import Claim, Exchange, Grant, Sent
from emulator.stores.line import Line
from emulator.stores.redis import SCRIPTS, Entry, RedisStore
from emulator.stores.redis import living as living_key
from shared.redis_server import RedisServer

_NAMES = itertools.count()


class Waited:
    """A RedisStore that is waited for, with sessions of its own; an exchange is remade by the number of its claim."""

    def __init__(self, url: str, journal_size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.prefix = loop, f"{next(_NAMES)}-"
        self.line = Line(url, SCRIPTS)
        self.store = RedisStore(self.line, "w", journal_size, self._remake, lambda session: None)
        self.made: dict[bytes, Exchange] = {}
        self.claims = itertools.count()
        self.tags: dict[tuple[str, str, int], bytes] = {}

    async def _remake(self, session: str, entry: Entry, first: Exchange | None) -> Exchange | None:
        return self.made.get(entry.request)

    def wait(self, asked: Callable[[], Any]) -> Any:
        """Ask on the event loop, and wait for the answer if there is one to wait for."""

        async def waited() -> Any:
            return await soon(asked())

        return self.loop.run_until_complete(waited())

    def take(self, claim: Claim) -> Grant:
        tag = b"%d" % next(self.claims)
        mine = replace(claim, session=self.prefix + claim.session)
        grant: Grant = self.wait(lambda: self.store.take(mine, tag))
        self.tags[claim.session, grant.life, grant.number] = tag
        return grant

    def record(self, exchange: Exchange) -> None:
        claim, grant = exchange.claim, exchange.grant
        self.made[self.tags[claim.session, grant.life, grant.number]] = exchange
        self.wait(lambda: self.store.record(self._mine(exchange)))

    def sent(self, exchange: Exchange, sent: Sent) -> None:
        self.wait(lambda: self.store.sent(self._mine(exchange), sent))

    def _mine(self, exchange: Exchange) -> Exchange:
        return replace(exchange, claim=replace(exchange.claim, session=self.prefix + exchange.claim.session))

    def journal(self, session: str, since: int) -> tuple[Sequence[Exchange], int]:
        found: tuple[Sequence[Exchange], int] = self.wait(lambda: self.store.journal(self.prefix + session, since))
        return found

    def world(self, session: str, at: float) -> Counters:
        found: Counters = self.wait(lambda: self.store.world(self.prefix + session, at))
        return found

    def restart(self, session: str) -> None:
        self._forget(self.store.restart, session)

    def reset(self, session: str) -> None:
        self._forget(self.store.reset, session)

    def delete(self, session: str) -> None:
        self._forget(self.store.delete, session)

    def _forget(self, how: Callable[[str], None], session: str) -> None:
        async def forgotten() -> None:
            how(self.prefix + session)
            await self.line.settle()

        self.wait(forgotten)


@pytest.fixture
def make(redis_server: RedisServer) -> Iterator[Callable[[int], Store]]:
    """Return what makes a store; all stores of a test are on one event loop."""
    made: list[Waited] = []
    with asyncio.Runner() as runner:

        def waited(journal_size: int) -> Store:
            made.append(Waited(redis_server.url, journal_size, runner.get_loop()))
            return made[-1]

        yield waited
        for store in made:
            runner.run(store.line.close())


@pytest.fixture
def store(make: Callable[[int], Store]) -> Store:
    return make(10)


def _is_of_any_store(test: Any) -> bool:
    return not {"store", "make"}.isdisjoint(inspect.signature(test).parameters)


globals().update(
    (name, test) for name, test in vars(test_store).items() if name.startswith("test_") and _is_of_any_store(test)
)


def test_a_key_whose_worker_died_before_it_answered_is_free_again(redis_server: RedisServer) -> None:
    async def outcomes() -> list[Any]:
        line = Line(redis_server.url, SCRIPTS)
        dead, living = (RedisStore(line, worker, 10, _nothing, lambda session: None) for worker in ("dead", "living"))
        found = []
        await dead.beat()
        for session in ("while-it-lives", "after-it"):
            claim = replace(test_store.keyed(), session=session)
            if session == "after-it":
                await line.send("DEL", living_key("dead"))
            await dead.take(claim, b"first")
            found.append(test_store.outcome(await _granted(living.take(claim, b"second"))))
        await line.close()
        return found

    assert asyncio.run(outcomes()) == ["in_progress", 0]


async def _nothing(session: str, entry: Entry, first: Exchange | None) -> Exchange | None:
    return None


async def _granted(taking: Awaitable[Grant | None]) -> Grant:
    grant = await taking
    assert grant
    return grant


def test_what_can_no_longer_be_made_again_counts_as_dropped(
    make: Callable[[int], Store],
) -> None:
    store = make(10)
    first = test_store.answered(store, test_store.claim(test_store.ANY))
    store.take(test_store.claim(test_store.ANY))  # never recorded, so that it cannot be made again
    assert store.journal("s", 0) == ([first], 1)
