"""The store suite over a real Redis: every test of `test_store` that is not about how memory is bounded."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
import test_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.core.store import Counters, Store, soon
from emulator.core.values import Claim, Exchange, Grant, Keeping, Sent, Standing
from emulator.stores.redis.claims import sent_in, sent_row
from emulator.stores.redis.pipeline import Pipeline
from emulator.stores.redis.rows import Entry, may_have
from emulator.stores.redis.rows import living as living_key
from emulator.stores.redis.store import SCRIPTS, RedisStore
from shared.redis_server import RedisServer

_NAMES = itertools.count()


class Waited:
    """A RedisStore that is waited for, with sessions of its own; an exchange is remade by the number of its claim."""

    def __init__(self, url: str, journal_size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.prefix = loop, f"{next(_NAMES)}-"
        self.pipeline = Pipeline(url, SCRIPTS)
        self.store = RedisStore(self.pipeline, "w", journal_size, self._remake, lambda session: None)
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
        grant: Grant = self.wait(lambda: begun(self.store, mine, tag))
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

    def journal(self, session: str, since: int, most: int | None = None) -> tuple[Sequence[Exchange], int]:
        name = self.prefix + session
        found: tuple[Sequence[Exchange], int] = self.wait(lambda: self.store.journal(name, since, most))
        return found

    def recall(self, session: str, ident: str, with_texts: Sequence[bytes] = ()) -> tuple[Exchange, str] | None:
        name = self.prefix + session
        found: tuple[Exchange, str] | None = self.wait(lambda: self.store.recall(name, ident, with_texts))
        return found

    def listed(self, session: str, of: str) -> Sequence[str]:
        found: Sequence[str] = self.wait(lambda: self.store.listed(self.prefix + session, of))
        return found

    def counters(self, session: str, at: float) -> Counters:
        found: Counters = self.wait(lambda: self.store.counters(self.prefix + session, at))
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
            await self.pipeline.settle()

        self.wait(forgotten)


async def begun(store: RedisStore, claim: Claim, request: bytes) -> Grant:
    """Take a claim in a session that begins with it, if it is not there yet."""
    await store.change(claim.session, "", "", f"life-{next(_NAMES)}", {"version": "1", "now": "0"})
    grant = await store.take(claim, request, "1")
    assert grant
    return grant


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
            runner.run(store.pipeline.close())


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
        pipeline = Pipeline(redis_server.url, SCRIPTS)
        dead, living = (
            RedisStore(pipeline, worker, 10, _nothing, lambda session: None) for worker in ("dead", "living")
        )
        found = []
        await dead.beat()
        for session in ("while-it-lives", "after-it"):
            claim = replace(test_store.keyed(), session=session)
            if session == "after-it":
                await pipeline.send("DEL", living_key("dead"))
            await begun(dead, claim, b"first")
            found.append(test_store.outcome(await begun(living, claim, b"second")))
        await pipeline.close()
        return found

    assert asyncio.run(outcomes()) == ["in_progress", 0]


async def _nothing(session: str, entry: Entry, first: Exchange | None) -> Exchange | None:
    return None


def test_what_can_no_longer_be_made_again_counts_as_dropped(
    make: Callable[[int], Store],
) -> None:
    store = make(10)
    first = test_store.answered(store, test_store.claim(test_store.ANY))
    store.take(test_store.claim(test_store.ANY))  # never recorded, so that it cannot be made again
    assert store.journal("s", 0) == ([first], 1)


def test_an_answer_whose_request_lacks_a_text_is_not_made_again(make: Callable[[int], Store]) -> None:
    store = make(10)
    test_store.that_keeps(store, Keeping("keep", "one"))  # its request is b"0"
    texts: list[tuple[bytes, ...]] = [(), (b"0",), (b'"none"',), (b"0", b'"none"')]
    assert [store.recall("s", "one", asked) is not None for asked in texts] == [True, True, False, False]
    test_store.that_keeps(store, Keeping("change", "one", data='{"metadata":{"k":"none"}}'))
    assert store.recall("s", "one", (b'"none"',)) is not None


@pytest.mark.parametrize(
    ("request_body", "may"),
    [(b'{"k":"none"}', True), (b'{"k":"other"}', False), (rb'{"k":"n\u006fne"}', True)],
    ids=["there", "not there", "escaped"],
)
def test_what_is_escaped_may_be_any_text(request_body: bytes, may: bool) -> None:
    assert may_have(request_body, [b'"none"']) is may


# What is kept, in bytes

ROW = 300
LONG = b"r" * 1000


def hashes(server: RedisServer, session: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return what a session keeps: its own facts, its journal's rows, its idempotency records' first answers."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        journal, firsts, facts = (
            client.hgetall(f"emulator:{{{session}}}:{part}") for part in ("journal", "firsts", "session")
        )
    return facts, journal, firsts  # type: ignore[return-value]


def assert_counted(server: RedisServer, session: str) -> int:
    """Compare the bytes that a session counts with those that it keeps, and return them."""
    facts, journal, firsts = hashes(server, session)
    numbers = {name.lstrip("rgxsf") for name in journal}
    rows = sum(len(value.encode()) for value in journal.values()) + ROW * len(numbers)
    first = sum(len(value.encode()) for value in firsts.values())
    assert (int(facts["bytes"]), int(facts.get("first-bytes", 0))) == (rows, first)
    assert len(numbers) == int(facts["number"]) - int(facts["oldest"]) + 1
    return rows + first


def stored(runner: asyncio.Runner, url: str, journal_bytes: int, journal_size: int = 100) -> RedisStore:
    async def made() -> RedisStore:
        return RedisStore(Pipeline(url, SCRIPTS), "w", journal_size, _nothing, lambda session: None, journal_bytes)

    return runner.run(made())


async def done(store: RedisStore, claim: Claim, rest: bytes = b"", frames: int = 1) -> Grant:
    grant = await begun(store, claim, LONG)
    exchange = test_store.exchange(claim, grant)
    await soon(store.record(exchange, rest))
    await store.sent(exchange, Sent(2, tuple(n / 1000 for n in range(frames)), "complete", 0.5))
    return grant


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["plain", "keyed", "again"]), st.integers(0, 2000), st.integers(0, 50)), max_size=12
    ),
    most=st.integers(0, 12_000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
def test_a_session_counts_the_bytes_that_it_keeps_and_stays_within_them(
    redis_server: RedisServer, steps: list[tuple[str, int, int]], most: int
) -> None:
    session, keys = f"{next(_NAMES)}-counted", itertools.count()

    async def run(store: RedisStore) -> None:
        key = 0
        for kind, rest, frames in steps:
            key = next(keys) if kind == "keyed" else key
            claim = test_store.claim(test_store.ANY)
            if kind != "plain":
                claim = test_store.keyed(idempotency=(f"key-{key}", "one-body", 60.0))
            await done(store, replace(claim, session=session), b"x" * rest, frames)
            assert assert_counted(redis_server, session) <= most
        await store.pipeline.close()

    async def remade(session: str, entry: Entry, first: Exchange | None) -> Exchange | None:
        claim = test_store.keyed()
        return test_store.exchange(claim, Grant(1, Standing(None, None, None, 0.0), "started"))

    with asyncio.Runner() as runner:
        store = stored(runner, redis_server.url, most, 5)
        store._remake = remade
        runner.run(run(store))


def numbers(server: RedisServer, session: str) -> list[int]:
    """Return which rows a journal has."""
    return sorted(int(name[1:]) for name in hashes(server, session)[1] if name.startswith("r"))


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[tuple[asyncio.Runner, RedisStore, RedisStore]]:
    """Two workers on a store that is empty, whose sessions may keep 8 rows of `done` together."""
    redis_server.forget()
    with asyncio.Runner() as runner:
        one, two = (stored(runner, redis_server.url, 8 * 1450) for _ in range(2))
        yield runner, one, two
        for store in (one, two):
            runner.run(store.pipeline.close())


PLAIN = test_store.claim(test_store.ANY)


def test_all_sessions_together_are_bounded_and_the_one_that_records_drops_its_oldest(
    redis_server: RedisServer, workers: tuple[asyncio.Runner, RedisStore, RedisStore]
) -> None:
    runner, a, b = workers

    async def run() -> list[Any]:
        for _ in range(5):
            await done(a, replace(PLAIN, session="one"))
        await a.beat()
        for _ in range(4):
            await done(b, replace(PLAIN, session="two"))
        found = [numbers(redis_server, "two")]  # within a beat a worker does not know of the others
        await b.beat()
        for _ in range(2):
            await done(b, replace(PLAIN, session="two"))
        found += [numbers(redis_server, name) for name in ("one", "two")]
        a.delete("one")
        await a.beat()
        await b.beat()
        for _ in range(4):
            await done(b, replace(PLAIN, session="two"))
        return [*found, numbers(redis_server, "two")]

    found = runner.run(run())
    assert found == [[1, 2, 3, 4], [1, 2, 3, 4, 5], [4, 5, 6], [4, 5, 6, 7, 8, 9, 10]]


def test_where_others_leave_no_room_even_the_newest_is_dropped_and_a_key_is_free_again(
    redis_server: RedisServer, workers: tuple[asyncio.Runner, RedisStore, RedisStore]
) -> None:
    runner, a, b = workers

    async def run() -> None:
        for store, session in ((a, "one"), (b, "two")):
            for _ in range(5):
                await done(store, replace(PLAIN, session=session))
        for store in (a, b, a):
            await store.beat()
        keyed = replace(test_store.keyed(), session="three")
        grants = [await done(a, keyed) for _ in range(2)]
        assert [(grant.number, grant.candidate, grant.replay) for grant in grants] == [(1, 0, None), (2, 0, None)]
        assert assert_counted(redis_server, "three") == 0
        assert await a.journal("three", 0) == ([], 2)
        assert (await a.counters("three", 0.0)).dropped == 2
        assert (await done(a, replace(keyed, history=True))).exchanges == ()

    runner.run(run())


def test_a_session_that_was_deleted_while_it_was_counted_does_not_count_for_ever(
    redis_server: RedisServer, workers: tuple[asyncio.Runner, RedisStore, RedisStore]
) -> None:
    runner, a, b = workers

    async def run() -> None:
        await done(a, replace(PLAIN, session="one"))
        tell = a._budget.tell

        def late(kept: dict[str, int]) -> Any:
            b.delete("one")

            async def told() -> int:
                await b.beat()
                return await tell(kept)

            return told()

        a._budget.tell = late  # type: ignore[method-assign]
        await a.beat()
        a._budget.tell = tell  # type: ignore[method-assign]
        assert redis_server.ask("HEXISTS", "emulator:kept", "one") == ":1"
        await a.beat()
        assert redis_server.ask("HEXISTS", "emulator:kept", "one") == ":0"

    runner.run(run())


@given(frames=st.lists(st.floats(0, 1e6, allow_nan=False), max_size=20))
def test_times_of_frames_are_kept_to_the_microsecond(frames: list[float]) -> None:
    sent = Sent(10, tuple(frames), "cut", 1.25, 2.5, 0.1)
    kept = sent_in(sent_row(sent))
    assert replace(kept, frames=()) == replace(sent, frames=())
    assert kept.frames == pytest.approx(frames, abs=6e-7)


def test_the_times_of_a_long_stream_are_kept_in_few_bytes() -> None:
    assert len(sent_row(Sent(0, tuple(0.020013 * n for n in range(10_000)), "complete", 0.0))) < 61_000
