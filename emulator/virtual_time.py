"""Virtual time for a test's process: sleeps move the session's clock instead of waiting.

While active, `time.sleep`, `asyncio.sleep` and `trio.sleep` (and with them anyio's) take about a millisecond and move
the session's virtual clock by what they were asked for; `time.time()` moves along. Know that:

- sleepers wake at their due times, in order: two sleeps of 60 s side by side take 60 s, not 120;
- each sleep takes at least 1 ms of real time, so that a polling loop does not run away;
- time-outs stay real, so a sleep beats the time-out around it; `datetime.now()` and `time.monotonic()` stay real;
- modules that bound `sleep` or `time` by name are patched too, but not the standard library's, pytest's or ours;
- it is about this process only, and the emulator's own thread in it goes on in real time.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from emulator.server_thread import SERVER_THREAD

if TYPE_CHECKING:
    from emulator.testing import Clock

#: What each sleep takes at least, and how often a sleeper looks whether it is due: real seconds.
STEP_S = 0.001

_real_sleep, _real_time, _real_async_sleep = time.sleep, time.time, asyncio.sleep
_active: VirtualTime | None = None
_OURS = ("emulator", "pytest", "_pytest", "pluggy", "xdist", "execnet", "_hypothesis_pytestplugin")


class VirtualTime:
    """A context in which sleeping moves a session's clock; `slept` is how far, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._sleepers: dict[int, float] = {}  # due times, Unix seconds of the session's clock
        self.slept = 0.0

    def __enter__(self) -> VirtualTime:
        global _active
        if _active is not None:
            raise RuntimeError("virtual time is active already")
        self._undo = list(_patch())
        _active = self
        return self

    def __exit__(self, *error: object) -> None:
        global _active
        _active = None
        for namespace, name, original in self._undo:
            namespace[name] = original

    def begin(self, seconds: float) -> int:
        """Begin a sleep and return its number."""
        with self._lock:
            number = next(self._order)
            self._sleepers[number] = self._clock.now + seconds
            return number

    def is_over(self, number: int) -> bool:
        """Tell whether a sleep is over; the one that is due first moves the clock to its time."""
        with self._lock:
            due = self._sleepers[number]
            if min(self._sleepers.values()) < due:
                return False
            ahead = due - self._clock.now
            if ahead > 0:
                self._clock.advance(ahead)
                self.slept += ahead
            return True

    def end(self, number: int) -> None:
        with self._lock:
            del self._sleepers[number]


def _here() -> VirtualTime | None:
    """Return the active virtual time, unless this is the emulator's own thread."""
    return None if threading.current_thread().name == SERVER_THREAD else _active


# What stands in for the originals. A module that is imported meanwhile may keep one: without virtual time it is the
# original in all but name.


def sleep(seconds: float) -> None:
    """Stand in for time.sleep."""
    here = _here()
    if here is None or not seconds > 0:
        return _real_sleep(seconds)
    number = here.begin(seconds)
    try:
        _real_sleep(STEP_S)
        while not here.is_over(number):
            _real_sleep(STEP_S)
    finally:
        here.end(number)


def now() -> float:
    """Stand in for time.time."""
    here = _here()
    return _real_time() + (here.slept if here else 0.0)


def _async_stand_in(original: Callable[..., Any]) -> Callable[..., Any]:
    async def sleep(delay: float, *rest: Any, **more: Any) -> Any:
        here = _here()
        if here is None or not delay > 0:
            return await original(delay, *rest, **more)
        number = here.begin(delay)
        try:
            result = await original(STEP_S, *rest, **more)
            while not here.is_over(number):
                await original(STEP_S)
            return result
        finally:
            here.end(number)

    return sleep


_stand_ins: dict[Any, Callable[..., Any]] = {
    _real_sleep: sleep,
    _real_time: now,
    _real_async_sleep: _async_stand_in(_real_async_sleep),
}


def _patch() -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Put the stand-ins wherever an original is bound; yield what undoes it."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.sleep not in _stand_ins.values():
        _stand_ins.setdefault(trio.sleep, _async_stand_in(trio.sleep))
    for name, module in list(sys.modules.items()):
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict) or not _is_patched(name):
            continue
        for attribute, value in list(namespace.items()):
            if isinstance(value, _KINDS) and value in _stand_ins:
                namespace[attribute] = _stand_ins[value]
                yield namespace, attribute, value


_KINDS = (type(_real_sleep), type(_real_async_sleep))


def _is_patched(module: str) -> bool:
    top = module.partition(".")[0]
    return module in ("time", "asyncio") or (top not in sys.stdlib_module_names and top not in _OURS)
