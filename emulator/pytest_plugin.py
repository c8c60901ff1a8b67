"""The pytest plugin: fixtures and a marker. Imports nothing heavy until a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.client import Control
    from emulator.testing import EmulatedSession

_MARKS = ("provider", "seed", "clock", "plan", "validation")
_ALLOWS = ("allow_unmatched", "allow_unused")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("emulator").addoption("--emulator-url", metavar="URL", help="use a running emulator instead")
    parser.addini("emulator_scenarios", "the folder of scenario files that the emulator marker names", default=".")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "emulator(*scenario, provider=, seed=, clock=, plan=, validation=, allow_unmatched=False, allow_unused=False): "
        "sets the emulator fixture up.",
    )


@pytest.fixture(scope="session")
def emulator_server(request: pytest.FixtureRequest) -> Iterator[Control]:
    """One server for this test process, on a free port (or the one of --emulator-url)."""
    from emulator.client import Control

    url = request.config.getoption("--emulator-url")
    if url:
        control = Control(url)
        yield control
        control.close()
        return
    from emulator.server.background import Emulator

    with Emulator() as server:
        control = Control(server.url)
        yield control
        control.close()


@pytest.fixture
def emulator(request: pytest.FixtureRequest, emulator_server: Control) -> Iterator[EmulatedSession]:
    """A fresh session; when the test ends, what was unmatched, unused or unexpected fails it."""
    from emulator.testing import EmulatedSession

    options, allowed = _marked(request)
    if "emulator_time" in request.fixturenames:
        options["clock"] = "virtual"
    session = EmulatedSession(emulator_server, **options)
    yield session
    problems = list(session.problems(**allowed))
    session.delete()
    if problems:
        pytest.fail("\n\n".join(problems), pytrace=False)


def _marked(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, bool]]:
    """Return the session's options and what the test allows, of the nearest marker first."""
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("emulator"))):
        unknown = set(marker.kwargs) - {*_MARKS, *_ALLOWS}
        if unknown or len(marker.args) > 1:
            good = ", ".join((*_MARKS, *_ALLOWS))
            raise pytest.UsageError(
                f"@pytest.mark.emulator takes one scenario file and {good}; not {marker.args}{unknown}"
            )
        options.update(marker.kwargs)
        if marker.args:
            options["scenario"] = _scenario(request, marker.args[0])
    allowed = {name: bool(options.pop(name, False)) for name in _ALLOWS}
    return options, allowed


def _scenario(request: pytest.FixtureRequest, given: Any) -> Any:
    from emulator.testing import read_scenario

    if isinstance(given, str) and "\n" not in given:
        folder = Path(request.config.rootpath, request.config.getini("emulator_scenarios"))
        here = request.path.parent / given
        given = here if here.is_file() else folder / given
        if not given.is_file():
            raise pytest.UsageError(f"there is no scenario {given}; set `emulator_scenarios` to the folder that has it")
    return read_scenario(given)


@pytest.fixture
def emulator_env(emulator: EmulatedSession, monkeypatch: pytest.MonkeyPatch) -> EmulatedSession:
    """Point OPENAI_BASE_URL and OPENAI_API_KEY at the session, for this process and those it starts."""
    monkeypatch.setenv("OPENAI_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", emulator.api_key)
    return emulator


@pytest.fixture
def emulator_time(emulator: EmulatedSession) -> Iterator[Any]:
    """Virtual time: the session's clock, and the sleeps of this process move it instead of waiting."""
    from emulator.virtual_time import VirtualTime

    with VirtualTime(emulator.clock) as time:
        yield time
