"""Clocks: what time it is in a session, and when a waiting frame is due. Used on the event loop's thread only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

from emulator.core.wire import FOREVER_LIMIT_S

Callback = Callable[[], None]
_START = time.time() - time.monotonic()


class Waiter:
    """A callback that waits for its time; cancelled, it is never called."""

    __slots__ = ("_callback", "_timer")

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        self._callback = None
        if self._timer:
            self._timer.cancel()

    def wake(self) -> None:
        callback, self._callback = self._callback, None
        if self._timer:
            self._timer.cancel()
        if callback:
            callback()

    def after(self, seconds: float) -> Waiter:
        self._timer = asyncio.get_running_loop().call_later(seconds, self.wake)
        return self


class Clock(Protocol):
    """A session's Unix seconds. `call_at` wakes at a time; `call_released` at release, advance or 30 real seconds."""

    kind: str

    def now(self) -> float: ...
    def call_at(self, at: float, callback: Callback) -> Waiter: ...
    def call_released(self, callback: Callback) -> Waiter: ...
    def release(self) -> None: ...


class RealClock:
    """Real time, steady: it never jumps, whatever is done to the machine's clock."""

    kind = "real"

    def __init__(self) -> None:
        self._silent: list[Waiter] = []

    def now(self) -> float:
        return _START + time.monotonic()

    def call_at(self, at: float, callback: Callback) -> Waiter:
        return Waiter(callback).after(max(0.0, at - self.now()))

    def call_released(self, callback: Callback) -> Waiter:
        waiter = Waiter(callback).after(FOREVER_LIMIT_S)
        self._silent.append(waiter)
        return waiter

    def release(self) -> None:
        waiters, self._silent = self._silent, []
        for waiter in waiters:
            waiter.wake()


class VirtualClock:
    """Time that moves only when told, or to the earliest frame that waits: nothing really waits, order is kept."""

    kind = "virtual"

    def __init__(self) -> None:
        self._now = _START + time.monotonic()
        self._heap: list[tuple[float, int, Waiter]] = []
        self._silent: list[Waiter] = []
        self._order = itertools.count()
        self._stepping = False
        self.held = False

    def now(self) -> float:
        return self._now

    def call_at(self, at: float, callback: Callback) -> Waiter:
        waiter = Waiter(callback)
        heapq.heappush(self._heap, (at, next(self._order), waiter))
        self._step_soon()
        return waiter

    def call_released(self, callback: Callback) -> Waiter:
        waiter = Waiter(callback).after(FOREVER_LIMIT_S)
        self._silent.append(waiter)
        return waiter

    def advance(self, seconds: float) -> None:
        """Move on, waking what becomes due on the way, each at its own time, and what was silent for ever."""
        target = self._now + seconds
        self._wake_silent()
        while self._heap and self._heap[0][0] <= target:
            self._wake_next()
        self._now = target

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False
        self._wake_silent()
        self._step_soon()

    def _wake_silent(self) -> None:
        waiters, self._silent = self._silent, []
        for waiter in waiters:
            waiter.wake()

    def _wake_next(self) -> None:
        at, _, waiter = heapq.heappop(self._heap)
        self._now = max(self._now, at)
        waiter.wake()

    def _step_soon(self) -> None:
        if not self._stepping and not self.held and self._heap:
            self._stepping = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._stepping = False
        if self._heap and not self.held:
            self._wake_next()
        self._step_soon()


def make_clock(kind: str) -> Clock:
    """Return a clock of a kind: real or virtual."""
    return VirtualClock() if kind == "virtual" else RealClock()
