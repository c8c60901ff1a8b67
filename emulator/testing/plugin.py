"""The pytest plugin: fixtures and a marker. Imports nothing heavy until a fixture is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.testing.client import Control
    from emulator.testing.session import EmulatedSession
    from emulator.testing.virtual_time import VirtualTime

_MARKER = "@pytest.mark.emulator"
_MARKS = ("provider", "seed", "clock", "plan", "validation", "allow_unmatched", "allow_unused")
#: The session of a test.
_SESSION = pytest.StashKey[Any]()


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

    scenario, options = _marked(request)
    if "emulator_time" in request.fixturenames:
        options["clock"] = "virtual"
    folders = _folders(request.config, request.path.parent)
    try:
        session = EmulatedSession(emulator_server, scenario, folders, form=f"{_MARKER}({{}})", **options)
    except (LookupError, ControlError) as error:
        raise _failure(str(error)) from None
    request.node.stash[_SESSION] = session
    yield session
    try:
        late = session.late_findings()
    finally:
        session.delete()
    if late:
        raise _failure(session.told(late))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that passed where something is wrong with what happened; one that failed or was skipped did so."""
    yield
    session = item.stash.get(_SESSION, None)
    if session and (found := session.findings()):
        raise _failure(session.told(found))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the report of a test that failed, whatever it failed by."""
    report = yield
    session = item.stash.get(_SESSION, None)
    if session and report.when == "call" and report.failed:
        report.sections.append(("emulator", _told(session, report.longreprtext)))
    return report


def _told(session: EmulatedSession, said: str) -> str:
    """Return what a report should tell beside what it says; nothing fails here."""
    from emulator.testing.client import ControlError

    try:
        return session.report(said)
    except (OSError, ControlError) as error:
        return f"nothing is known of the session: {error}"


def _folders(config: pytest.Config, *first: Path) -> tuple[Path, ...]:
    return (*first, config.rootpath / config.getini("emulator_scenarios"))


def _marked(request: pytest.FixtureRequest) -> tuple[Any, dict[str, Any]]:
    """Return the scenario, and the session's options with what the test allows; the nearest marker wins."""
    scenario = None
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("emulator"))):
        if len(marker.args) > 1:
            raise _failure(f"{_MARKER} takes one scenario, not {len(marker.args)}")
        for name in marker.kwargs:
            if name not in _MARKS:
                raise _unknown(name)
        options.update(marker.kwargs)
        scenario = marker.args[0] if marker.args else scenario
    return scenario, options


def _unknown(name: str) -> BaseException:
    from emulator.core.errors import nearest

    return _failure(f"{_MARKER} knows no '{name}'; {nearest(name, _MARKS)}")


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
