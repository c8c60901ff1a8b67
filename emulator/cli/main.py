"""The command line: `serve`, and what the other commands share with it; they have modules of their own.

Exit codes: 0 ok; 1 findings; 2 usage or configuration; 3 unreachable; 4 inconclusive; 130 interrupted.
"""

from __future__ import annotations

import errno
import functools
import gc
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from emulator.cli import streams
from emulator.cli.files import check_writable, find_scenarios
from emulator.cli.streams import FINDINGS, UNREACHABLE, USAGE, fail, say
from emulator.core.durations import whole_number
from emulator.network.hosts import is_loopback

if TYPE_CHECKING:
    import socket

    from emulator.core.provider.provider import Provider
    from emulator.core.scenario.scenario import Scenario
    from emulator.server.certificate import Certificate
    from emulator.server.sessions.live import LiveSessions
    from emulator.server.setup import Setup

SEED = click.IntRange(-(2**63), 2**64 - 1)
#: Commands with a module of their own, which is loaded when they are named.
_ELSEWHERE = {
    "check": "emulator.cli.check", "contract": "emulator.cli.contract", "docs": "emulator.cli.new",
    "exec": "emulator.cli.exec", "new": "emulator.cli.new", "providers": "emulator.cli.providers",
    "record": "emulator.cli.record",
}  # fmt: skip
#: Options with an extra of their name: its package, and how that is told.
_EXTRAS = {
    "reload": ("watchfiles", "the package watchfiles"), "otel": ("opentelemetry", "OpenTelemetry"),
    "tls": ("trustme", "the package trustme"),
}  # fmt: skip
_SIZES = {"": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000}

scenario_files = click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path))
provider_option = click.option(
    "--provider", metavar="NAME", help="The provider of /v1 and of scenarios that name none."
)
schemas_option = click.option("--schemas", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False),
                              help="A folder of provider folders, beside the built-in ones.")  # fmt: skip

upstream_timeout_option = click.option(
    "--upstream-timeout", default=60.0, show_default=True, metavar="SECONDS",
    type=click.FloatRange(0, 86_400, min_open=True), help="How long an upstream may be silent.",
)  # fmt: skip


def _by_provider(context: click.Context, parameter: click.Parameter, items: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in items]
    for name, equals, url in pairs:
        if not (name and equals and url):
            raise click.BadParameter(f"'{name}{equals}{url}' must be PROVIDER=URL")
    return {name: url for name, _, url in pairs}


def _size(context: click.Context, parameter: click.Parameter, text: str) -> int:
    number, unit = text.rstrip("KMGBkmgb"), text[len(text.rstrip("KMGBkmgb")) :].upper()
    size = whole_number(number, 15)
    if size is None or unit not in _SIZES:
        raise click.BadParameter(f"'{text}' is no size; write bytes, or 500KB, 20MB, 1GB")
    return size * _SIZES[unit]


class _Commands(click.Group):
    """The commands here, and those of modules that only they need."""

    def main(self, *args: Any, **given: Any) -> Any:
        streams.open_missing()
        try:
            return super().main(*args, **given)
        except OSError:  # a broken pipe is none: click ends quietly there
            if problem := streams.problem_of_stdout():
                fail(f"stdout cannot be written: {problem}.")
            raise
        finally:
            streams.let_go_of_stderr()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(_ELSEWHERE[cmd_name])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="llm-emulator", prog_name="emulator")
def main() -> None:
    """A local emulator of LLM chat APIs, for tests."""


# serve

max_body_option = click.option(
    "--max-body", default="20MB", show_default=True, callback=_size, help="Largest request body."
)
ready_file_option = click.option(
    "--ready-file", metavar="PATH", type=click.Path(path_type=Path), help="Written once requests are accepted."
)
quiet_option = click.option("--quiet", is_flag=True, help="No line for each request.")
Option = Callable[[Any], Any]


def address_options(port: int) -> list[Option]:
    """Return the options that say where a server listens."""
    return [
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind."),
        click.option("--port", default=port, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."),
    ]


def with_options(options: Sequence[Option]) -> Option:
    """Return a decorator that adds options, in their order."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


recording_options = with_options([
    *address_options(port=4010), schemas_option, upstream_timeout_option, max_body_option, ready_file_option,
    quiet_option,
])  # fmt: skip


def server_options(port: int) -> Option:
    """Return a decorator that adds what a server can be told."""
    options = [
        scenario_files,
        provider_option,
        schemas_option,
        *address_options(port),
        click.option("--api-key", "api_keys", multiple=True, metavar="KEY",
                     help="A good key; without any, every key is good."),
        click.option("--plan", metavar="NAME", help="The plan whose limits count."),
        click.option("--validation", type=click.Choice(["documented", "compatible", "strict", "off"]),
                     help="Default: documented."),
        click.option("--seed", type=SEED, metavar="N", help="Of all random draws. Default: 0."),
        click.option("--clock", type=click.Choice(["real", "virtual"]), help="Default: real."),
        click.option("--reload", is_flag=True, help="Load the scenario files anew whenever one changes."),
        click.option("--tls", is_flag=True, help="Serve https, with a certificate made on the spot."),
        click.option("--otel", is_flag=True, help="Send a span for each exchange, to OTEL_EXPORTER_OTLP_ENDPOINT."),
        click.option("--upstream", "upstreams", multiple=True, metavar="PROVIDER=URL", callback=_by_provider,
                     help="A provider's real base URL, for `proxy: true` and `unmatched: proxy`."),
        upstream_timeout_option,
        click.option("--admin-token", metavar="T", help="Opens the control API where others can reach it."),
        max_body_option,
        click.option("--max-sessions", default=10_000, show_default=True, type=click.IntRange(1)),
        click.option("--journal-size", default=10_000, show_default=True, type=click.IntRange(1),
                     help="Exchanges kept a session (and 500 MB in all)."),
        click.option("--store", default="memory://", show_default=True, metavar="URL",
                     help="What remembers: memory://, or redis://HOST:PORT/DB for several workers or machines."),
    ]  # fmt: skip
    return with_options(options)


@main.command(short_help="Serve the providers, with built-in answers or scenarios.")
@server_options(port=4010)
@ready_file_option
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), metavar="N",
              help="Processes that serve; above 1 they need --store redis://...")  # fmt: skip
@quiet_option
@click.option("--stop-with-stdin", is_flag=True, help="Stop when standard input ends: as a parent process does.")
def serve(
    scenarios: tuple[Path, ...],
    schemas: Path | None,
    ready_file: Path | None,
    quiet: bool,
    stop_with_stdin: bool,
    **given: Any,
) -> None:
    """Serve the providers; scenarios say what is answered, and without one every answer is built in."""
    with _no_collection():
        from emulator.cli.serve import serve_alone, stop_with

        if ready_file:
            check_writable(ready_file)
        setup, sessions, sock = prepared(scenarios, schemas, given)
    if not (setup.admin_token or is_loopback(setup.host)):
        say(f"Others can reach {setup.host}: the control API answers nobody; --admin-token T opens it.")
    if setup.options.clock is None:
        _tell_of_clock(sessions.by_id["default"].session.scenarios)
    if stop_with_stdin:
        stop_with(sys.stdin)
    serve_all: Callable[..., int | None] = serve_alone
    if setup.workers > 1:
        from emulator.cli.workers import serve_with_workers as serve_all
    ended = serve_all(setup, sessions, sock, ready_file, quiet)
    sys.exit(FINDINGS if ended is None else streams.INTERRUPTED if ended == signal.SIGINT else 0)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage for now: nothing of a start is any, and looking for it takes a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _tell_of_clock(scenarios: Sequence[Scenario]) -> None:
    """Say how time moves where a file makes it virtual: who serves a limit's file would take the limit for endless."""
    moved = 'PATCH /_emulator/sessions/default/clock {"advance": "60s"}'
    message = f"only waits move this clock, so that limits last, until it is moved by {moved}; --clock real ends that"
    for scenario in [item for item in scenarios if item.clock == "virtual"][:1]:
        say(str(scenario.problem(("clock",), message)))


def prepared(
    scenarios: tuple[Path, ...], schemas: Path | None, given: dict[str, Any]
) -> tuple[Setup, LiveSessions, socket.socket]:
    """Load what a server is told to serve and listen, or say what is wrong."""
    from emulator.cli.store import problem_of, unreachable
    from emulator.core.scenario.session import Options
    from emulator.server.setup import Setup, listen, make_live_sessions

    store, workers = given.get("store", "memory://"), given.get("workers", 1)
    if problem := problem_of(store, workers, alone=["upstream"] if given["upstreams"] else []):
        fail(problem)
    names = ("provider", "seed", "clock", "plan", "validation", "api_keys")
    options = Options(**{name: given.pop(name) for name in names if name in given})
    if given.get("reload") and not scenarios:
        fail("--reload watches scenario files: name at least one.")
    for option, (package, told) in _EXTRAS.items():
        if given.get(option) and importlib.util.find_spec(package) is None:
            fail(f"--{option} needs {told}; install it with: pip install 'llm-emulator[{option}]'")
    tls = given.pop("tls", False)
    setup = Setup(find_scenarios(scenarios), options, schemas, **given)
    sessions = load_or_fail(lambda: make_live_sessions(setup))
    warn(sessions.by_id["default"].session.scenarios)
    if problem := unreachable(store):
        fail(problem, UNREACHABLE)
    if tls:
        setup = replace(setup, certificate=_certificate(setup.host, sessions.providers.values()))
    try:
        return setup, sessions, listen(setup)
    except OSError as error:
        hint = f" {_held(setup.port)}" if error.errno == errno.EADDRINUSE else ""
        fail(f"Cannot listen on {setup.host}:{setup.port}: {error.strerror}.{hint}")


def _held(port: int) -> str:
    from emulator.network.ports import holder

    who = holder(port) or "another program"
    return f"It is held by {who}: choose another with --port, or let --port 0 find a free one."


def _certificate(host: str, providers: Iterable[Provider]) -> Certificate:
    """Make a certificate for where we listen and for the providers' hosts; its files go when the command ends."""
    from emulator.server.certificate import made_certificate

    names = [host, *(urlsplit(item.base_url).hostname or item.host for item in providers)]
    return click.get_current_context().with_resource(made_certificate(names))


def check_provider(name: str | None, known: Iterable[str]) -> None:
    from emulator.core.errors import nearest

    if name is not None and name not in known:
        fail(f"There is no provider '{name}'; {nearest(name, known)}")


def load_or_fail(load: Callable[[], Any]) -> Any:
    """Load, or say all that is wrong: 2 for what does not go together, 1 for a bad file."""
    from emulator.core.errors import SourceError
    from emulator.core.scenario.session import Conflict

    try:
        return load()
    except SourceError as error:
        fail(str(error), USAGE if isinstance(error, Conflict) else FINDINGS)


def warn(scenarios: Sequence[Scenario]) -> None:
    from emulator.core.scenario.scenario import covered_by_others

    for warning in (*(item for scenario in scenarios for item in scenario.warnings), *covered_by_others(scenarios)):
        say(f"warning: {warning}")
