"""What sessions cost: inside the server, over the control API, and as pytest fixtures, real and CPU time.

Run it by hand: python tests/bench/sessions.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from emulator.core.scenario.session import Options
from emulator.server.sessions import changes
from emulator.server.setup import Setup, make_live_sessions
from emulator.testing.client import Control
from emulator.testing.emulator import Emulator

SCENARIO = """\
emulator: 1
provider: beatra
rules:
  - when: {last_user: {contains: report}}
    replies:
      - {error: rate_limited, retry_after: 1}
      - {text: "Here is number NUMBER, ${request.last_user}."}
  - reply: {text: Hello.}
"""
TEST = """
import pytest

SCENARIO = TEXT
MARKS = [pytest.mark.emulator(SCENARIO.replace("NUMBER", str(number))) for number in range(COUNT)]

@pytest.mark.parametrize("number", [pytest.param(number, marks=mark) for number, mark in enumerate(MARKS)])
def test_one(FIXTURES):
    pass
""".replace("TEXT", repr(SCENARIO))


def timed(what: str, count: int, act: Callable[[int], object]) -> None:
    start, spent = time.perf_counter(), time.process_time()
    for number in range(count):
        act(number)
    real, cpu = ((now - since) / count * 1000 for now, since in
                 ((time.perf_counter(), start), (time.process_time(), spent)))  # fmt: skip
    print(f"{what:<58} {real:8.3f} ms, {cpu:.3f} ms of CPU")


def in_the_server() -> None:
    sessions = make_live_sessions(Setup(max_sessions=5000))
    made = []
    timed(
        "made, no scenario",
        1000,
        lambda _: made.append(sessions.open(None, Options(provider="beatra")).session.id),
    )
    timed("made, the same scenario", 1000, lambda _: made.append(sessions.open(SCENARIO, Options()).session.id))
    timed("made, a new scenario each", 1000,
          lambda n: made.append(sessions.open(SCENARIO.replace("NUMBER", str(n)), Options()).session.id))  # fmt: skip
    rule = {"id": "on-1", "replies": [{"text": "Hi"}]}
    timed("a rule added", 1000, lambda n: changes.add_rule(sessions, made[n], rule, "test_x.py:12"))
    timed("reset", 1000, lambda n: changes.reset(sessions, made[n]))
    timed("removed", 3000, lambda n: sessions.delete(made[n]))


def over_the_control_api() -> None:
    with Emulator() as server:
        control = Control(server.url)

        def whole(number: int) -> None:
            scenario = SCENARIO.replace("NUMBER", str(number))
            session = control.ask("POST", "/sessions", {"scenario": scenario, "provider": "beatra"})
            control.ask("GET", f"/sessions/{session['id']}")
            control.ask("GET", f"/sessions/{session['id']}/journal")
            control.ask("DELETE", f"/sessions/{session['id']}")

        timed("a health check", 1000, lambda _: control.ask("GET", "/health"))
        timed("made, read, journal, removed; a new scenario each", 1000, whole)
        control.close()


def as_fixtures() -> None:
    """Print what a fresh session and scenario add to a test, the server's start apart: 500 more tests, best of 3."""
    with tempfile.TemporaryDirectory() as folder:
        for workers in ("0", "2"):
            (real, cpu), (bare_real, bare_cpu) = (
                more_tests(folder, fixtures, workers) for fixtures in ("emulator, number", "number")
            )
            what = f"the fixture, for each of 500 tests, -n {workers}"
            print(f"{what:<58} {real - bare_real:8.3f} ms, {cpu - bare_cpu:.3f} ms of CPU")


def more_tests(folder: str, fixtures: str, workers: str) -> tuple[float, float]:
    """Return milliseconds for each of 500 tests after the first."""
    few, many = (
        [min(column) for column in zip(*(seconds(folder, fixtures, count, workers) for _ in range(3)), strict=True)]
        for count in (1, 501)
    )
    return (many[0] - few[0]) * 2, (many[1] - few[1]) * 2


def seconds(folder: str, fixtures: str, count: int, workers: str) -> tuple[float, float]:
    Path(folder, "test_one.py").write_text(TEST.replace("COUNT", str(count)).replace("FIXTURES", fixtures))
    start, before = time.perf_counter(), sum(os.times()[2:4])
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", "test_one.py"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return time.perf_counter() - start, sum(os.times()[2:4]) - before


if __name__ == "__main__":
    in_the_server()
    over_the_control_api()
    as_fixtures()
