"""Virtual time for a test's process: sleeps move the session's clock instead of waiting.

While active, `time.sleep`, `asyncio.sleep` and `trio.sleep` (and with them anyio's) take about a millisecond and move
the session's virtual clock by what they were asked for. `time.time`, `time.monotonic` and `time.perf_counter` move
along, so that budgets end where they would. Know that:

- sleepers wake at their due times, in order: two sleeps of 60 s side by side take 60 s, not 120; but nobody waits for a
  thread that works instead of sleeping, and the server plays what it sends without waiting for sleepers;
- each sleep takes at least 1 ms of real time, so that a polling loop does not run away; one without end moves the
  clock on and on;
- time-outs stay real, so a sleep beats the time-out around it: `monotonic` and `perf_counter` are real for the standard
  library (threading, queue, socket, concurrent.futures, event loops) and for what waits on sockets or measures tests
  (see REAL); so are `threading.Event.wait` and `loop.call_later`;
- `datetime.now()` stays real, but for backoff, which measures its budget by it;
- moved clocks are real time and what the session's clock was moved by, as last seen by a sleep or by `emulator.clock`;
- modules that bound a function by name are patched too, but not the standard library's, pytest's or ours;
  uvicorn, subprocess and multiprocessing, which poll, sleep for real;
- it is about this process only, and the emulator's own thread in it goes on in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import importlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emulator.server import real_time
from emulator.server.real_time import SERVER_THREAD

if TYPE_CHECKING:
    from emulator.testing.clock import Clock

#: What each sleep takes at least, and how often a sleeper looks whether it is due: real seconds.
STEP_S = 0.001
#: A longer sleep is one for ever: it waits for a cancellation, and moves nothing. Seconds.
LONGEST_S = 365 * 86400.0

_real_sleep, _real_async_sleep = time.sleep, asyncio.sleep
_active: VirtualTime | None = None
_OURS = ("emulator", "pytest", "_pytest", "pluggy", "xdist", "execnet", "pytest_asyncio", "_hypothesis_pytestplugin")
#: Who sleeps between two looks at something real.
_POLLING = (*_OURS, "uvicorn", "subprocess", "multiprocessing")
#: Whose `monotonic` and `perf_counter` stay real, beside the standard library's: event loops, what waits on sockets,
#: and what measures how long a test takes.
REAL = (
    *_POLLING, "aiohttp", "anyio", "curio", "eventlet", "gevent", "grpc", "h11", "h2", "hypothesis", "httpcore",
    "httpcore2", "httpx", "httpx2", "psycopg", "redis", "requests", "sniffio", "tornado", "trio", "twisted", "urllib3",
    "uvloop", "websockets", "zmq",
)  # fmt: skip
#: Packages that measure budgets by `datetime.now()`.
_BY_DATE = ("backoff",)


class VirtualTime:
    """A context in which sleeping moves a session's clock; `moved` is how far it has come since, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._due: dict[int, float] = {}  # of each sleeper, Unix seconds of the session's clock
        self._woken_at = 0.0  # real seconds
        self._over = False
        self._undo: list[tuple[dict[str, Any], str, Any, Any]] = []

    def __enter__(self) -> VirtualTime:
        global _active
        if _active is not None:
            raise RuntimeError("virtual time is active already")
        self._began = self._clock.now
        self._undo = list(_patch())
        _active = self
        return self

    def __exit__(self, *error: object) -> None:
        global _active
        _active = None
        with self._lock:
            self._over = True
        for namespace, name, original, stand_in in self._undo:
            if namespace.get(name) is stand_in:
                namespace[name] = original

    @property
    def moved(self) -> float:
        return self._clock.seen - self._began

    @property
    def sleepers(self) -> int:
        """How many sleep just now."""
        return len(self._due)

    def begin(self, seconds: float) -> int:
        """Begin a sleep and return its number."""
        with self._lock:
            number = next(self._order)
            self._due[number] = (self._began if self._over else self._clock.now) + seconds
            return number

    def is_over(self, number: int) -> bool:
        """Tell whether a sleep is over; the one that is due first moves the clock to its time.

        Not at once after another woke, though: that one may sleep again, and be due before this one.
        """
        with self._lock:
            due = self._due[number]
            if self._over or due <= self._clock.seen:
                return True
            if min(self._due.values()) < due or real_time.monotonic() - self._woken_at < STEP_S:
                return False
            ahead = due - self._clock.now
            if ahead > 0:
                self._clock.advance(ahead)
            return True

    def end(self, number: int) -> None:
        with self._lock:
            del self._due[number]
            self._woken_at = real_time.monotonic()

    def begin_anew(self) -> None:
        """Begin in a forked process: the other sleepers, and who may hold the lock, are threads of the parent."""
        self._lock = threading.Lock()
        self._due.clear()


def _begin_anew() -> None:
    if _active is not None:
        _active.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)


def _here(seconds: float) -> VirtualTime | None:
    """Return the virtual time in which a sleep happens: none in the emulator's own thread, or for who polls."""
    if _active is None or not 0 < seconds < LONGEST_S or threading.current_thread().name == SERVER_THREAD:
        return None
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return None if caller.partition(".")[0] in _POLLING else _active


# What stands in for the originals. A module that is imported meanwhile may keep one: without virtual time it is the
# original in all but name.


def sleep(seconds: float = 0, *rest: Any, **more: Any) -> None:
    """Stand in for time.sleep; gevent's, which takes its place, takes more and less."""
    here = _here(seconds)
    if here is None:
        return _real_sleep(seconds, *rest, **more)
    number = here.begin(seconds)
    try:
        _real_sleep(STEP_S)
        while not here.is_over(number):
            _real_sleep(STEP_S)
    finally:
        here.end(number)


def _moved() -> float:
    """Return by how many seconds clocks are ahead in this thread."""
    here = _active if threading.current_thread().name != SERVER_THREAD else None
    return here.moved if here else 0.0


def _shifted(original: Callable[[], Any], everybody: bool) -> Callable[[], Any]:
    """Return what stands in for a clock: it moves along for everybody, or for those who don't measure real waits."""
    second = 1_000_000_000 if original.__name__.endswith("_ns") else 1

    def clock() -> Any:
        here = _active
        if here is None or not (everybody or _is_moved(sys._getframe(1).f_globals.get("__name__", ""))):
            return original()
        return original() + (int(_moved() * second) if second > 1 else _moved())

    return clock


@functools.lru_cache(maxsize=1000)
def _is_moved(module: str) -> bool:
    """Tell whether a module's monotonic clocks move along."""
    top = module.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in REAL


class _Dates(datetime.datetime):
    """A datetime whose `now` moves along."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=_moved())


_dates = ModuleType("datetime")
_dates.__dict__.update(datetime.__dict__, datetime=_Dates)


def _async_stand_in(original: Callable[..., Any]) -> Callable[..., Any]:
    async def sleep(delay: float, *rest: Any, **more: Any) -> Any:
        here = _here(delay)
        if here is None:
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


_MONOTONIC = (time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns)
_stand_ins: dict[Any, Callable[..., Any]] = {
    _real_sleep: sleep,
    _real_async_sleep: _async_stand_in(_real_async_sleep),
    **{clock: _shifted(clock, True) for clock in (time.time, time.time_ns)},
    **{clock: _shifted(clock, False)
       for clock in _MONOTONIC},
}  # fmt: skip
_KINDS = {type(original) for original in _stand_ins}  # gevent's sleep is no builtin


def _patch() -> Iterator[tuple[dict[str, Any], str, Any, Any]]:
    """Put the stand-ins wherever an original is bound; yield where, under which name, the original and its stand-in."""
    with contextlib.suppress(ImportError):  # imported later it would go unpatched
        trio_sleep = importlib.import_module("trio").sleep
        if trio_sleep not in _stand_ins.values():
            _stand_ins.setdefault(trio_sleep, _async_stand_in(trio_sleep))
    for name, module in list(sys.modules.items()):
        if not issubclass(type(module), ModuleType) or not _is_patched(name):
            continue
        namespace = object.__getattribute__(module, "__dict__")  # a lazy module would load at any other look
        for attribute, value in list(namespace.items()):
            stand_in = _stand_in(name, value)
            if stand_in is not None:
                namespace[attribute] = stand_in
                yield namespace, attribute, value, stand_in


def _stand_in(module: str, value: Any) -> Any:
    """Return what takes the place of a module's value; its type is asked, as a lazy value would load for isinstance."""
    if value is datetime and module.partition(".")[0] in _BY_DATE:
        return _dates
    if type(value) not in _KINDS or value not in _stand_ins:
        return None
    clock = value in _MONOTONIC
    return None if clock and module != "time" and not _is_moved(module) else _stand_ins[value]


def _is_patched(module: str) -> bool:
    top = module.partition(".")[0]
    return module in ("time", "asyncio") or (top not in sys.stdlib_module_names and top not in _OURS)
