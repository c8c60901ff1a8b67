"""Both clocks: in which order and at which time callbacks are woken, and what holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from emulator.server.sessions import clock as clocks
from emulator.server.sessions.clock import RealClock, VirtualClock, make_clock


class Log(list[tuple[str, float]]):
    """What was woken, and how long after the beginning."""

    def __init__(self, clock: VirtualClock | RealClock) -> None:
        self.clock, self.start = clock, clock.now()

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.append((name, round(self.clock.now() - self.start, 6)))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]


async def turns(count: int = 50) -> None:
    """Let the loop run; nothing here waits for real time."""
    for _ in range(count):
        await asyncio.sleep(0)


def virtual(scene: Callable[[VirtualClock, Log], None]) -> Log:
    """Play a scene on a fresh virtual clock, and let the loop run after it."""

    async def play() -> Log:
        clock = VirtualClock()
        log = Log(clock)
        scene(clock, log)
        await turns()
        return log

    return asyncio.run(play())


def test_kinds() -> None:
    assert (make_clock("real").kind, make_clock("virtual").kind) == ("real", "virtual")
    assert (make_clock("real").held, make_clock("virtual").held) == (False, False)


def test_a_virtual_clock_begins_at_real_time_and_stands_still() -> None:
    real, clock = RealClock(), VirtualClock()
    assert abs(clock.now() - real.now()) < 60
    assert clock.now() == clock.now()


def test_waiting_moves_time_in_order() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        for name, seconds in (("c", 3600.0), ("a", 1.0), ("b", 1.0), ("now", 0.0)):
            clock.call_at(log.start + seconds, log.note(name))
        assert log == []  # never from inside call_at

    assert virtual(scene) == [("now", 0), ("a", 1), ("b", 1), ("c", 3600)]


def test_time_never_goes_back() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        clock.call_at(log.start - 100, log.note("past"))

    assert virtual(scene) == [("past", 0)]


def test_what_is_woken_can_wait_again() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        def again() -> None:
            log.note("a")()
            clock.call_at(log.start + 4, log.note("d"))

        clock.call_at(log.start + 1, again)
        clock.call_at(log.start + 3, log.note("c"))

    assert virtual(scene) == [("a", 1), ("c", 3), ("d", 4)]


def test_a_hold_keeps_time_until_release() -> None:
    async def play() -> None:
        clock = VirtualClock()
        log = Log(clock)
        clock.call_at(log.start + 1, log.note("a"))
        clock.hold()
        clock.call_at(log.start + 2, log.note("b"))
        await turns()
        assert (log, clock.now()) == ([], log.start)
        clock.release()
        await turns()
        assert log == [("a", 1), ("b", 2)]

    asyncio.run(play())


def test_advance_wakes_on_the_way_at_due_times() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        clock.hold()

        def again() -> None:
            log.note("a")()
            clock.call_at(log.start + 2, log.note("b"))

        clock.call_at(log.start + 1, again)
        clock.call_at(log.start + 10, log.note("at the end"))
        clock.call_at(log.start + 10.5, log.note("after"))
        clock.advance(10)
        assert log == [("a", 1), ("b", 2), ("at the end", 10)]
        assert clock.now() == log.start + 10

    assert "after" not in virtual(scene).names


def test_advance_alone_moves_time() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        clock.advance(86_400)
        log.note("a")()

    assert virtual(scene) == [("a", 86_400)]


def test_cancelled_waits_move_no_time() -> None:
    def scene(clock: VirtualClock, log: Log) -> None:
        gone = clock.call_at(log.start + 5, log.note("gone"))
        clock.call_at(log.start + 9, log.note("last")).cancel()
        clock.call_at(log.start + 1, log.note("a"))
        gone.cancel()
        gone.wake()

    log = virtual(scene)
    assert log == [("a", 1)]
    assert log.clock.now() == log.start + 1


@pytest.mark.parametrize("end", ["release", "advance"])
def test_a_silence_ends_on_a_virtual_clock(end: str) -> None:
    async def play() -> None:
        clock = VirtualClock()
        log = Log(clock)
        clock.call_released(log.note("a"))
        clock.call_released(log.note("gone")).cancel()
        clock.call_released(log.note("b"))
        await turns()
        assert log == []
        if end == "release":
            clock.release()
        else:
            clock.advance(7)
        assert log == [("a", 0), ("b", 0)]
        clock.release()
        assert len(log) == 2

    asyncio.run(play())


def test_a_silence_ends_on_a_real_clock() -> None:
    async def play() -> None:
        clock = RealClock()
        log = Log(clock)

        def again() -> None:
            log.note("a")()
            clock.call_released(log.note("second"))

        clock.call_released(again)
        clock.release()
        assert log.names == ["a"]
        clock.release()
        assert log.names == ["a", "second"]

    asyncio.run(play())


@pytest.mark.parametrize("kind", ["real", "virtual"])
def test_a_silence_has_a_limit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "FOREVER_LIMIT_S", 0.0)

    async def play() -> None:
        done = asyncio.Event()
        make_clock(kind).call_released(done.set)
        await asyncio.wait_for(done.wait(), 5)

    asyncio.run(play())


def test_a_held_wait_has_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "FOREVER_LIMIT_S", 0.0)

    async def play() -> None:
        clock = VirtualClock()
        log = Log(clock)
        done = asyncio.Event()
        clock.call_at(log.start + 1, log.note("before"))
        clock.hold()
        clock.call_at(log.start + 2, log.note("during"))
        clock.call_at(log.start + 2, done.set)
        await asyncio.wait_for(done.wait(), 5)
        assert log == [("before", 1), ("during", 2)]
        assert clock.held

    asyncio.run(play())


def test_what_is_over_is_let_go() -> None:
    async def play() -> None:
        real, held = RealClock(), VirtualClock()
        held.hold()
        for _ in range(1000):
            real.call_released(list).cancel()
            held.call_released(list).cancel()
        assert len(real._silence) <= 1
        assert len(held._silence) <= 1
        timers = [held.call_at(held.now() + 1, list) for _ in range(3)]
        held.release()
        await turns()
        assert not any(waiter.callback for waiter in timers)
        assert held._queue.next_at() is None

    asyncio.run(play())


def test_a_real_clock_wakes_in_order_and_not_early() -> None:
    async def play() -> None:
        clock = RealClock()
        log = Log(clock)
        done = asyncio.Event()
        due = {"a": 0.005, "b": 0.02, "past": -5.0}
        for name, seconds in due.items():
            clock.call_at(log.start + seconds, log.note(name))
        clock.call_at(log.start + 0.01, log.note("gone")).cancel()
        clock.call_at(log.start + 0.04, done.set)
        await asyncio.wait_for(done.wait(), 5)
        assert log.names == ["past", "a", "b"]
        clock.release()

    asyncio.run(play())
