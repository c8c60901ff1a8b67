"""Sessions of other scopes than a test, outside pytest, and in unittest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_emulated_session import ask
from test_plugin import HEAD, INI, Run

import emulator.testing
from emulator import Emulator
from emulator.testing import Journal

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makeini(INI)
        pytester.makepyfile(test_it=HEAD + text)
        return pytester.runpytest_inprocess("-p", "no:schemathesis", *arguments)

    return run


# A fixture of a module


MODULE = """
@pytest.fixture(scope="module")
def app(emulator_session):
    with emulator_session({"emulator": 1, "provider": "beatra", "rules": [{"replies": [{"text": "a"}, {"text": "b"}]}]},
                          OPTIONS) as session:
        yield session

def test_one(app):
    assert ask(app.base_url, app.api_key) == (200, "a")

def test_two(app):
    SECOND
"""


@pytest.mark.parametrize(
    ("options", "second", "outcomes"),
    [
        ("seed=3", "assert ask(app.base_url, app.api_key) == (200, 'b')", {"passed": 2}),
        ("seed=3", "pass", {"passed": 2, "errors": 1}),
        ("allow_unused=True", "pass", {"passed": 2}),
    ],
    ids=["all asked for", "unused", "allowed"],
)
def test_a_session_of_a_module_fails_where_it_ends(run: Run, options: str, second: str, outcomes: Any) -> None:
    result = run(MODULE.replace("OPTIONS", options).replace("SECOND", second))
    result.assert_outcomes(**outcomes)
    if "errors" in outcomes:
        said = "reply 2 of the rule at session:rules[[]0] was never asked for; allow it with emulator_session(allow_*"
        result.stdout.fnmatch_lines([f"*AssertionError: {said}"])


def test_a_test_that_fails_shows_the_exchanges_of_such_a_session(run: Run) -> None:
    result = run(MODULE.replace("OPTIONS", "allow_unused=True").replace("SECOND", "assert False"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["-* emulator session * -*", "1: POST * -> 200 (session:rules[[]0], reply 1)"])


# Outside pytest


def test_a_session_outside_pytest_fails_where_its_context_ends() -> None:
    with Emulator(provider="beatra") as server:
        with server.session(seed=3) as session:
            session.on().reply("Hello.")
            assert ask(session) == (200, "Hello.")
            session.verify(count=1)
            assert isinstance(session.journal, Journal)
        never = r"was never used(.|\n)*allow it with session\(allow_unused=True\)"
        with pytest.raises(AssertionError, match=never), server.session() as session:
            session.on().reply("never")
        with pytest.raises(KeyError) as caught, server.session() as session:
            raise KeyError(ask(session))
        assert caught.value.__notes__ == [f"1: POST /s/{session.id}/beatra/v1/chat/completions -> 200 (built-in)"]
        assert server.session().read()["exchanges"] == 0
    with pytest.raises(RuntimeError, match="a session needs a running server: with Emulator"):
        Emulator().session()


def test_a_server_that_is_gone_hides_no_failure() -> None:
    with Emulator(provider="beatra") as server:
        session = server.session()
    with pytest.raises(KeyError) as caught, session:
        raise KeyError("its own")
    assert not hasattr(caught.value, "__notes__")


# In unittest


CASES = """
import unittest
from test_emulated_session import ask
from emulator.testing import EmulatorTestCase

class Tests(EmulatorTestCase, BASE):
    emulator_scenario = "one.yaml"
    emulator_options = {"provider": "beatra"}

    PREFIX def test_right(self):
        assert ask(self.emulator) == (200, "From the file.")

    PREFIX def test_wrong(self):
        pass

    PREFIX def test_skipped(self):
        self.skipTest("not here")

    PREFIX def test_failed(self):
        self.fail("its own")

    @unittest.expectedFailure
    PREFIX def test_expected(self):
        pass
"""
FORMS = [("", "unittest.TestCase"), ("async", "unittest.IsolatedAsyncioTestCase")]


@pytest.mark.parametrize(("prefix", "base"), FORMS, ids=["plain", "async"])
@pytest.mark.parametrize("runner", ["unittest", "pytest"])
def test_unittest_has_a_session_for_each_test(tmp_path: Path, prefix: str, base: str, runner: str) -> None:
    (tmp_path / "one.yaml").write_text("emulator: 1\nrules: [{reply: {text: From the file.}}]\n")
    (tmp_path / "test_cases.py").write_text(CASES.replace("PREFIX ", f"{prefix} ".lstrip()).replace("BASE", base))
    (tmp_path / "pytest.ini").write_text(INI)
    told = ["-rA"] if runner == "pytest" else ["-v"]
    command = [sys.executable, "-m", runner, "test_cases.py" if runner == "pytest" else "test_cases", *told]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_ADDOPTS": "-p no:schemathesis"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    counted = {
        "pytest": "2 failed, 1 passed, 1 skipped, 1 xfailed",
        "unittest": "failures=2, skipped=1, expected failures=1",
    }
    assert counted[runner] in said, said
    assert said.count("allow it with emulator_options = dict(allow_unused=True)") >= 2
    assert "its own" in said


# Names


def test_the_types_are_public() -> None:
    assert [name for name in emulator.testing.__all__ if not isinstance(getattr(emulator.testing, name), type)] == []
    with pytest.raises(AttributeError, match=r"module 'emulator\.testing' has no attribute 'Nothing'"):
        emulator.testing.Nothing  # noqa: B018


# Waiting in a coroutine


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.emulator(provider="beatra")
def test_a_coroutine_waits_while_its_loop_goes_on(emulator: emulator.testing.EmulatedSession, backend: str) -> None:
    import anyio

    async def main() -> Journal:
        done: list[Journal] = []
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                done.append(await emulator.wait_for_async(calls=1))

            group.start_soon(wait)
            await anyio.sleep(0.01)  # a loop that were blocked would not come here
            await anyio.to_thread.run_sync(ask, emulator)
        return done[0]

    assert [item.status for item in anyio.run(main, backend=backend)] == [200]
