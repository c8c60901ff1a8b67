"""Counts what a run costs its target, and ends the run when its budget is spent or nobody answers any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulator.core.wires.wire import Wire

#: So many answers in a row that never ended: the next ones would only cost time.
MOST_SILENT = 3


class Spent(Exception):
    """Nothing more may be sent; the message says why."""


@dataclass(slots=True)
class RequestBudget:
    """What was sent so far; None: no bound. `tokens` sums what the answers' usage told."""

    max_requests: int | None = None
    max_tokens: int | None = None
    requests: int = 0
    tokens: int = 0
    silent: int = 0
    wire: Wire | None = None  # in which answers tell their usage
    cost: Callable[[str, bytes], int] = lambda url, body: 0  # the tokens that a request may take, by its URL and body

    @property
    def reason(self) -> str:
        """Why nothing more may be sent; empty as long as something may."""
        if self.max_requests is not None and self.requests >= self.max_requests:
            return f"the budget of {self.max_requests} requests is spent"
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            return f"the budget of {self.max_tokens} tokens is spent ({self.tokens} used)"
        if self.silent >= MOST_SILENT:
            return f"the last {self.silent} answers did not end within their bounds, so nothing more was sent"
        return ""

    def begin(self, url: str = "", body: bytes = b"") -> None:
        """Count a request that is about to be sent. Raises: Spent, too, where it may take more than is left."""
        if self.reason:
            raise Spent(self.reason)
        if self.max_tokens is not None and self.cost(url, body) > self.max_tokens - self.tokens:
            raise Spent(f"it may take more than is left of the budget of {self.max_tokens} tokens")
        self.requests += 1

    def end(self, ended: bool, tokens: int) -> None:
        """Count an answer: whether it came to an end by itself, and its usage."""
        self.silent = 0 if ended else self.silent + 1
        self.tokens += tokens
