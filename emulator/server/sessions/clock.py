"""Clocks: what time it is in a session, and when a waiting frame is due. Used on the event loop's thread only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Protocol

from emulator.core.frozen import frozen
from emulator.server.real_time import monotonic, now

Callback = Callable[[], None]
#: The least that a real timer waits, so that one which fires early does not spin: seconds.
TICK_S = 0.001
#: `forever` is real silence, but a server must not keep a socket for ever: seconds.
FOREVER_LIMIT_S = 30.0
_START = now() - monotonic()


class Waiter:
    """A callback that waits for its time; None once it was called or cancelled."""

    __slots__ = ("_timer", "callback")

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        self.callback = None
        if self._timer:
            self._timer.cancel()

    def wake(self) -> None:
        callback, self.callback = self.callback, None
        if self._timer:
            self._timer.cancel()
        if callback:
            callback()

    def after(self, seconds: float, then: Callback | None = None) -> Waiter:
        """Wake, or do something else, after real seconds."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, then or self.wake)
        return self


class Queue:
    """What waits for a time, the earliest first, and in order what waits for the same."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiter]] = []
        self._order = itertools.count()

    def __iter__(self) -> Iterator[tuple[float, Waiter]]:
        return ((at, waiter) for at, _, waiter in self._heap if waiter.callback)

    def add(self, at: float, callback: Callback) -> Waiter:
        waiter = Waiter(callback)
        heapq.heappush(self._heap, (at, next(self._order), waiter))
        return waiter

    def next_at(self) -> float | None:
        """Return when the next callback is due; the cancelled ones before it are dropped."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self) -> tuple[float, Waiter]:
        at, _, waiter = heapq.heappop(self._heap)
        return at, waiter


class Silence:
    """What waits without end: for a release, or for the most that a silence lasts."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []
        self.ended = 0  # how many times

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, callback: Callback) -> Waiter:
        waiter = Waiter(callback).after(FOREVER_LIMIT_S)
        self._waiters = [*(item for item in self._waiters if item.callback), waiter]
        return waiter

    def end(self) -> None:
        self.ended += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.wake()

    def follow(self, ended: int) -> None:
        """End as often as it ended elsewhere."""
        if ended > self.ended:
            self.end()
            self.ended = ended


@frozen
class ClockState:
    """How a session's clock stands, for the workers that share it: `now` of a virtual one, how often silence ended."""

    now: float | None
    held: bool
    silences: int


class Clock(Protocol):
    """A session's Unix seconds. `call_at` wakes at a time; `call_released` at release, advance or 30 real seconds."""

    kind: str
    held: bool

    def now(self) -> float: ...
    def call_at(self, at: float, callback: Callback) -> Waiter: ...
    def call_released(self, callback: Callback) -> Waiter: ...
    def release(self) -> None: ...
    def stand(self) -> ClockState: ...
    def follow(self, stand: ClockState) -> None: ...


class RealClock:
    """Real time, steady: it never jumps, whatever is done to the machine's clock."""

    kind = "real"
    held = False

    def __init__(self) -> None:
        self._queue = Queue()
        self._silence = Silence()
        self._timer: asyncio.TimerHandle | None = None  # one for all that wait
        self._timer_at = math.inf

    def now(self) -> float:
        return _START + monotonic()

    def call_at(self, at: float, callback: Callback) -> Waiter:
        if at < self._timer_at:
            self._set_timer(at)
        return self._queue.add(at, callback)

    def _set_timer(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(TICK_S, at - self.now()), self._wake_due)

    def _wake_due(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now = self.now()
        while (at := self._queue.next_at()) is not None and at <= now:
            self._queue.pop()[1].wake()
        if at is not None and at < self._timer_at:
            self._set_timer(at)

    def call_released(self, callback: Callback) -> Waiter:
        return self._silence.add(callback)

    def release(self) -> None:
        self._silence.end()

    def stand(self) -> ClockState:
        return ClockState(None, False, self._silence.ended)

    def follow(self, stand: ClockState) -> None:
        self._silence.follow(stand.silences)


class VirtualClock:
    """Time that moves only when told, or to the earliest frame that waits: nothing really waits, order is kept."""

    kind = "virtual"

    def __init__(self, now: float | None = None) -> None:
        self._now = _START + monotonic() if now is None else now
        self._queue = Queue()
        self._silence = Silence()
        self._stepping = False
        self.held = False

    def now(self) -> float:
        return self._now

    def call_at(self, at: float, callback: Callback) -> Waiter:
        waiter = self._queue.add(at, callback)
        if self.held:
            self._limit(at, waiter)
        self._step_soon()
        return waiter

    def call_released(self, callback: Callback) -> Waiter:
        return self._silence.add(callback)

    def advance(self, seconds: float) -> None:
        """Move on, waking what becomes due on the way, each at its own time, and what was silent for ever."""
        target = self._now + seconds
        self._silence.end()
        self._move_to(target)

    def hold(self) -> None:
        """Keep time where it is: every wait becomes a real silence."""
        self.held = True
        for at, waiter in self._queue:
            self._limit(at, waiter)

    def release(self) -> None:
        self.held = False
        self._silence.end()
        self._step_soon()

    def stand(self) -> ClockState:
        return ClockState(self._now, self.held, self._silence.ended)

    def follow(self, stand: ClockState) -> None:
        """Move on to where another worker has moved the clock, waking what becomes due on the way."""
        if stand.held and not self.held:
            self.hold()
        self._silence.follow(stand.silences)
        self._move_to(stand.now or self._now)
        if self.held and not stand.held:
            self.held = False
            self._step_soon()

    def _limit(self, at: float, waiter: Waiter) -> None:
        waiter.after(FOREVER_LIMIT_S, lambda: self._move_to(at))

    def _move_to(self, target: float) -> None:
        while (at := self._queue.next_at()) is not None and at <= target:
            self._wake_next()
        self._now = max(self._now, target)

    def _wake_next(self) -> None:
        at, waiter = self._queue.pop()
        self._now = max(self._now, at)
        waiter.wake()

    def _step_soon(self) -> None:
        if not self._stepping and not self.held and self._queue.next_at() is not None:
            self._stepping = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._stepping = False
        if not self.held and self._queue.next_at() is not None:
            self._wake_next()
        self._step_soon()


def make_clock(kind: str, now: float | None = None) -> Clock:
    """Return a clock of a kind: real, or virtual and at a time."""
    return VirtualClock(now) if kind == "virtual" else RealClock()
