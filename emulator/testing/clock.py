"""The clock of a session, as a test holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emulator.testing.client import __tracebackhide__ as __tracebackhide__


class Clock:
    """The session's clock; `seen` is the latest time that this process knows of."""

    def __init__(self, ask: Callable[..., Any], now: float) -> None:
        self._ask = ask
        self.seen = now

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._read(self._ask("GET", "/clock"))

    @property
    def kind(self) -> str:
        return str(self._ask("GET", "/clock")["kind"])

    def advance(self, duration: str | float) -> float:
        """Move a virtual clock, waking what becomes due; return the new time."""
        return self._read(self._ask("PATCH", "/clock", {"advance": duration}))

    def hold(self) -> float:
        """Let every wait last until `release` or `advance`."""
        return self._read(self._ask("PATCH", "/clock", {"hold": True}))

    def release(self) -> float:
        """End `hold`, and every silence without end."""
        return self._read(self._ask("PATCH", "/clock", {"release": True}))

    def _read(self, answer: Mapping[str, Any]) -> float:
        now = float(answer["now"])
        self.seen = max(self.seen, now)
        return now
