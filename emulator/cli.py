"""The command line. Exit codes: 0 ok; 1 findings; 2 usage or configuration; 3 unreachable; 130 interrupted.

`emulator contract` and `emulator exec` have modules of their own.
"""

from __future__ import annotations

import errno
import functools
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    import socket

    from emulator.core.provider import Provider
    from emulator.core.scenario import Scenario
    from emulator.server.background import Setup
    from emulator.server.worlds import Worlds

FINDINGS, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130
SEED = click.IntRange(-(2**63), 2**63 - 1)
_PORT_HINT = "Another program holds this port: choose one with --port, or let --port 0 find a free one."
#: Commands with a module of their own, which is loaded when they are named.
_ELSEWHERE = {"contract": "emulator.cli_contract", "exec": "emulator.cli_exec"}
_SIZES = {"": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000}

scenario_files = click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path))
provider_option = click.option(
    "--provider", metavar="NAME", help="The provider of /v1 and of scenarios that name none."
)
schemas_option = click.option("--schemas", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False),
                              help="A folder of provider folders, beside the built-in ones.")  # fmt: skip


def _fail(message: str, code: int = USAGE) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


def _size(context: click.Context, parameter: click.Parameter, text: str) -> int:
    number, unit = text.rstrip("KMGBkmgb"), text[len(text.rstrip("KMGBkmgb")) :].upper()
    if not number.isdecimal() or unit not in _SIZES:
        raise click.BadParameter(f"'{text}' is no size; write bytes, or 500KB, 20MB, 1GB")
    return int(number) * _SIZES[unit]


class _Commands(click.Group):
    """The commands here, and those of modules that only they need."""

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
    """A local emulator of OpenAI-compatible chat APIs, for tests."""


# serve


def server_options(port: int) -> Callable[[Any], Any]:
    """Return a decorator that adds what a server can be told."""
    options = [
        scenario_files,
        provider_option,
        schemas_option,
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind."),
        click.option("--port", default=port, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."),
        click.option("--api-key", "api_keys", multiple=True, metavar="KEY",
                     help="A good key; without any, every key is good."),
        click.option("--plan", metavar="NAME", help="The plan whose limits count."),
        click.option("--validation", type=click.Choice(["documented", "strict", "off"]), help="Default: documented."),
        click.option("--seed", type=SEED, metavar="N", help="Of all random draws. Default: 0."),
        click.option("--clock", type=click.Choice(["real", "virtual"]), help="Default: real."),
        click.option("--admin-token", metavar="T", help="Opens the control API where others can reach it."),
        click.option("--max-body", default="20MB", show_default=True, callback=_size, help="Largest request body."),
        click.option("--max-sessions", default=10_000, show_default=True, type=click.IntRange(1)),
        click.option("--journal-size", default=10_000, show_default=True, type=click.IntRange(1),
                     help="Exchanges kept a session (and 500 MB in all)."),
        click.option("--store", default="memory://", show_default=True, metavar="URL",
                     help="What remembers: memory://, or redis://HOST:PORT/DB for several workers or machines."),
    ]  # fmt: skip
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


@main.command()
@server_options(port=4010)
@click.option(
    "--ready-file", metavar="PATH", type=click.Path(path_type=Path), help="Written once requests are accepted."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), metavar="N",
              help="Processes that serve; above 1 they need --store redis://...")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No line for each request.")
def serve(
    scenarios: tuple[Path, ...], schemas: Path | None, ready_file: Path | None, quiet: bool, **given: Any
) -> None:
    """Serve the providers; scenarios say what is answered, and without one every answer is built in."""
    from emulator.cli_serve import serve_alone, serve_with_workers

    if ready_file and not ready_file.absolute().parent.is_dir():
        _fail(f"{ready_file} cannot be written: there is no folder {ready_file.parent}.")
    setup, worlds, sock = prepared(scenarios, schemas, given)
    run = serve_with_workers if setup.workers > 1 else serve_alone
    ended = run(setup, worlds, sock, ready_file, quiet)
    sys.exit(FINDINGS if ended is None else INTERRUPTED if ended == signal.SIGINT else 0)


def prepared(
    scenarios: tuple[Path, ...], schemas: Path | None, given: dict[str, Any]
) -> tuple[Setup, Worlds, socket.socket]:
    """Load what a server is told to serve and listen, or say what is wrong."""
    from emulator.cli_store import problem_of, unreachable
    from emulator.core.session import Options
    from emulator.server.background import Setup, listen, make_worlds

    store, workers = given["store"], given.get("workers", 1)
    if problem := problem_of(store, workers):
        _fail(problem)
    names = ("provider", "seed", "clock", "plan", "validation", "api_keys")
    options = Options(**{name: given.pop(name) for name in names})
    setup = Setup(_scenario_files(scenarios), options, schemas, **given)
    worlds = _loaded(lambda: make_worlds(setup))
    _warn(worlds.by_id["default"].session.scenarios)
    if problem := unreachable(store):
        _fail(problem, UNREACHABLE)
    try:
        return setup, worlds, listen(setup)
    except OSError as error:
        hint = f" {_PORT_HINT}" if error.errno == errno.EADDRINUSE else ""
        _fail(f"Cannot listen on {setup.host}:{setup.port}: {error.strerror}.{hint}")


def _scenario_files(names: Sequence[Path]) -> tuple[Path, ...]:
    """Find scenario files: here, or by a name such as PROVIDER/chat.yaml in the library that comes with the package."""
    from emulator.core.folder import data_folder

    library = data_folder("scenarios")
    found = []
    for name in names:
        inside = library / Path(*[step for step in name.parts if step != "scenarios"])
        found.append(inside if not name.exists() and not name.is_absolute() and inside.is_file() else name)
    _check_files(found)
    return tuple(found)


def _check_files(files: Iterable[Path]) -> None:
    for file in files:
        if not file.is_file():
            word = "is a folder; name its files" if file.is_dir() else "does not exist"
            _fail(f"{file} {word}.")


def _check_provider(name: str | None, known: Iterable[str]) -> None:
    from emulator.core.errors import nearest

    if name is not None and name not in known:
        _fail(f"There is no provider '{name}'; {nearest(name, known)}")


def _loaded(load: Callable[[], Any]) -> Any:
    """Load, or say all that is wrong: 2 for what does not go together, 1 for a bad file."""
    from emulator.core.errors import SourceError
    from emulator.core.session import Conflict

    try:
        return load()
    except SourceError as error:
        _fail(str(error), USAGE if isinstance(error, Conflict) else FINDINGS)


def _warn(scenarios: Sequence[Scenario]) -> None:
    from emulator.core.scenario import covered_by_others

    for warning in (*(item for scenario in scenarios for item in scenario.warnings), *covered_by_others(scenarios)):
        click.echo(f"warning: {warning}", err=True)


# check


@main.command()
@scenario_files
@click.option("--request", "request_file", metavar="FILE.json", type=click.Path(path_type=Path),
              help="A body, or {method, path, headers, body}: say which rule answers it, or why none.")  # fmt: skip
@provider_option
@schemas_option
def check(scenarios: tuple[Path, ...], request_file: Path | None, provider: str | None, schemas: Path | None) -> None:
    """Check scenario files; with a request, tell which rule would answer it."""
    from emulator.cli_check import dry_run, verdict
    from emulator.core.folder import load_providers
    from emulator.core.load import load_all
    from emulator.core.session import DEFAULT, Options, build_session

    if not scenarios:
        _fail("Name at least one scenario file.")
    scenarios = _scenario_files(scenarios)
    _check_files([request_file] if request_file else [])
    providers = _loaded(lambda: load_providers(schemas))
    _check_provider(provider, providers)
    options = Options(provider=provider)
    loaded = _loaded(lambda: load_all(scenarios, providers, provider))
    _warn(loaded)
    session = _loaded(lambda: build_session(DEFAULT, "", providers, loaded, options, 0.0))
    if request_file is None:
        for scenario in loaded:
            click.echo(f"{scenario.file}: ok, {len(scenario.rules)} rule{'s' * (len(scenario.rules) != 1)}")
        return
    name = session.provider or (next(iter(providers)) if len(providers) == 1 else None)
    if name is None:
        _fail(f"The scenarios name no single provider; add --provider, one of {', '.join(providers)}.")
    exchange = dry_run(providers, session, name, _read_request(request_file))
    for line in verdict(exchange):
        click.echo(line)
    sys.exit(FINDINGS if exchange.rule in ("refused", "unmatched") and exchange.timeline.status >= 400 else 0)


def _read_request(file: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        _fail(f"{file} is not JSON: {error}")
    if not isinstance(data, dict) or not isinstance(data.get("headers") or {}, dict):
        _fail(f"{file} must hold a JSON object: a body, or method, path, headers (an object) and body.")
    return data if "body" in data or "path" in data else {"body": data}


# providers, new


@main.command()
@click.argument("name", required=False)
@schemas_option
def providers(name: str | None, schemas: Path | None) -> None:
    """Tell what is emulated; for one provider its endpoints, plans, errors, and documented and assumed facts."""
    from emulator.core.folder import load_providers

    known = _loaded(lambda: load_providers(schemas))
    if name is None:
        for item in known.values():
            assumed = sum(fact.assumed for fact in item.facts.values())
            count = f"{len(item.facts) - assumed} documented facts, {assumed} assumed"
            operations = f"{len(item.operations)} operation{'s' * (len(item.operations) != 1)}"
            click.echo(f"{item.name:<18} {item.base_url:<42} {operations}, {count}")
        return
    _check_provider(name, known)
    _tell(known[name])


def _tell(item: Provider) -> None:
    from emulator.core.folder import data_folder

    def section(title: str, lines: Sequence[str]) -> None:
        click.echo(f"\n{title}")
        for line in lines or ["  none"]:
            click.echo(f"  {line}" if lines else line)

    click.echo(f"{item.title}: {item.base_url}")
    section("Endpoints", [f"{op.method:<5} {op.path}" for op in item.operations.values()])
    section("Models", [f"{model.id}{' (assumed)' if model.assumed else ''}" for model in item.models.values()])
    section("Plans", [
        f"{plan.name}{' (default)' if plan.name == item.default_plan else ''}: "
        f"{plan.requests or 'any number of'} requests, {plan.tokens or 'any number of'} tokens a minute"
        for plan in item.plans.values()
    ])  # fmt: skip
    section("Documented errors", [name for name, given in item.errors.items() if given.get("documented")])
    section("Documented headers", [name for name, _ in item.headers])
    library = sorted(data_folder("scenarios").glob(f"{item.name}/*.yaml"))
    section("Scenarios in the library, for serve and check", [f"{item.name}/{file.name}" for file in library])
    for assumed, title in ((False, "Documented facts"), (True, "Assumed, where the docs are silent")):
        rows = [fact for fact in item.facts.values() if fact.assumed is assumed]
        section(title, [
            f"{fact.id} [{fact.source}] {fact.text}{f' (assumed: {fact.note})' if fact.note else ''}" for fact in rows
        ])  # fmt: skip


_STARTER = """\
# yaml-language-server: $schema={schema}
# Serve it:   emulator serve {file}
# Check it:   emulator check {file}
emulator: 1                     # version of this format
provider: {provider}
description: The first call is rate limited, the retry succeeds; other messages get an echo.
rules:                          # the first rule that matches answers
  - id: greeting
    when:                       # all of these must hold
      last_user: {{contains: hello}}
    replies:                    # in turn; the last one goes on for ever
      - {{error: rate_limited, retry_after: 1}}
      - text: Hello! How can I help?
        stream: {{split: words, ttft: 200ms, itl: 30ms}}
  - id: echo                    # no `when`: everything else
    reply:
      text: "You said: ${{request.last_user}}"
"""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--provider", metavar="NAME", help="Whose rules they are. Default: the first provider.")
def new(file: Path, provider: str | None) -> None:
    """Write a commented starter scenario."""
    from emulator.core.folder import data_folder, load_providers

    known = load_providers()
    _check_provider(provider, known)
    schema = os.path.relpath(data_folder("schemas") / "scenario.schema.json", file.absolute().parent)
    text = _STARTER.format(file=file, provider=provider or next(iter(known)), schema=schema)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        _fail(f"{file} exists already; it was left as it is.")
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror}.")
    click.echo(f"Wrote {file}. Serve it with: emulator serve {file}")
