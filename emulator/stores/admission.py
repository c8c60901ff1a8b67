"""What a store decides when it takes a claim, wherever it keeps its numbers: windows, records, and who may answer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from emulator.core.frozen import frozen
from emulator.core.values import Candidate, Exchange, Plan, Sent, Standing

WINDOW_S = 60.0
#: The newest exchanges that an answer computed of the past is given: to read 10,000 would keep all others waiting.
MOST_PAST = 1000


#: What sums of fractions may be off, in requests or tokens.
SLACK = 1e-3


@dataclass(slots=True)
class Window:
    """What a key has used since its first counted request; it is over at `ends`, in Unix seconds.

    Of a plan that refills it is what is not back yet, at the time `at`. A store's own: it counts in it.
    """

    plan: Plan
    ends: float
    requests: float = 0
    tokens: float = 0
    at: float = 0.0
    _free: Standing | None = None  # what an unlimited plan shows until the window's end

    def move(self, plan: Plan, at: float) -> None:
        """Go on to a time, with the plan of then."""
        self.plan = plan
        if plan.refills:
            minutes = max(0.0, at - self.at) / WINDOW_S
            self.requests = max(0.0, self.requests - minutes * (plan.requests or 0))
            self.tokens = max(0.0, self.tokens - minutes * (plan.tokens or 0))
            self.at = max(at, self.at)

    def take(self, cost: int) -> None:
        """Count a request; a plan that refills charges its tokens at once."""
        self.requests += 1
        if self.plan.refills:
            self.tokens += cost
            self.ends = self.at + WINDOW_S * max(self._minutes())

    def count(self, tokens: int) -> None:
        """Count what an answer took, and its prompt, where that was not charged before."""
        if not self.plan.refills:
            self.tokens += tokens

    def exceeded(self, cost: int = 0) -> Literal["requests", "tokens"] | None:
        """Tell which limit of the plan is used up, or would be passed by a request that costs so many tokens."""
        plan = self.plan
        more, taken = (1 - SLACK, cost - SLACK) if plan.refills else (1, 1)
        if plan.requests is not None and self.requests + more > plan.requests:
            return "requests"
        return "tokens" if plan.tokens is not None and self.tokens + taken > plan.tokens else None

    def standing(self, exceeded: Literal["requests", "tokens"] | None = None, cost: int = 0) -> Standing:
        plan = self.plan
        if plan.requests is None and plan.tokens is None:
            if self._free is None:
                self._free = Standing(None, None, None, self.ends)
            return self._free
        left = _left(plan.requests, self.requests), _left(plan.tokens, self.tokens)
        if not plan.refills:
            return Standing(plan.requests, *left, self.ends, exceeded)
        back, tokens_back = (self.at + WINDOW_S * minutes for minutes in self._minutes())
        more = _minutes(self.requests + 1, plan.requests), _minutes(self.tokens + cost, plan.tokens)
        passes = self.at + WINDOW_S * max(0.0, more[exceeded == "tokens"] - 1)
        return Standing(plan.requests, *left, back, exceeded, tokens_back, passes)

    def _minutes(self) -> tuple[float, float]:
        """Return in how many minutes the requests, and the tokens, are back."""
        return _minutes(self.requests, self.plan.requests), _minutes(self.tokens, self.plan.tokens)


def standings(windows: Iterable[tuple[str, str, Window]], at: float) -> list[tuple[str, str, str, Standing]]:
    """Return provider, key, plan and what is left at a time, of each window that is not over; all stay as they are."""
    found = []
    for provider, key, window in windows:
        if at < window.ends:
            then = replace(window)
            then.move(window.plan, at)
            found.append((provider, key, window.plan.name, then.standing()))
    return found


def _minutes(used: float, limit: int | None) -> float:
    """Return the minutes in which so much comes back; where nothing is allowed, it is as if twice that was used."""
    return used / limit if limit else 0.0 if limit is None else 2.0


def _left(limit: int | None, used: float) -> int | None:
    return None if limit is None else max(0, math.floor(limit - used + SLACK))


def fits(candidate: Candidate, state: str, turn: int) -> bool:
    """Tell whether a rule answers in a state, for the turn-th time."""
    if candidate.turns is not None and turn > candidate.turns:
        return False
    return candidate.states is None or (state in candidate.states[0]) is candidate.states[1]


@frozen
class Record:
    """An idempotency key: the body it was first used with, and the answer once there is one."""

    fingerprint: str
    until: float
    first: Exchange | None = None

    def recalled(
        self, fingerprint: str, sent: Sent | None, at: float
    ) -> Exchange | Literal["mismatch", "in_progress"] | None:
        """Return the answer to give again, why there is none yet, or None where the request runs as a new one.

        `sent` is what went out of the first answer. A failure frees the key when it has ended, so that a retry runs.
        """
        same = self.fingerprint == fingerprint
        if self.first is None or _is_under_way(self.first, sent, at):
            return "in_progress" if same else "mismatch"
        if self.first.timeline.status >= 400 or self.first.timeline.broken:
            return None
        return self.first if same else "mismatch"


def _is_under_way(first: Exchange, sent: Sent | None, at: float) -> bool:
    """Tell whether an answer's scheduled end is to come; one that is silent for ever ends when it was sent."""
    return sent is None if first.timeline.endless else at < first.request.at + first.timeline.end_at
