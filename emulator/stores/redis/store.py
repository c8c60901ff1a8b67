"""A store in Redis for many workers: one script takes a claim, and nothing else is awaited in the steady state.

Of an exchange Redis holds what it was made from: the request, what was granted, and the source of its session. `remake`
makes it again when it is read, which gives the same because the core is pure. All keys of a session share a hash tag,
so that a cluster keeps them on one node.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from emulator.core.store import Counters, KeptExchange, StoreFailed
from emulator.core.values import STARTED, Claim, Exchange, Grant, Sent
from emulator.stores.admission import MOST_PAST, standings
from emulator.stores.memory import JOURNAL_BYTES
from emulator.stores.redis import claims
from emulator.stores.redis.claims import SEPARATOR, key_of, keys_of
from emulator.stores.redis.lock import UNLOCK
from emulator.stores.redis.pipeline import Pipeline, Script
from emulator.stores.redis.rows import FAILED, Entry, Remake, Rows, living
from emulator.stores.redis.upkeep import FIND, KEPT, LostMessages, SharedBudget

#: How long a worker is taken for alive after it last said so, and how often it says so: seconds.
ALIVE_S, BEAT_S = 5.0, 1.0
TAKE, NOTE = Script("take", "late", "rows"), Script("note", "late", "rows")
CHANGE, COMPLETE, BEAT = Script("change", "late"), Script("complete", "late"), Script("beat")
KEEP = Script("keep", "late")
SCRIPTS = (TAKE, NOTE, CHANGE, COMPLETE, BEAT, UNLOCK, KEPT, FIND, KEEP)
#: The channel on which it is told that a session has changed, and how many recipes are kept of one.
TOLD = "emulator:told"
MOST_RECIPES = 1000
_NEVER = "1e999"


class RedisStore:
    """Implements Store for many workers, but that a claim is taken with its request, and awaited.

    `remake(session, entry, first)` makes an exchange of an entry; None where the session's source is gone.
    `now(session)` is the time of a virtual clock.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        worker: str,
        journal_size: int,
        remake: Remake,
        now: Callable[[str], float | None],
        journal_bytes: int = JOURNAL_BYTES,
    ) -> None:
        self.pipeline = pipeline
        self.worker = worker
        self.journal_size = journal_size
        self.rows = Rows(pipeline, worker, remake)
        self._now = now
        self._budget = SharedBudget(pipeline, journal_bytes)
        self._lost = LostMessages(pipeline)
        self._asks = itertools.count(1)

    # A request

    async def take(self, claim: Claim, request: bytes, version: str) -> Grant | None:
        """Give the claim what Store.take gives; None where the session has changed since that version, or its clock.

        Raises: StoreFailed.
        """
        asked = claims.asked_of(claim) | {"worker": self.worker, "journal_size": self.journal_size, "version": version}
        if self._now(claim.session) is not None:
            asked["virtual"] = True
        await self._budget.know(claim.session)
        said, *given = await self._take(claim, asked, request)
        while said == b"whose":  # somebody's answer to the same idempotency key is still to come, if that worker lives
            worker = given[0].decode()
            asked["alive" if await self.rows.is_alive(worker) else "dead"] = worker
            said, *given = await self._take(claim, asked, request)
        if said == b"stale":
            return None
        row = orjson.loads(given[0])
        try:
            return await self._granted(claim, row, given)
        except StoreFailed:
            self._fail(claim.session, claims.record_of(claim), row[0], row[11])
            raise

    async def _take(self, claim: Claim, asked: dict[str, Any], request: bytes) -> list[Any]:
        self._budget.touch(claim.session)
        ask, until = next(self._asks), self.pipeline.until()
        asked |= {"room": self._budget.room(claim.session), "ask": ask}
        command = TAKE.call(keys_of(claim.session, claims.needed(claim)), orjson.dumps(asked), request)
        try:
            taken: list[Any] = await self.pipeline.send(*command)
        except StoreFailed:
            fail = partial(self._fail, claim.session, claims.record_of(claim))
            self._lost.give_up(until, claim.session, claims.grant_end(self.worker, ask), fail)
            raise
        return taken

    async def _granted(self, claim: Claim, row: Sequence[Any], given: Sequence[bytes | None]) -> Grant:
        grant = claims.grant_of(row, claim.plan, claim.cost)
        if row[10]:
            first = Entry(given[1] or b"", orjson.loads(given[2] or b""), given[3] or b"")
            grant = replace(grant, replay=await self.rows.remake(claim.session, first, None))
        if claim.history and not (grant.idempotency or grant.replay or grant.standing.exceeded):
            past, _ = await self.rows.since(claim.session, max(0, grant.number - 1 - MOST_PAST), grant.number)
            grant = replace(grant, exchanges=tuple(past))
        return grant

    def record(self, exchange: Exchange, rest: bytes = b"") -> Awaitable[Any] | None:
        """Note what must be known before the answer goes out, and return what to await; None where nothing must."""
        claim, grant = exchange.claim, exchange.grant
        begun = claim.idempotency and not (grant.replay or grant.idempotency or grant.standing.exceeded)
        kept = self._keep(exchange)
        if not (begun or rest or (claims.counts_at_once(claim) and exchange.tokens)):
            return self._recorded(exchange, kept) if kept else None
        timeline = exchange.timeline
        good = "1" if timeline.status < 400 and not timeline.broken else "0"
        command = self._note(
            claim.session, grant.number, grant.life,
            tokens=_cost(exchange) if claims.counts_at_once(claim) else 0,
            window=claims.window_of(claim),
            record=claims.record_of(claim) if begun else "",
            done_at=_NEVER if timeline.endless else repr(exchange.request.at + timeline.end_at),
            good=good,
            rest=rest,
        )  # fmt: skip
        return self._recorded(exchange, self.pipeline.send(*command), *([kept] if kept else []))

    def _keep(self, exchange: Exchange) -> Awaitable[Any] | None:
        """Keep the answer by its id, or forget or cancel another; whoever has the answer can name it."""
        keeping, claim, grant = exchange.keeping, exchange.claim, exchange.grant
        if keeping is None:
            return None
        keys = keys_of(claim.session, ("session", "kept", "kept-more"))
        data = f"{keeping.of}{SEPARATOR}" if keeping.does == "keep" else keeping.data
        ids = (keeping.id, *keeping.also)
        return self.pipeline.send(*KEEP.call(keys, grant.life, grant.number, keeping.does, data, SEPARATOR, *ids))

    async def recall(self, session: str, ident: str, with_texts: Sequence[bytes] = ()) -> KeptExchange | None:
        """Return the exchange whose answer is kept by an id, and what that has otherwise since: see KeptAnswers.

        Raises: StoreFailed.
        """
        number, more = await asyncio.gather(
            self.pipeline.send("ZSCORE", key_of(session, "kept"), ident),
            self.pipeline.send("HGET", key_of(session, "kept-more"), ident),
        )
        change = (more or b"").decode().partition(SEPARATOR)[2]
        asked = () if change else with_texts
        found = await self.rows.read(session, [int(float(number))], asked) if number is not None else []
        return (found[0], change) if found else None

    async def listed(self, session: str, of: str) -> Sequence[str]:
        """Return the ids of the answers that are kept of an operation, the oldest first.

        Raises: StoreFailed.
        """
        ids, more = await asyncio.gather(
            self.pipeline.send("ZRANGE", key_of(session, "kept"), 0, -1),
            self.pipeline.send("HGETALL", key_of(session, "kept-more")),
        )
        listed = {name for name, value in _pairs(more) if value.partition(SEPARATOR.encode())[0] == of.encode()}
        return [ident.decode() for ident in ids if ident in listed]

    async def _recorded(self, exchange: Exchange, *noted: Awaitable[Any]) -> None:
        try:
            await asyncio.gather(*noted)
        except StoreFailed:
            claim, grant = exchange.claim, exchange.grant
            self._fail(claim.session, claims.record_of(claim), grant.number, grant.life)
            raise

    def sent(self, exchange: Exchange, sent: Sent) -> Awaitable[Any]:
        """Add what really went out to an exchange, if it is still in the journal."""
        claim, grant, now = exchange.claim, exchange.grant, self._now(exchange.claim.session)
        endless = claim.idempotency and exchange.timeline.endless
        return self._lost.tell(self._note(
            claim.session, grant.number, grant.life,
            tokens=0 if claims.counts_at_once(claim) else _cost(exchange),
            window=claims.window_of(claim),
            record=claims.record_of(claim) if endless else "",
            done_at="0",
            sent=claims.sent_row(sent),
            now="" if now is None else repr(now),
        ))  # fmt: skip

    def _fail(self, session: str, record: str, number: int, life: str) -> None:
        """Let it be known of a claim that was taken that its client was told of a failure; its key is free again."""
        self._lost.tell(self._note(session, number, life, record=record, done_at="0", good="0", sent=FAILED))

    def _note(
        self, session: str, number: int, life: str, *, tokens: int = 0, window: str = "", record: str, done_at: str,
        good: str = "", rest: bytes = b"", sent: bytes = b"", now: str = "",
    ) -> tuple[Any, ...]:  # fmt: skip
        self._budget.touch(session)
        keys = keys_of(session, claims.NOTED if record else claims.ENDED)
        return NOTE.call(
            keys, number, life, tokens or "", window, record, done_at, good, rest, sent, now, key_of(session, "ended"),
            self._budget.room(session),
        )  # fmt: skip

    # Control

    async def journal(self, session: str, since: int, most: int | None = None) -> tuple[Sequence[Exchange], int]:
        """Return the exchanges after a number, or the first `most` of them: each has to be made again."""
        return await self.rows.since(session, since, most=most)

    async def counters(self, session: str, at: float) -> Counters:
        sent = [
            self.pipeline.send("HMGET", key_of(session, "session"), "state", "number", "oldest"),
            self.pipeline.send("HGETALL", key_of(session, "calls")),
            self.pipeline.send("HGETALL", key_of(session, "windows")),
        ]
        (state, number, oldest), calls, windows = await asyncio.gather(*sent)
        found = []
        for name, value in _pairs(windows):
            provider, _, key = name.decode().partition(SEPARATOR)
            found.append((provider, key, claims.window_in(value)))
        limits = standings(sorted(found, key=lambda item: item[2].ends), at)
        counts = {name.decode(): int(count) for name, count in _pairs(calls)}
        of_rules = {name: count for name, count in counts.items() if not name.startswith(SEPARATOR)}
        return Counters((state or STARTED.encode()).decode(), of_rules, limits, int(number or 0), int(oldest or 1) - 1)

    def change(
        self, session: str, forget: str, version: str, life: str, facts: Mapping[str, str],
        source: tuple[str, bytes] = ("", b""),
    ) -> Awaitable[Any]:  # fmt: skip
        """Forget turns, or all, and set facts of a session, in one step; other workers are told.

        Returns whether it was done: not where the session has another version; '' where it must not be there.
        """
        pairs: list[str] = [part for fact in facts.items() for part in fact]
        self._budget.touch(session)
        keys = keys_of(session, claims.CHANGED)
        return self.pipeline.send(
            *CHANGE.call(keys, forget, version, life, TOLD, session, *source, MOST_RECIPES, *pairs)
        )

    def restart(self, session: str) -> None:
        self.change(session, "turns", "", "", {})

    def reset(self, session: str) -> None:
        self.change(session, "all", "", new_life(), {})

    def delete(self, session: str) -> None:
        self.pipeline.send("DEL", *keys_of(session, claims.CHANGED))
        self.pipeline.send("PUBLISH", TOLD, session)
        self.lose(session)

    def lose(self, session: str) -> None:
        """Count a session that is gone no longer."""
        self._budget.touch(session)

    def complete(self, session: str, completed: bytes, most: int) -> Awaitable[Any]:
        """Keep what the application took as its result, if the session is there; the newest of them."""
        return self.pipeline.send(*COMPLETE.call(keys_of(session, ("session", "completed")), completed, most))

    # Workers

    async def beat(self) -> None:
        """Say that this worker is alive, make good what failed, and look at the clock and at all that is kept.

        Raises: StoreFailed.
        """
        self.pipeline.set_clock(await self.pipeline.send(*BEAT.call([living(self.worker)], int(ALIVE_S * 1000))))
        await self._lost.beat()
        await self._budget.beat()


def _cost(exchange: Exchange) -> int:
    """Return the tokens that an exchange costs, unless it was charged before."""
    claim = exchange.claim
    return exchange.tokens if claim.counted and not exchange.grant.replay and not claim.plan.refills else 0


def new_life() -> str:
    return secrets.token_hex(4)


def _pairs(found: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields of a hash, whichever form the protocol gives them."""
    return list(found.items()) if isinstance(found, dict) else list(zip(found[::2], found[1::2], strict=True))
