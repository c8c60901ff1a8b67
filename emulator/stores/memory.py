"""A store in this process: every method is atomic because nothing else runs meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from emulator.core.store import World
from emulator.core.wire import STARTED, Candidate, Claim, Exchange, Grant, Plan, Sent, Standing

WINDOW_S = 60.0


@dataclass(slots=True)
class _Window:
    plan: Plan
    ends: float = 0.0
    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class _Record:
    """An idempotency key: the body it was first used with, and the answer once there is one."""

    fingerprint: str
    until: float
    first: Exchange | None = None


@dataclass(slots=True)
class _Session:
    state: str = STARTED
    calls: dict[str, int] = field(default_factory=dict)  # by rule
    turns: dict[str, int] = field(default_factory=dict)  # by count key
    windows: dict[tuple[str, str], _Window] = field(default_factory=dict)  # by provider and key
    records: dict[tuple[str, str], _Record] = field(default_factory=dict)  # by key and header value
    exchanges: dict[int, Exchange] = field(default_factory=dict)
    sent: dict[int, Sent] = field(default_factory=dict)
    number: int = 0
    dropped: int = 0


class MemoryStore:
    """Implements Store for one process; `journal_size` bounds each session's journal."""

    def __init__(self, journal_size: int = 10_000) -> None:
        self.journal_size = journal_size
        self._sessions: dict[str, _Session] = {}

    def take(self, claim: Claim) -> Grant:
        session = self._session(claim.session)
        session.number += 1
        window = self._window(session, claim)
        if not claim.counted:
            return self._fallback(session, claim, _standing(claim, window))
        remembered = self._remembered(session, claim)
        if remembered:
            word, first = remembered
            standing = _standing(claim, window)
            if word == "replay":
                return Grant(session.number, standing, session.state, replay=first)
            return Grant(session.number, standing, session.state, idempotency=word)  # type: ignore[arg-type]
        if (over := _exceeded(claim.plan, window)) is not None:
            return Grant(session.number, replace(_standing(claim, window), exceeded=over), session.state)  # type: ignore[arg-type]
        window.requests += 1
        self._begin_record(session, claim)
        return self._choose(session, claim, _standing(claim, window))

    def _choose(self, session: _Session, claim: Claim, standing: Standing) -> Grant:
        state = session.state
        for index, candidate in enumerate(claim.candidates):
            turn = session.turns.get(candidate.count_key, 0) + 1
            if _fits(candidate, state, turn):
                n = session.calls.get(candidate.rule, 0) + 1
                session.calls[candidate.rule] = n
                session.turns[candidate.count_key] = turn
                session.state = state if candidate.then is None else candidate.then
                return Grant(session.number, standing, state, index, n, turn)
        return self._fallback(session, claim, standing)

    def _fallback(self, session: _Session, claim: Claim, standing: Standing) -> Grant:
        name = f"\x1f{claim.fallback}"  # no rule's id
        n = session.calls.get(name, 0) + 1
        session.calls[name] = n
        past = tuple(self.journal(claim.session, 0)[0]) if claim.history else ()
        return Grant(session.number, standing, session.state, n=n, exchanges=past)

    def _window(self, session: _Session, claim: Claim) -> _Window:
        """Return the key's window; a request that counts opens one where there is none."""
        name = (claim.provider, claim.key or "")
        window = session.windows.get(name)
        if window:
            window.plan = claim.plan
        if window is None or claim.at >= window.ends:
            window = _Window(claim.plan, claim.at + WINDOW_S)
            if claim.counted:
                session.windows[name] = window
        return window

    def _remembered(self, session: _Session, claim: Claim) -> tuple[str, Exchange | None] | None:
        if claim.idempotency is None:
            return None
        value, fingerprint, _ = claim.idempotency
        record = session.records.get((claim.key or "", value))
        if record is None or claim.at >= record.until:
            return None
        first = record.first
        under_way = first is None or _is_under_way(first, session.sent.get(first.grant.number), claim.at)
        if first and not under_way and (first.timeline.status >= 400 or first.timeline.broken):
            return None  # a failure frees the key when it has ended, so that a retry runs
        if record.fingerprint != fingerprint:
            return "mismatch", None
        if under_way:
            return "in_progress", None
        return "replay", first

    def _begin_record(self, session: _Session, claim: Claim) -> None:
        if claim.idempotency:
            value, fingerprint, seconds = claim.idempotency
            self._forget_old(session.records, claim.at)
            session.records[claim.key or "", value] = _Record(fingerprint, claim.at + seconds)

    def _forget_old(self, records: dict[tuple[str, str], _Record], at: float) -> None:
        """Drop the oldest records: those whose time is over, and what is more than the journal holds."""
        while records:
            name, record = next(iter(records.items()))
            if at < record.until and len(records) < self.journal_size:
                return
            del records[name]

    def record(self, exchange: Exchange) -> None:
        session = self._session(exchange.claim.session)
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
            record = session.records.get((claim.key or "", claim.idempotency[0]))
            if record:
                record.first = exchange

    def sent(self, exchange: Exchange, sent: Sent) -> None:
        found, number = self._sessions.get(exchange.claim.session), exchange.grant.number
        if found and found.exchanges.get(number) is exchange:  # after a reset another one has its number
            found.sent[number] = sent

    def journal(self, session: str, since: int) -> tuple[Sequence[Exchange], int]:
        found = self._session(session)
        rows = [
            replace(exchange, sent=found.sent.get(number))
            for number, exchange in found.exchanges.items()
            if number > since
        ]
        return rows, found.dropped

    def world(self, session: str, at: float) -> World:
        found = self._session(session)
        calls = {rule: n for rule, n in found.calls.items() if not rule.startswith("\x1f")}
        limits = [
            (provider, key, window.plan.name, _left(window.plan, window))
            for (provider, key), window in found.windows.items()
            if at < window.ends
        ]
        return World(found.state, calls, limits, found.number, found.dropped)

    def restart(self, session: str) -> None:
        found = self._session(session)
        found.state = STARTED
        found.calls.clear()
        found.turns.clear()

    def reset(self, session: str) -> None:
        self._sessions[session] = _Session()

    def delete(self, session: str) -> None:
        self._sessions.pop(session, None)

    def _session(self, name: str) -> _Session:
        found = self._sessions.get(name)
        if found is None:
            found = self._sessions[name] = _Session()
        return found


def _is_under_way(first: Exchange, sent: Sent | None, at: float) -> bool:
    """Tell whether an answer's scheduled end is to come; one that is silent for ever ends when it was sent."""
    if first.timeline.endless:
        return sent is None
    return at < first.request.at + first.timeline.end_at


def _fits(candidate: Candidate, state: str, turn: int) -> bool:
    if candidate.turns is not None and turn > candidate.turns:
        return False
    return candidate.states is None or (state in candidate.states[0]) is candidate.states[1]


def _exceeded(plan: Plan, window: _Window) -> str | None:
    if plan.requests is not None and window.requests >= plan.requests:
        return "requests"
    return "tokens" if plan.tokens is not None and window.tokens >= plan.tokens else None


def _standing(claim: Claim, window: _Window) -> Standing:
    return _left(claim.plan, window)


def _left(plan: Plan, window: _Window) -> Standing:
    requests = None if plan.requests is None else max(0, plan.requests - window.requests)
    tokens = None if plan.tokens is None else max(0, plan.tokens - window.tokens)
    return Standing(plan.requests, requests, tokens, window.ends)
