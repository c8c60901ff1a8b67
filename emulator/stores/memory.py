"""A store in this process: every method is atomic because nothing else runs meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from emulator.core.store import World
from emulator.core.take import WINDOW_S, Record, Window, fits
from emulator.core.wire import STARTED, Claim, Exchange, Grant, Sent, Standing


@dataclass(slots=True)
class _Session:
    state: str = STARTED
    calls: Counter[str] = field(default_factory=Counter)  # by rule
    turns: Counter[str] = field(default_factory=Counter)  # by count key
    windows: dict[tuple[str, str], Window] = field(default_factory=dict)  # by provider and key
    records: dict[tuple[str, str], Record] = field(default_factory=dict)  # by key and header value
    exchanges: dict[int, Exchange] = field(default_factory=dict)
    sent: dict[int, Sent] = field(default_factory=dict)
    number: int = 0
    dropped: int = 0

    def count(self, rule: str) -> int:
        """Count a claim of a rule; return its number, from 1."""
        self.calls[rule] += 1
        return self.calls[rule]


class MemoryStore:
    """Implements Store for one process; `journal_size` bounds each session's journal."""

    def __init__(self, journal_size: int = 10_000) -> None:
        self.journal_size = journal_size
        self._sessions: defaultdict[str, _Session] = defaultdict(_Session)

    def take(self, claim: Claim) -> Grant:
        session = self._sessions[claim.session]
        session.number += 1
        window = self._window(session, claim)
        if not claim.counted:
            return self._fallback(session, claim, window.standing())
        recalled = self._recalled(session, claim)
        if isinstance(recalled, Exchange):
            return Grant(session.number, window.standing(), session.state, replay=recalled)
        if recalled:
            return Grant(session.number, window.standing(), session.state, idempotency=recalled)
        if over := window.exceeded():
            return Grant(session.number, window.standing(over), session.state)
        window.requests += 1
        self._begin_record(session, claim)
        return self._choose(session, claim, window.standing())

    def _choose(self, session: _Session, claim: Claim, standing: Standing) -> Grant:
        state = session.state
        for index, candidate in enumerate(claim.candidates):
            turn = session.turns[candidate.count_key] + 1
            if fits(candidate, state, turn):
                session.turns[candidate.count_key] = turn
                session.state = state if candidate.then is None else candidate.then
                return Grant(session.number, standing, state, index, session.count(candidate.rule), turn)
        return self._fallback(session, claim, standing)

    def _fallback(self, session: _Session, claim: Claim, standing: Standing) -> Grant:
        n = session.count(f"\x1f{claim.fallback}")  # no rule's id
        past = tuple(self.journal(claim.session, 0)[0]) if claim.history else ()
        return Grant(session.number, standing, session.state, n=n, exchanges=past)

    def _window(self, session: _Session, claim: Claim) -> Window:
        """Return the key's window; a request that counts opens one where there is none."""
        name = (claim.provider, claim.key or "")
        window = session.windows.get(name)
        if window:
            window.plan = claim.plan
        if window is None or claim.at >= window.ends:
            window = Window(claim.plan, claim.at + WINDOW_S)
            if claim.counted:
                session.windows[name] = window
        return window

    def _recalled(self, session: _Session, claim: Claim) -> Exchange | Literal["mismatch", "in_progress"] | None:
        if claim.idempotency is None:
            return None
        value, fingerprint, _ = claim.idempotency
        record = session.records.get((claim.key or "", value))
        if record is None or claim.at >= record.until:
            return None
        sent = session.sent.get(record.first.grant.number) if record.first else None
        return record.recalled(fingerprint, sent, claim.at)

    def _begin_record(self, session: _Session, claim: Claim) -> None:
        if claim.idempotency:
            value, fingerprint, seconds = claim.idempotency
            self._forget_old(session.records, claim.at)
            session.records[claim.key or "", value] = Record(fingerprint, claim.at + seconds)

    def _forget_old(self, records: dict[tuple[str, str], Record], at: float) -> None:
        """Drop the oldest records: those whose time is over, and what is more than the journal holds."""
        while records:
            name, record = next(iter(records.items()))
            if at < record.until and len(records) < self.journal_size:
                return
            del records[name]

    def record(self, exchange: Exchange) -> None:
        session = self._sessions[exchange.claim.session]
        number, claim, grant = exchange.grant.number, exchange.claim, exchange.grant
        session.exchanges[number] = exchange
        if len(session.exchanges) > self.journal_size:
            oldest = next(iter(session.exchanges))
            del session.exchanges[oldest]
            session.sent.pop(oldest, None)
            session.dropped += 1
        if claim.counted and not grant.replay and exchange.tokens:
            window = session.windows.get((claim.provider, claim.key or ""))
            if window:
                window.tokens += exchange.tokens
        if claim.idempotency and not (grant.replay or grant.idempotency or grant.standing.exceeded):
            name = (claim.key or "", claim.idempotency[0])
            if name in session.records:
                session.records[name] = replace(session.records[name], first=exchange)

    def sent(self, exchange: Exchange, sent: Sent) -> None:
        found, number = self._sessions.get(exchange.claim.session), exchange.grant.number
        if found and found.exchanges.get(number) is exchange:  # after a reset another one has its number
            found.sent[number] = sent

    def journal(self, session: str, since: int) -> tuple[Sequence[Exchange], int]:
        found = self._sessions[session]
        rows = [
            replace(exchange, sent=found.sent.get(number))
            for number, exchange in found.exchanges.items()
            if number > since
        ]
        return rows, found.dropped

    def world(self, session: str, at: float) -> World:
        found = self._sessions[session]
        calls = {rule: n for rule, n in found.calls.items() if not rule.startswith("\x1f")}
        limits = [
            (provider, key, window.plan.name, window.standing())
            for (provider, key), window in found.windows.items()
            if at < window.ends
        ]
        return World(found.state, calls, limits, found.number, found.dropped)

    def restart(self, session: str) -> None:
        found = self._sessions[session]
        found.state = STARTED
        found.calls.clear()
        found.turns.clear()

    def reset(self, session: str) -> None:
        self._sessions[session] = _Session()

    def delete(self, session: str) -> None:
        self._sessions.pop(session, None)
