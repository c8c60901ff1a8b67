"""The pytest plugin: fixtures and a marker. Imports nothing heavy until a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.testing.client import Control
    from emulator.testing.session import EmulatedSession
    from emulator.testing.virtual_time import VirtualTime

_MARKS = ("provider", "seed", "clock", "plan", "validation")
_ALLOWS = ("allow_unmatched", "allow_unused")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("emulator").addoption(
        "--emulator-url", metavar="URL", help="use a running emulator; http://TOKEN@HOST:PORT gives its --admin-token"
    )
    parser.addini("emulator_scenarios", "the folder of scenario files that the emulator marker names", default=".")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "emulator(scenario, provider=, seed=, clock=, plan=, validation=, allow_unmatched=False, allow_unused=False): "
        "sets the emulator fixture up.",
    )


@pytest.fixture(scope="session")
def emulator_server(request: pytest.FixtureRequest) -> Iterator[Control]:
    """One server for this test process, on a free port (or the one of --emulator-url)."""
    from emulator.testing.client import Control, ControlError

    url = request.config.getoption("--emulator-url")
    if url:
        control = Control(url)
        try:
            control.ask("GET", "/health")
        except (OSError, ControlError) as error:
            raise _failure(f"--emulator-url {control.url}: {error}") from None
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
    from emulator.testing.client import ControlError
    from emulator.testing.session import EmulatedSession

    scenario, options, allowed = _marked(request)
    if "emulator_time" in request.fixturenames:
        options["clock"] = "virtual"
    folders = (request.path.parent, request.config.rootpath / request.config.getini("emulator_scenarios"))
    try:
        session = EmulatedSession(emulator_server, scenario, folders, **options)
    except (LookupError, ControlError) as error:
        raise _failure(str(error)) from None
    yield session
    try:
        problems = list(session.problems(**allowed))
    finally:
        session.delete()
    if problems:
        raise _failure("\n\n".join(problems))


def _marked(request: pytest.FixtureRequest) -> tuple[Any, dict[str, Any], dict[str, bool]]:
    """Return the scenario, the session's options and what the test allows; the nearest marker wins."""
    scenario = None
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("emulator"))):
        if len(marker.args) > 1:
            raise _failure(f"@pytest.mark.emulator takes one scenario, not {len(marker.args)}")
        for name in marker.kwargs:
            if name not in (*_MARKS, *_ALLOWS):
                raise _unknown(name)
        options.update(marker.kwargs)
        scenario = marker.args[0] if marker.args else scenario
    return scenario, options, {name: bool(options.pop(name, False)) for name in _ALLOWS}


def _unknown(name: str) -> BaseException:
    from emulator.core.errors import nearest

    return _failure(f"@pytest.mark.emulator knows no '{name}'; {nearest(name, (*_MARKS, *_ALLOWS))}")


def _failure(message: str) -> BaseException:
    """Return what fails a test with a message and no traceback of ours."""
    from emulator.core.printable import printable_lines

    return pytest.fail.Exception(printable_lines(message), pytrace=False)


@pytest.fixture
def emulator_env(emulator: EmulatedSession, monkeypatch: pytest.MonkeyPatch) -> EmulatedSession:
    """Point the provider's variables (OPENAI_BASE_URL, OPENAI_API_KEY) at the session, here and in what is started."""
    try:
        variables = emulator.env
    except LookupError as error:
        raise _failure(str(error)) from None
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return emulator


@pytest.fixture
def emulator_time(emulator: EmulatedSession) -> Iterator[VirtualTime]:
    """Virtual time: the session's clock, and the sleeps of this process move it instead of waiting."""
    from emulator.testing.virtual_time import VirtualTime

    if emulator.clock.kind != "virtual":
        raise _failure("emulator_time must be named among the test's arguments or its usefixtures")
    with VirtualTime(emulator.clock) as time:
        yield time
