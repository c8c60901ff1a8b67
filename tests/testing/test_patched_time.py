"""Time that others patch too, and budgets: each ends where it would, and nobody hangs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
import json
import queue
import selectors
import sys
import threading
import time
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backoff
import freezegun
import pytest
import tenacity
import time_machine
from pyfakefs.fake_filesystem_unittest import Patcher

from emulator.testing.session import EmulatedSession
from emulator.testing.virtual_time import REAL, VirtualTime

pytestmark = pytest.mark.emulator(provider="brivionix", clock="virtual", allow_unused=True)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Busy(Exception):
    """A 429."""


def ask(emulator: EmulatedSession) -> str:
    """Send a chat and return its text. Raises: Busy."""
    body = json.dumps({"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"authorization": f"Bearer {emulator.api_key}", "content-type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(emulator.base_url + "/chat/completions", body, headers), timeout=20
        ) as answer:
            text: str = json.load(answer)["choices"][0]["message"]["content"]
            return text
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 429:
            raise
        raise Busy from None


# Budgets: 100 seconds, and waits of 30 after each of endless 429s


def by_tenacity(act: Callable[[], str]) -> None:
    stop = tenacity.stop_after_delay(100) | tenacity.stop_after_attempt(50)
    tenacity.retry(wait=tenacity.wait_fixed(30), stop=stop, reraise=True)(act)()


def by_tenacity_in_a_loop(act: Callable[[], str]) -> None:
    async def acting() -> str:
        return act()

    stop = tenacity.stop_after_delay(100) | tenacity.stop_after_attempt(50)
    asyncio.run(tenacity.retry(wait=tenacity.wait_fixed(30), stop=stop, reraise=True)(acting)())


def by_backoff(act: Callable[[], str]) -> None:
    backoff.on_exception(backoff.constant, Busy, interval=30, jitter=None, max_time=100, max_tries=50)(act)()


def by_backoff_in_a_loop(act: Callable[[], str]) -> None:
    async def acting() -> str:
        return act()

    limits: Any = {"max_time": 100, "max_tries": 50}
    asyncio.run(backoff.on_exception(backoff.constant, Busy, interval=30, jitter=None, **limits)(acting)())


def by_hand(clock: Callable[[], float]) -> Callable[[Callable[[], str]], None]:
    def attempt(act: Callable[[], str]) -> None:
        began = clock()
        while True:
            try:
                act()
            except Busy:
                if clock() - began >= 100:
                    raise
                time.sleep(30)

    return attempt


BUDGETS = {
    "tenacity": by_tenacity, "tenacity-async": by_tenacity_in_a_loop, "backoff": by_backoff,
    "backoff-async": by_backoff_in_a_loop, "monotonic": by_hand(lambda: time.monotonic()),
    "perf_counter": by_hand(lambda: time.perf_counter()), "time": by_hand(lambda: time.time()),
    "monotonic_ns": by_hand(lambda: time.monotonic_ns() / 1e9), "time_ns": by_hand(lambda: time.time_ns() / 1e9),
}  # fmt: skip


@pytest.mark.parametrize("attempt", BUDGETS.values(), ids=BUDGETS)
def test_a_budget_of_time_ends_where_it_would(
    emulator: EmulatedSession, emulator_time: VirtualTime, attempt: Callable[[Callable[[], str]], None]
) -> None:
    emulator.on().reply(error="rate_limited")
    with pytest.raises(Busy):
        attempt(lambda: ask(emulator))
    assert len(emulator.journal) == 5  # at 0, 30, 60, 90 and, for backoff, which cuts its last wait short, 100 s
    assert 99 <= emulator_time.moved <= 121


# Who keeps the real clocks


def test_what_measures_real_waits_keeps_the_real_clock(emulator: EmulatedSession, emulator_time: VirtualTime) -> None:
    before = time.monotonic()
    for package in ("threading", "selectors", "concurrent.futures.thread", "asyncio.base_events", *REAL):
        scope: dict[str, Any] = {"__name__": package, "time": time}
        exec("def look(): return time.monotonic(), time.perf_counter()", scope)
        scope["began"] = scope["look"]()
        time.sleep(1000)
        assert all(later - first < 500 for first, later in zip(scope["began"], scope["look"](), strict=True)), package
    assert time.monotonic() - before >= 1000 * len(REAL)


def test_no_real_time_out_passes_because_a_clock_moved(emulator: EmulatedSession, emulator_time: VirtualTime) -> None:
    done = queue.Queue[int]()
    with concurrent.futures.ThreadPoolExecutor() as pool, selectors.DefaultSelector():
        waiting = pool.submit(done.get, timeout=20)
        waiter = pool.submit(threading.Event().wait, 0.05)
        for _ in range(20):
            time.sleep(100)
        done.put(7)
        assert (waiting.result(timeout=20), waiter.result(timeout=20)) == (7, False)


def test_an_event_loop_keeps_the_real_clock(emulator: EmulatedSession, emulator_time: VirtualTime) -> None:
    async def waits() -> list[str]:
        told: list[str] = []
        asyncio.get_running_loop().call_later(0.2, told.append, "timer")
        await asyncio.sleep(3600)
        told.append("slept")
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 0.3), 20)
        return told

    assert asyncio.run(waits()) == ["slept", "timer"]


def test_the_clocks_are_put_back(emulator: EmulatedSession) -> None:
    originals = (time.time, time.monotonic, time.perf_counter, time.monotonic_ns, backoff._sync.datetime)
    with VirtualTime(emulator.clock):
        assert (time.monotonic, backoff._sync.datetime) != (originals[1], originals[4])
    assert (time.time, time.monotonic, time.perf_counter, time.monotonic_ns, backoff._sync.datetime) == originals


# Nothing is woken


class Lazy:
    """Stands for a value of a library that loads when anybody asks what it is, as those of openai do."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    @property
    def __class__(self) -> type:  # type: ignore[override]
        self.woken.append("class")
        return types.FunctionType

    def __getattr__(self, name: str) -> Any:
        self.woken.append(name)
        raise AttributeError(name)

    def __hash__(self) -> int:
        self.woken.append("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        self.woken.append("eq")
        return False


def test_no_lazy_value_and_no_lazy_module_is_woken(
    emulator: EmulatedSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lazy, holder = Lazy(), types.ModuleType("holder_of_lazy")
    holder.value = lazy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holder_of_lazy", holder)
    (tmp_path / "slow_to_load.py").write_text("raise RuntimeError('it was loaded')")
    spec = importlib.util.spec_from_file_location("slow_to_load", tmp_path / "slow_to_load.py")
    assert spec
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "slow_to_load", module)
    before = set(sys.modules)
    with VirtualTime(emulator.clock):
        pass
    assert (lazy.woken, set(sys.modules) - before) == ([], set())


# Beside others that patch time, and files


@contextmanager
def frozen() -> Iterator[None]:
    with freezegun.freeze_time(LONG_AGO):
        yield


@contextmanager
def frozen_with_its_loop() -> Iterator[None]:
    with freezegun.freeze_time(LONG_AGO, real_asyncio=True):
        yield


@contextmanager
def travelling() -> Iterator[None]:
    with time_machine.travel(LONG_AGO, tick=False):
        yield


@contextmanager
def faking_files() -> Iterator[None]:
    with Patcher():
        yield


OTHERS = {"freezegun": frozen, "freezegun-real-asyncio": frozen_with_its_loop, "time-machine": travelling,
          "pyfakefs": faking_files}  # fmt: skip


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("clock", ["real", "virtual"])
@pytest.mark.parametrize("when", ["inside", "around"])
def test_waits_end_whoever_patches_time_and_files(
    emulator_server: Any, others: Any, clock: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def session() -> EmulatedSession:
        made = EmulatedSession(emulator_server, provider="brivionix", clock=clock)
        made.on().reply("late", latency="50ms", stream={"itl": "20ms"})
        return made

    made = session() if when == "inside" else None
    with others():
        made = made or session()
        assert ask(made) == "late"
        made.wait_for(calls=1, timeout=20)
        with pytest.raises(AssertionError, match=r"expected 9 calls within 0\.1 s"):
            made.wait_for(calls=9, timeout=0.1)
        assert made.verdict()["findings"]
        at = made.journal[0].at
    assert abs(at - time.time()) < 600  # not in 2020
    made.delete()


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_virtual_time_goes_on_beside_others(emulator: EmulatedSession, others: Any) -> None:
    emulator.on().reply("one").reply("two", latency="1h")
    with others(), VirtualTime(emulator.clock) as virtual:
        assert ask(emulator) == "one"
        time.sleep(100)
        assert ask(emulator) == "two"
        emulator.wait_for(calls=2, timeout=20)
        assert emulator.clock.now > 0  # seen
        assert 3700 <= virtual.moved <= 3800


def test_everything_that_is_read_later_is_there_under_pyfakefs(emulator_server: Any) -> None:
    """The first session of a provider, and a scenario of the library, are made while no file of ours can be seen."""
    with Patcher():
        made = EmulatedSession(emulator_server, provider="openai")
        made.use("openai/reasoning.yaml")
        made.use({"emulator": 1, "rules": [{"reply": {"text": "made of nothing"}}]})
        assert made.read()["rules"]
        made.delete()
