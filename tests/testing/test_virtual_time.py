"""Virtual time: sleeps move a clock instead of waiting, in order, in threads and tasks, and everything is put back."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import _pytest.timing
import anyio
import pytest
import trio

from emulator.server import real_time
from emulator.server.real_time import SERVER_THREAD
from emulator.testing import virtual_time
from emulator.testing.virtual_time import STEP_S, VirtualTime

START = 1_800_000_000.0
ORIGINAL_TIME = time.time
PAUSE = threading.Event()


class FakeClock:
    """A session's clock without a server; `moves` are the times it was moved to, in seconds from its start."""

    def __init__(self) -> None:
        self.now = self.seen = START
        self.moves: list[float] = []

    def advance(self, seconds: float) -> float:
        self.now = self.seen = self.now + seconds
        self.moves.append(self.now - START)
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def virtual(clock: FakeClock) -> Iterator[VirtualTime]:
    with VirtualTime(clock) as made:  # type: ignore[arg-type]
        yield made


async def sleep_by_asyncio(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def sleep_by_anyio(seconds: float) -> None:
    await anyio.sleep(seconds)


async def sleep_by_trio(seconds: float) -> None:
    await trio.sleep(seconds)


RUNS: dict[str, Callable[[Callable[..., Any], float], Any]] = {
    "asyncio": lambda act, seconds: asyncio.run(act(sleep_by_asyncio, seconds)),
    "anyio-on-asyncio": lambda act, seconds: anyio.run(act, sleep_by_anyio, seconds, backend="asyncio"),
    "anyio-on-trio": lambda act, seconds: anyio.run(act, sleep_by_anyio, seconds, backend="trio"),
    "trio": lambda act, seconds: trio.run(act, sleep_by_trio, seconds),
}
any_loop = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


# One sleeper


def test_time_sleep_moves_the_clock(virtual: VirtualTime, clock: FakeClock) -> None:
    time.sleep(3600)
    assert (clock.moves, virtual.sleepers) == ([3600.0], 0)


@any_loop
def test_async_sleeps_move_the_clock(run: Any, virtual: VirtualTime, clock: FakeClock) -> None:
    async def act(sleep: Any, seconds: float) -> None:
        await sleep(seconds)

    run(act, 3600.0)
    assert (clock.moves, virtual.sleepers) == ([3600.0], 0)


def test_asyncio_sleep_returns_its_result(virtual: VirtualTime) -> None:
    assert asyncio.run(asyncio.sleep(60, "done")) == "done"


def test_each_sleep_takes_a_step_of_real_time(virtual: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[float] = []
    monkeypatch.setattr("emulator.testing.virtual_time._real_sleep", lambda seconds: steps.append(seconds))
    time.sleep(0.000001)
    assert steps[:1] == [STEP_S] == [0.001]


@pytest.mark.parametrize("seconds", [0, -0.0])
def test_a_sleep_of_nothing_moves_nothing(virtual: VirtualTime, clock: FakeClock, seconds: float) -> None:
    time.sleep(seconds)
    asyncio.run(asyncio.sleep(seconds))
    assert clock.moves == []


def test_a_negative_sleep_is_the_error_that_it_was(virtual: VirtualTime) -> None:
    with pytest.raises(ValueError, match="must be non-negative"):
        time.sleep(-1)


@any_loop
def test_a_sleep_for_ever_waits_for_its_cancellation(run: Any, virtual: VirtualTime, clock: FakeClock) -> None:
    async def act(sleep: Any, seconds: float) -> None:
        if run is RUNS["asyncio"]:
            task = asyncio.ensure_future(sleep(seconds))
            await asyncio.sleep(60)
            sleepers.append(virtual.sleepers)
            task.cancel()
            return
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, seconds)
            await anyio.sleep(60)
            sleepers.append(virtual.sleepers)
            group.cancel_scope.cancel()

    sleepers: list[int] = []
    run(act, float("inf"))
    assert (clock.moves, sleepers) == ([60.0], [0])


# Several sleepers


def test_threads_wake_in_the_order_of_their_due_times(virtual: VirtualTime, clock: FakeClock) -> None:
    woken: list[int] = []
    ready = threading.Barrier(3)

    def act(seconds: int) -> None:
        number = virtual.begin(seconds)  # all have begun before one looks
        ready.wait()
        while not virtual.is_over(number):
            PAUSE.wait(STEP_S)
        woken.append(seconds)
        virtual.end(number)

    threads = [threading.Thread(target=act, args=(seconds,)) for seconds in (30, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (woken, clock.moves) == ([10, 20, 30], [10.0, 20.0, 30.0])


@any_loop
def test_tasks_wake_in_the_order_of_their_due_times(run: Any, virtual: VirtualTime, clock: FakeClock) -> None:
    woken: list[float] = []

    async def act(sleep: Any, seconds: float) -> None:
        async def one(part: float) -> None:
            await sleep(part * seconds)
            woken.append(part)

        if run is RUNS["asyncio"]:
            await asyncio.gather(*map(one, (3, 1, 2)))
            return
        async with anyio.create_task_group() as group:
            for part in (3, 1, 2):
                group.start_soon(one, part)

    run(act, 10.0)
    assert (woken, clock.moves) == ([1, 2, 3], [10.0, 20.0, 30.0])


def test_side_by_side_sleepers_take_the_longest_not_the_sum(virtual: VirtualTime, clock: FakeClock) -> None:
    async def act() -> None:
        await asyncio.gather(*(asyncio.sleep(60) for _ in range(50)))

    asyncio.run(act())
    assert clock.moves == [60.0]


def test_one_that_sleeps_again_at_once_comes_before_a_longer_sleeper(virtual: VirtualTime, clock: FakeClock) -> None:
    order: list[str] = []

    async def tick() -> None:
        for number in range(3):
            await asyncio.sleep(10)
            order.append(f"tick {number}")

    async def long() -> None:
        await asyncio.sleep(25)
        order.append("long")

    async def act() -> None:
        await asyncio.gather(long(), tick())

    asyncio.run(act())
    assert order == ["tick 0", "tick 1", "long", "tick 2"]


def test_nobody_moves_the_clock_right_after_another_woke(
    virtual: VirtualTime, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = 100.0
    monkeypatch.setattr("emulator.testing.virtual_time.real_time.monotonic", lambda: real)
    long, short = virtual.begin(25), virtual.begin(10)
    assert (virtual.is_over(long), virtual.is_over(short)) == (False, True)
    virtual.end(short)
    seen = [virtual.is_over(long)]
    again = virtual.begin(10)
    real += STEP_S
    seen += [virtual.is_over(long), virtual.is_over(again)]
    virtual.end(again)
    real += 2 * STEP_S
    seen.append(virtual.is_over(long))
    virtual.end(long)
    monkeypatch.undo()
    assert (seen, clock.moves) == ([False, False, True, True], [10.0, 20.0, 25.0])


def test_a_sleep_that_the_session_overtook_is_over(virtual: VirtualTime, clock: FakeClock) -> None:
    number = virtual.begin(5)
    clock.advance(60)
    assert (virtual.is_over(number), clock.moves) == (True, [60.0])
    virtual.end(number)


# Time-outs and cancellations


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_sleep_beats_the_time_out_around_it(virtual: VirtualTime, backend: str) -> None:
    async def act() -> bool:
        with anyio.move_on_after(30) as scope:
            await anyio.sleep(3600)
        return scope.cancelled_caught

    assert anyio.run(act, backend=backend) is False


def test_asyncio_wait_for_is_beaten_too(virtual: VirtualTime) -> None:
    async def act() -> str:
        return await asyncio.wait_for(asyncio.sleep(3600, "slept"), 30)

    assert asyncio.run(act()) == "slept"


@any_loop
def test_a_sleeper_that_is_cancelled_leaves_nothing_behind(run: Any, virtual: VirtualTime, clock: FakeClock) -> None:
    other = virtual.begin(1)  # due before, so that the task cannot wake

    async def act(sleep: Any, seconds: float) -> None:
        if run is RUNS["asyncio"]:
            task = asyncio.ensure_future(sleep(seconds))
            while virtual.sleepers < 2:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, seconds)
            while virtual.sleepers < 2:
                await anyio.sleep(0)
            group.cancel_scope.cancel()

    run(act, 3600.0)
    assert (virtual.sleepers, clock.moves) == (1, [])
    virtual.end(other)


def test_a_sleeper_that_outlives_virtual_time_wakes(clock: FakeClock) -> None:
    with VirtualTime(clock) as virtual:  # type: ignore[arg-type]
        other, late = virtual.begin(1), threading.Thread(target=lambda: time.sleep(3600), daemon=True)
        late.start()
        while virtual.sleepers < 2:
            PAUSE.wait(STEP_S)
    late.join(10)
    virtual.end(other)
    assert (clock.moves, virtual.sleepers) == ([], 0)


# What is patched


def module(name: str, **names: Any) -> Iterator[types.ModuleType]:
    made = types.ModuleType(name)
    made.__dict__.update(names)
    sys.modules[name] = made
    yield made
    del sys.modules[name]


@pytest.fixture
def bound() -> Iterator[types.ModuleType]:
    """A module of an application's that bound the functions by name."""
    yield from module("an_application", sleep=time.sleep, rest=asyncio.sleep, doze=trio.sleep, clock=time.time)


def test_modules_that_bound_a_function_by_name_are_patched(bound: Any, clock: FakeClock) -> None:
    with VirtualTime(clock):  # type: ignore[arg-type]
        bound.sleep(60)
        asyncio.run(bound.rest(60))
        trio.run(bound.doze, 60)
        ahead = bound.clock() - real_time.now()
    assert (clock.moves, round(ahead)) == ([60.0, 120.0, 180.0], 180)
    assert (bound.sleep, bound.rest, bound.clock) == (
        virtual_time._real_sleep,
        virtual_time._real_async_sleep,
        ORIGINAL_TIME,
    )


@pytest.mark.parametrize("name", ["emulator.some", "_pytest.some", "pytest_asyncio.some", "xdist.some", "logging.some"])
def test_modules_of_ours_of_pytest_and_of_the_standard_library_are_not(name: str, clock: FakeClock) -> None:
    for made in module(name, sleep=time.sleep, rest=asyncio.sleep):
        with VirtualTime(clock):  # type: ignore[arg-type]
            assert (made.sleep, made.rest) == (virtual_time._real_sleep, virtual_time._real_async_sleep)


def test_pytest_and_asyncio_go_on_with_what_they_bound(virtual: VirtualTime) -> None:
    assert _pytest.timing.sleep is virtual_time._real_sleep
    assert asyncio.tasks.sleep is virtual_time._real_async_sleep
    assert (time.sleep is virtual_time._real_sleep, asyncio.sleep is virtual_time._real_async_sleep) == (False, False)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_waits_for_no_thread_of_its_parent(virtual: VirtualTime, clock: FakeClock) -> None:
    virtual.begin(1.0)  # of a thread that looks just now whether it is due
    with virtual._lock:
        child = os.fork()
        if not child:
            signal.alarm(20)
            try:
                time.sleep(60)
                os._exit(0 if clock.moves == [60] else 1)
            finally:
                os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert virtual.sleepers == 1


def test_everything_is_put_back(clock: FakeClock) -> None:
    before = (time.sleep, time.time, asyncio.sleep, trio.sleep)
    with VirtualTime(clock):  # type: ignore[arg-type]
        assert not {time.sleep, time.time, asyncio.sleep, trio.sleep} & set(before)
    assert (time.sleep, time.time, asyncio.sleep, trio.sleep) == before


def test_what_the_test_put_there_meanwhile_stays(bound: Any, clock: FakeClock) -> None:
    with VirtualTime(clock):  # type: ignore[arg-type]
        bound.sleep = print
    assert bound.sleep is print


def test_it_is_active_once(virtual: VirtualTime, clock: FakeClock) -> None:
    with pytest.raises(RuntimeError, match="virtual time is active already"), VirtualTime(clock):  # type: ignore[arg-type]
        pass


def slept_for_real(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of what is really slept from now on, where nothing sleeps for real."""
    seconds: list[float] = []
    monkeypatch.setattr("emulator.testing.virtual_time._real_sleep", seconds.append)
    return seconds


def test_the_emulators_own_thread_sleeps_for_real(
    virtual: VirtualTime, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.advance(60)
    slept, ahead = slept_for_real(monkeypatch), []
    thread = threading.Thread(
        target=lambda: (time.sleep(0.002), ahead.append(time.time() - real_time.now())), name=SERVER_THREAD
    )
    thread.start()
    thread.join()
    assert (slept, clock.moves, round(ahead[0])) == ([0.002], [60.0], 0)


@pytest.mark.parametrize("name", ["uvicorn.server", "subprocess", "multiprocessing.pool", "emulator.x", "_pytest.x"])
def test_who_polls_sleeps_for_real(
    name: str, virtual: VirtualTime, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = slept_for_real(monkeypatch)
    exec("import time\ntime.sleep(0.002)", {"__name__": name})
    assert (slept, clock.moves) == ([0.002], [])


def test_waiting_for_a_subprocess_moves_nothing(virtual: VirtualTime, clock: FakeClock) -> None:
    subprocess.run([sys.executable, "-c", ""], timeout=60, check=True)
    assert clock.moves == []


# What time it is


def test_time_time_moves_along_for_everybody(virtual: VirtualTime, clock: FakeClock) -> None:
    time.sleep(3600)
    clock.advance(400)
    record = logging.makeLogRecord({})
    assert (
        round(time.time() - real_time.now(), 2),
        round(record.created - real_time.now(), 0),
    ) == (4000, 4000)
    assert virtual.moved == 4000


def test_time_time_is_real_again_afterwards(clock: FakeClock) -> None:
    with VirtualTime(clock):  # type: ignore[arg-type]
        time.sleep(3600)
    assert time.time is ORIGINAL_TIME


# On a real session


def test_the_session_clock_moves(emulator: Any, emulator_time: VirtualTime) -> None:
    began = emulator.clock.now
    time.sleep(60)
    asyncio.run(asyncio.sleep(60))
    anyio.run(anyio.sleep, 60, backend="trio")
    assert round(emulator.clock.now - began, 3) == 180
    emulator.clock.advance("20s")
    assert round(emulator_time.moved, 3) == 200


def test_trio_is_patched_even_where_it_is_imported_later() -> None:
    code = """
import sys
from emulator.testing.virtual_time import VirtualTime
class Clock:
    now = seen = 0.0
    def advance(self, seconds): self.now = self.seen = self.now + seconds
clock = Clock()
assert "trio" not in sys.modules
with VirtualTime(clock):
    import anyio
    anyio.run(anyio.sleep, 3600, backend="trio")
assert clock.now == 3600, clock.now
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
