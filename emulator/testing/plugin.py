"""The pytest plugin: fixtures and a marker. Imports nothing heavy until a fixture is used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.testing.client import Control
    from emulator.testing.session import EmulatedSession
    from emulator.testing.virtual_time import VirtualTime

_MARKER = "@pytest.mark.emulator"
_MARKS = ("provider", "seed", "clock", "plan", "validation", "allow_unmatched", "allow_unused")
#: The server of a whole run whose variables are set, and the id and key that its sessions have.
_RUN = pytest.StashKey[tuple[Any, dict[str, str]]]()
#: The sessions that `emulator_session` made, for tests that fail while they live.
_MADE = pytest.StashKey[list[Any]]()
#: The session of a test.
_SESSION = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("emulator").addoption(
        "--emulator-url", metavar="URL", help="use a running emulator; http://TOKEN@HOST:PORT gives its --admin-token"
    )
    parser.getgroup("emulator").addoption(
        "--emulator-keep", action="store_true",
        help="leave the sessions of tests on the server of --emulator-url, for its inspector",
    )  # fmt: skip
    parser.addini("emulator_scenarios", "the folder of scenario files that the emulator marker names", default=".")
    parser.addini("emulator_schemas", "a folder of provider folders, beside the built-in ones", default="")
    parser.addini("emulator_provider", "the provider where neither marker nor scenario names one", default="")
    parser.addini("emulator_env", "set the provider's variables for the whole run, before modules are imported",
                  type="bool", default=False)  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    _begin_run(early_config, early_config.known_args_namespace.emulator_url)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.emulator_keep and not (config.option.emulator_url and not config.getini("emulator_env")):
        raise pytest.UsageError("--emulator-keep needs --emulator-url, a server that goes on, and no emulator_env")
    _begin_run(config, config.option.emulator_url)
    config.addinivalue_line(
        "markers",
        "emulator(scenario, provider=, seed=, clock=, plan=, validation=, allow_unmatched=False, allow_unused=False): "
        "sets the emulator fixture up.",
    )


def _begin_run(config: pytest.Config, url: str | None) -> None:
    """Lead clients to the emulator for the whole run, where the ini says so: those made at import too.

    Their variables can't change from test to test, so each test's session has the same id and key.
    """
    if _RUN in config.stash or not config.getini("emulator_env"):
        return
    ending = contextlib.ExitStack()
    try:
        control = ending.enter_context(_server(config, url))
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None
    session = control.ask("POST", "/sessions", _provider(config))
    control.ask("DELETE", f"/sessions/{session['id']}")
    patch = pytest.MonkeyPatch()
    _set_variables(patch, session["env"], control.url)
    ending.callback(patch.undo)
    config.stash[_RUN] = control, {"id": session["id"], "api_key": session["api_key"]}
    config.add_cleanup(ending.close)


@contextlib.contextmanager
def _server(config: pytest.Config, url: str | None) -> Iterator[Control]:
    """Start a server, or take the one of --emulator-url.

    Raises: LookupError, where that does not answer.
    """
    from emulator.testing.client import Control, ControlError

    if url:
        with contextlib.closing(Control(url)) as control:
            try:
                control.ask("GET", "/health")
            except (OSError, ControlError) as error:
                raise LookupError(f"--emulator-url {control.url}: {error}") from None
            yield control
        return
    from emulator.testing.emulator import Emulator

    schemas = config.getini("emulator_schemas")
    emulator = Emulator(schemas=config.rootpath / schemas if schemas else None, **_provider(config))
    with emulator as server, contextlib.closing(Control(server.url)) as control:
        yield control


def _provider(config: pytest.Config) -> dict[str, Any]:
    name = config.getini("emulator_provider")
    return {"provider": name} if name else {}


@pytest.fixture(scope="session")
def emulator_server(pytestconfig: pytest.Config) -> Iterator[Control]:
    """One server for this test process, on a free port (or the one of --emulator-url)."""
    if _RUN in pytestconfig.stash:
        yield pytestconfig.stash[_RUN][0]
        return
    with contextlib.ExitStack() as ending:
        try:
            control = ending.enter_context(_server(pytestconfig, pytestconfig.option.emulator_url))
        except (LookupError, ValueError) as error:
            raise _failure(str(error)) from None
        yield control


@pytest.fixture
def emulator(request: pytest.FixtureRequest, emulator_server: Control) -> Iterator[EmulatedSession]:
    """A fresh session; when the test ends, what was unmatched, unused or unexpected fails it."""
    from emulator.testing.client import ControlError
    from emulator.testing.session import EmulatedSession

    scenario, options = _marked(request)
    if "emulator_time" in request.fixturenames:
        options["clock"] = "virtual"
    options |= request.config.stash.get(_RUN, (None, {}))[1]
    folders = _folders(request.config, request.path.parent)
    try:
        session = EmulatedSession(emulator_server, scenario, folders, form=f"{_MARKER}({{}})", **options)
    except (LookupError, ControlError) as error:
        file, line, _ = request.node.location
        raise _failure(f"{file}:{(line or 0) + 1}: {_MARKER}: {error}") from None
    request.node.stash[_SESSION] = session
    yield session
    try:
        late = session.late_findings()
    finally:
        if request.config.option.emulator_keep:
            request.node.user_properties.append(
                ("emulator", f"{emulator_server.url}/_emulator/#/exchanges/{session.id}/1")
            )
        else:
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
    if report.when == "call" and report.failed:
        if session:
            report.sections.append(("emulator", _told(session, report.longreprtext)))
        for other in item.config.stash.get(_MADE, ()):
            if not other.deleted:
                report.sections.append((f"emulator session {other.id}", _told(other, report.longreprtext)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell where the sessions are that were kept."""
    reports = [item for items in terminalreporter.stats.values() for item in items if hasattr(item, "user_properties")]
    kept = {(item.nodeid, url) for item in reports for name, url in item.user_properties if name == "emulator"}
    if kept:
        terminalreporter.section("emulator sessions")
    for name, url in sorted(kept):
        terminalreporter.line(f"{name}: {url}")


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
    from emulator.core.errors import nearest

    scenario = None
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("emulator"))):
        if len(marker.args) > 1:
            raise _failure(f"{_MARKER} takes one scenario, not {len(marker.args)}")
        for name in [name for name in marker.kwargs if name not in _MARKS]:
            raise _failure(f"{_MARKER} knows no '{name}'; {nearest(name, _MARKS)}")
        options.update(marker.kwargs)
        scenario = marker.args[0] if marker.args else scenario
    given = request.config.option.emulator_url and not scenario  # a server of our own knows of it
    return scenario, _provider(request.config) | options if given else options


def _failure(message: str) -> BaseException:
    """Return what fails a test with a message and no traceback of ours."""
    from emulator.core.errors import printable_lines

    return pytest.fail.Exception(printable_lines(message), pytrace=False)


@pytest.fixture(scope="session")
def emulator_session(pytestconfig: pytest.Config, emulator_server: Control) -> Callable[..., EmulatedSession]:
    """A factory of sessions, for fixtures of any scope: `with emulator_session(provider=...) as session`."""
    from emulator.testing.session import EmulatedSession

    made = pytestconfig.stash.setdefault(_MADE, [])

    def make(scenario: Any = None, **options: Any) -> EmulatedSession:
        folders = _folders(pytestconfig, Path.cwd())
        session = EmulatedSession(emulator_server, scenario, folders, form="emulator_session({})", **options)
        made[:] = [*(item for item in made if not item.deleted), session]
        return session

    return make


@pytest.fixture
def emulator_env(emulator: EmulatedSession, monkeypatch: pytest.MonkeyPatch) -> EmulatedSession:
    """Point the provider's variables (OPENAI_BASE_URL, OPENAI_API_KEY) at the session, here and in what is started."""
    try:
        _set_variables(monkeypatch, emulator.env, emulator.base_url)
    except LookupError as error:
        raise _failure(str(error)) from None
    return emulator


def _set_variables(patch: pytest.MonkeyPatch, variables: Mapping[str, str | None], url: str) -> None:
    """Set variables, or take those that are None away, and let no proxy come between."""
    from emulator.network.hosts import without_proxy

    for name, value in {**variables, **without_proxy(url, os.environ)}.items():
        if value is None:
            patch.delenv(name, raising=False)
        else:
            patch.setenv(name, value)


@pytest.fixture
def emulator_time(emulator: EmulatedSession) -> Iterator[VirtualTime]:
    """Virtual time: the session's clock, and the sleeps of this process move it instead of waiting."""
    from emulator.testing.virtual_time import VirtualTime

    if emulator.clock.kind != "virtual":
        raise _failure("emulator_time must be named among the test's arguments or its usefixtures")
    with VirtualTime(emulator.clock) as time:
        yield time
