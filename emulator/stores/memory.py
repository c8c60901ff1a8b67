"""A store in this process: every method is atomic because nothing else runs meanwhile.

Whatever grows with the requests is bounded: by number in each session, and by bytes for all sessions together.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Literal

from emulator.core.store import Counters, KeptExchange, Sketch
from emulator.core.stored_answers import Keeping
from emulator.core.values import STARTED, Candidate, Claim, Exchange, Grant, Sent, Standing
from emulator.stores.admission import MOST_PAST, WINDOW_S, Record, Window, fits, standings
from emulator.stores.bounded import BoundedStore, Budget

#: Bytes that the journals of all sessions may keep together, and again as many the idempotency records.
JOURNAL_BYTES = 500_000_000
#: Turns that a session counts apart by request, key or header, windows of its keys, and the bytes of either in all.
MOST_TURNS = 100_000
MOST_WINDOWS = 10_000
_KEY_BYTES = 50_000_000
#: What an exchange takes beside its bytes; what a value of its body and a frame take; an entry, and a sketch.
_EXCHANGE, _VALUE, _FRAME, _ENTRY, _SKETCH = 4000, 64, 200, 200, 3000


_DATA = attrgetter("data")


def weigh(exchange: Exchange) -> int:
    """Estimate the bytes that an exchange keeps: its request, as sent and as decoded, and its frames.

    What was recalled for it counts as the request does, and an answer that is made afterwards as frames do.
    """
    body, frames = exchange.request.body + exchange.request.recalled, exchange.timeline.frames
    values = sum(map(body.count, (b",", b"[", b"{"))) if exchange.claim.call else 0
    head = sum(map(len, exchange.request.headers)) + sum(map(len, exchange.request.headers.values()))
    answer = sum(map(len, map(_DATA, frames))) + _FRAME * len(frames)
    if exchange.later:
        answer += len(exchange.later.body) + sum(map(len, map(_DATA, exchange.later.frames)))
    return _EXCHANGE + head + 2 * len(body) + _VALUE * values + answer


@dataclass(slots=True)
class _Row:
    """Implements Sketch: an exchange in a journal, and what went out of it once that is known."""

    made: Exchange
    sent: Sent | None = None

    def exchange(self) -> Exchange:
        return replace(self.made, sent=self.sent)


@dataclass(slots=True)
class _Session:
    windows: BoundedStore[tuple[str, str], Window]  # by provider and key
    turns_apart: BoundedStore[str, int]  # by count key, where it is not the rule
    records: BoundedStore[tuple[str, str], Record]  # by key and header value
    exchanges: BoundedStore[int, _Row | Sketch]
    kept: BoundedStore[str, tuple[int, str, str]]  # by id: its exchange's number, its operation, what it has otherwise
    life: str  # a session that is reset or made again has another
    state: str = STARTED
    calls: Counter[str] = field(default_factory=Counter)  # by rule
    number: int = 0

    def count(self, rule: str) -> int:
        """Count a claim of a rule; return its number, from 1."""
        self.calls[rule] += 1
        return self.calls[rule]

    def turn(self, candidate: Candidate) -> int:
        """Return the number that a claim of a candidate would have, from 1."""
        if candidate.count_key == candidate.rule:
            return self.calls[candidate.rule] + 1
        return (self.turns_apart.get(candidate.count_key) or 0) + 1

    def take_turn(self, candidate: Candidate, turn: int) -> int:
        """Count a claim of a candidate; return its number among all of the rule, from 1."""
        if candidate.count_key == candidate.rule:
            self.calls[candidate.rule] = turn
            return turn
        self.turns_apart.put(candidate.count_key, turn, _ENTRY + len(candidate.count_key))
        return self.count(candidate.rule)

    def keep(self, number: int, keeping: Keeping) -> None:
        """Keep the answer of an exchange by its ids, or forget or change the one of an id."""
        if keeping.does == "keep":
            for ident in (keeping.id, *keeping.also):
                of = keeping.of if ident == keeping.id else ""
                self.kept.put(ident, (number, of, ""), _ENTRY + len(ident))
        elif keeping.does == "forget":
            self.kept.drop(keeping.id)
        elif found := self.kept.get(keeping.id):
            self.kept.put(keeping.id, (*found[:2], keeping.data), _ENTRY + len(keeping.id) + len(keeping.data))

    def forget(self) -> None:
        """Give what is kept back to the budgets."""
        for kept in (self.windows, self.turns_apart, self.records, self.exchanges, self.kept):
            kept.clear()


class MemoryStore:
    """Implements Store for one process; `journal_size` bounds each session's journal, `journal_bytes` all of them.

    Where all journals pass their bytes, the oldest exchange is dropped, whichever session it belongs to.
    A session begins with its first claim, and with nothing else: what ends after it was deleted is forgotten.
    """

    def __init__(self, journal_size: int = 10_000, journal_bytes: int = JOURNAL_BYTES) -> None:
        self.journal_size = journal_size
        self._journals, self._records = Budget(journal_bytes), Budget(journal_bytes)
        self._windows, self._turns, self._kept = Budget(_KEY_BYTES), Budget(_KEY_BYTES), Budget(_KEY_BYTES)
        self._lives = itertools.count(1)
        self._sessions: defaultdict[str, _Session] = defaultdict(self._begin)

    def _begin(self) -> _Session:
        return _Session(
            BoundedStore(MOST_WINDOWS, self._windows),
            BoundedStore(MOST_TURNS, self._turns),
            BoundedStore(self.journal_size, self._records),
            BoundedStore(self.journal_size, self._journals),
            BoundedStore(self.journal_size, self._kept),
            str(next(self._lives)),
        )

    def take(self, claim: Claim, at: float | None = None) -> Grant:
        at = claim.at if at is None else at
        session = self._sessions[claim.session]
        session.number += 1
        window = self._window(session, claim, at)
        if not claim.counted:
            return self._fallback(session, claim, window.standing())
        key, asked = claim.key or "", claim.idempotency
        recalled = self._recalled(session, key, asked, at) if asked else None
        if isinstance(recalled, Exchange):
            return Grant(session.number, window.standing(), session.state, replay=recalled, life=session.life)
        if recalled:
            return Grant(session.number, window.standing(), session.state, idempotency=recalled, life=session.life)
        cost = claim.cost
        if over := window.exceeded(cost):
            return Grant(session.number, window.standing(over, cost), session.state, life=session.life)
        window.take(cost)
        if asked:
            self._begin_record(session, key, asked, at)
        return self._choose(session, claim, window.standing())

    def _choose(self, session: _Session, claim: Claim, standing: Standing, begin: int = 0) -> Grant:
        state = session.state
        for index, candidate in enumerate(claim.candidates[begin:], begin):
            turn = session.turn(candidate)
            if fits(candidate, state, turn):
                n = session.take_turn(candidate, turn)
                session.state = state if candidate.then is None else candidate.then
                if candidate.failing and candidate.fails(turn):
                    return self._choose(session, claim, standing, candidate.onward)
                return Grant(session.number, standing, state, index, n, turn, life=session.life)
        return self._fallback(session, claim, standing)

    def _fallback(self, session: _Session, claim: Claim, standing: Standing) -> Grant:
        n = session.count(f"\x1f{claim.fallback}")  # no rule's id
        past = tuple(self.journal(claim.session, session.number - MOST_PAST - 1)[0]) if claim.history else ()
        return Grant(session.number, standing, session.state, n=n, exchanges=past, life=session.life)

    def _window(self, session: _Session, claim: Claim, at: float) -> Window:
        """Return the key's window; a request that counts opens one where there is none."""
        name = (claim.provider, claim.key or "")
        window = session.windows.get(name)
        if window:
            window.move(claim.plan, at)
        if window is None or at >= window.ends:
            window = Window(claim.plan, at + WINDOW_S, at=at)
            if claim.counted:
                session.windows.drop_while(lambda opened: at >= opened.ends)
                session.windows.put(name, window, _ENTRY + len(name[1]))
        return window

    def _recalled(
        self, session: _Session, key: str, asked: tuple[str, str, float], at: float
    ) -> Exchange | Literal["mismatch", "in_progress"] | None:
        value, fingerprint, _ = asked
        record = session.records.get((key, value))
        if record is None or at >= record.until:
            return None
        row = session.exchanges.get(record.first.grant.number) if record.first else None
        return record.recalled(fingerprint, row.sent if isinstance(row, _Row) else None, at)

    def _begin_record(self, session: _Session, key: str, asked: tuple[str, str, float], at: float) -> None:
        value, fingerprint, seconds = asked
        session.records.drop_while(lambda record: at >= record.until)
        session.records.put((key, value), Record(fingerprint, at + seconds), _ENTRY + len(key))

    def record(self, exchange: Exchange) -> None:
        claim, grant = exchange.claim, exchange.grant
        session = self._sessions.get(claim.session)
        if session is None or session.life != grant.life:
            return
        weight = weigh(exchange)
        session.exchanges.put(grant.number, _Row(exchange), weight)
        if exchange.keeping:
            session.keep(grant.number, exchange.keeping)
        if claim.counted and not grant.replay:
            self._count_tokens(session, claim, exchange.tokens)
        if claim.idempotency and not (grant.replay or grant.idempotency or grant.standing.exceeded):
            name = (claim.key or "", claim.idempotency[0])
            begun = session.records.get(name)
            if begun:
                session.records.put(name, replace(begun, first=exchange), weight)

    def note(self, claim: Claim, number: int, sketch: Sketch, size: int, tokens: int, keeping: Keeping | None) -> None:
        session = self._sessions[claim.session]
        session.exchanges.put(number, sketch, _SKETCH + size)
        if keeping:
            session.keep(number, keeping)
        self._count_tokens(session, claim, tokens)

    def _count_tokens(self, session: _Session, claim: Claim, tokens: int) -> None:
        window = session.windows.get((claim.provider, claim.key or "")) if tokens else None
        if window:
            window.count(tokens)

    def sent(self, exchange: Exchange, sent: Sent) -> None:
        found = self._sessions.get(exchange.claim.session)
        row = found.exchanges.get(exchange.grant.number) if found else None
        if isinstance(row, _Row) and row.made is exchange:  # after a reset another one has its number
            row.sent = sent

    def recall(self, session: str, ident: str, with_texts: Sequence[bytes] = ()) -> KeptExchange | None:
        found = self._sessions.get(session)
        kept = found.kept.get(ident) if found else None
        row = found.exchanges.get(kept[0]) if found and kept else None
        if row is None or kept is None:
            return None
        return row.exchange(), kept[2]

    def listed(self, session: str, of: str) -> Sequence[str]:
        found = self._sessions.get(session)
        kept = [(number, ident) for ident, (number, group, _) in found.kept.items() if group == of] if found else []
        return [ident for _, ident in sorted(kept)]

    def journal(self, session: str, since: int, most: int | None = None) -> tuple[Sequence[Exchange], int]:
        found = self._sessions.get(session)
        if found is None:
            return [], 0
        after = (row for number, row in found.exchanges.items() if number > since)
        return [row.exchange() for row in itertools.islice(after, most)], found.exchanges.dropped

    def counters(self, session: str, at: float) -> Counters:
        found = self._sessions.get(session)
        if found is None:
            return Counters(STARTED, {}, [], 0, 0)
        calls = {rule: n for rule, n in found.calls.items() if not rule.startswith("\x1f")}
        limits = standings(((*name, window) for name, window in found.windows.items()), at)
        return Counters(found.state, calls, limits, found.number, found.exchanges.dropped)

    def restart(self, session: str) -> None:
        found = self._sessions.get(session)
        if found:
            found.state = STARTED
            found.calls.clear()
            found.turns_apart.clear()

    def reset(self, session: str) -> None:
        self.delete(session)

    def delete(self, session: str) -> None:
        found = self._sessions.pop(session, None)
        if found:
            found.forget()
