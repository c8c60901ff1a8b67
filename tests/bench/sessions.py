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

from emulator.client import Control
from emulator.core.session import Options
from emulator.server.background import Emulator, Setup, make_worlds

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

@pytest.mark.parametrize("number", range(500))
def test_one(emulator, number):
    emulator.use(SCENARIO.replace("NUMBER", str(number)))
""".replace("SCENARIO", repr(SCENARIO))
EMPTY = """
import pytest

@pytest.mark.parametrize("number", range(500))
def test_one(number):
    pass
"""


def timed(what: str, count: int, act: Callable[[int], object]) -> None:
    start, spent = time.perf_counter(), time.process_time()
    for number in range(count):
        act(number)
    real, cpu = ((now - since) / count * 1000 for now, since in
                 ((time.perf_counter(), start), (time.process_time(), spent)))  # fmt: skip
    print(f"{what:<58} {real:8.3f} ms, {cpu:.3f} ms of CPU")


def in_the_server() -> None:
    worlds = make_worlds(Setup(max_sessions=5000))
    made = []
    timed("made, no scenario", 1000, lambda _: made.append(worlds.open(None, Options(provider="beatra")).session.id))
    timed("made, the same scenario", 1000, lambda _: made.append(worlds.open(SCENARIO, Options()).session.id))
    timed("made, a new scenario each", 1000,
          lambda n: made.append(worlds.open(SCENARIO.replace("NUMBER", str(n)), Options()).session.id))  # fmt: skip
    timed("a rule added", 1000,
          lambda n: worlds.add_rule(made[n], {"id": "on-1", "replies": [{"text": "Hi"}]}, "test_x.py:12"))  # fmt: skip
    timed("reset", 1000, lambda n: worlds.reset(made[n]))
    timed("removed", 3000, lambda n: worlds.delete(made[n]))


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
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("test_empty.py", EMPTY), ("test_fixture.py", TEST)):
            Path(folder, name).write_text(text)
            for workers in ("0", "2"):
                command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", name]
                before = sum(os.times()[2:4])
                output = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
                cpu = sum(os.times()[2:4]) - before
                print(f"{name}, -n {workers}: {output.strip().splitlines()[-1]}, {cpu:.2f}s of CPU")


if __name__ == "__main__":
    in_the_server()
    over_the_control_api()
    as_fixtures()
