"""What a store decides when it takes a claim, wherever it keeps its numbers: windows, records, and who may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emulator.core.frozen import frozen
from emulator.core.values import Candidate, Exchange, Plan, Sent, Standing

WINDOW_S = 60.0
#: The newest exchanges that an answer computed of the past is given: to read 10,000 would keep all others waiting.
MOST_PAST = 1000


@dataclass(slots=True)
class Window:
    """What a key has used since its first counted request; `ends` in Unix seconds. A store's own: it counts in it."""

    plan: Plan
    ends: float
    requests: int = 0
    tokens: int = 0
    _free: Standing | None = None  # what an unlimited plan shows until the window's end

    def exceeded(self) -> Literal["requests", "tokens"] | None:
        """Tell which limit of the plan is used up."""
        if self.plan.requests is not None and self.requests >= self.plan.requests:
            return "requests"
        return "tokens" if self.plan.tokens is not None and self.tokens >= self.plan.tokens else None

    def standing(self, exceeded: Literal["requests", "tokens"] | None = None) -> Standing:
        if self.plan.requests is None and self.plan.tokens is None:
            if self._free is None:
                self._free = Standing(None, None, None, self.ends)
            return self._free
        return Standing(
            self.plan.requests,
            _left(self.plan.requests, self.requests),
            _left(self.plan.tokens, self.tokens),
            self.ends,
            exceeded,
        )


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


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
    if first.timeline.endless:
        return sent is None
    return at < first.request.at + first.timeline.end_at
