"""`emulator exec`: run a command against a server of its own, then tell what its requests came to."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from emulator.cli.main import FINDINGS, INTERRUPTED, fail, prepared, server_options
from emulator.cli.streams import say
from emulator.core.errors import Json
from emulator.core.journal import findings as teardown
from emulator.network.proxies import without_proxy
from emulator.server.background import running
from emulator.server.reloading import reloading
from emulator.server.setup import ignore, make_server, origin
from emulator.server.watching import watch
from emulator.testing.client import Control

#: The exit code of a command that was not found, and what is added to a signal's number, as shells have it.
NOT_FOUND, SIGNALLED = 127, 128
#: How often it is looked whether a signal came: seconds.
WAIT_S = 0.1
#: Signals that end the server only with the command; a terminal sends SIGINT to the command as well.
_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))]
_ANY_KEY = "emulator-key"


class _Exec(click.Command):
    """A command that takes another command behind `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = [*args, "--"].index("--")
        ctx.meta["command"] = args[own + 1 :]
        return super().parse_args(ctx, args[:own])


@click.command(
    "exec", cls=_Exec, options_metavar="[OPTIONS]", epilog="Example: emulator exec retry.yaml -- npm test",
    short_help="Run a command against a server of its own; tell findings.",
)  # fmt: skip
@server_options(port=0)
@click.option("--strict", is_flag=True, help="Exit with 1 on findings, even where the command succeeds.")
@click.pass_context
def exec_command(
    context: click.Context, /, scenarios: tuple[Path, ...], schemas: Path | None, strict: bool, **given: Any
) -> None:
    """Run a command with the provider's variables set, as OPENAI_BASE_URL and OPENAI_API_KEY, and exit with its code.

    The command stands behind `--`. When it ends, unmatched requests, expectations not met and the verdict are told.
    """
    command = context.meta["command"]
    if not command:
        fail("Name the command behind --, as in: emulator exec retry.yaml -- npm test")
    with _served(scenarios, schemas, given) as (control, environment):
        code = _run(command, environment)
        session = control.ask("GET", "/sessions/default")
        journal = control.ask("GET", "/sessions/default/journal")["exchanges"]
        verdict = control.ask("GET", "/sessions/default/verdict")["findings"]
        findings = list(_findings(session, journal, verdict, strict))
        _tell(session, journal, findings)
    sys.exit(FINDINGS if findings and strict and code == 0 else code)


@contextmanager
def _served(
    scenarios: tuple[Path, ...], schemas: Path | None, given: dict[str, Any]
) -> Iterator[tuple[Control, dict[str, str | None]]]:
    """Serve in a thread; yield its control API and the environment that points at it."""
    given["admin_token"] = given["admin_token"] or secrets.token_urlsafe()  # where others can reach it, it is needed
    setup, sessions, sock = prepared(scenarios, schemas, given)
    session = sessions.by_id["default"].session
    url = origin(setup, sock)
    base_urls = sessions.base_urls(session, url)
    name = sessions.main_provider(session)
    if name is None:
        fail(f"The scenarios name no single provider; add --provider, one of {', '.join(base_urls)}.")
    provider = sessions.providers[name]
    key = min(session.settings[name].keys or [provider.key_prefix + _ANY_KEY])
    server = make_server(setup, sessions, ignore, ignore)
    token = f"{quote(setup.admin_token, safe='')}@" if setup.admin_token else ""
    certificate = setup.certificate
    control = Control(url.replace("://", f"://{token}"), authority=str(certificate.authority) if certificate else None)
    trust = certificate.environment if certificate else {}
    variables = provider.environment(base_urls[name], key) | without_proxy(url, os.environ)
    watched = reloading(setup, sessions, server, watch, say)
    with running(server, sock), closing(control), watched:
        yield control, {**variables, **trust}


def _run(command: Sequence[str], environment: Mapping[str, str | None]) -> int:
    """Run a command to its end and return its code; a SIGTERM or SIGHUP that comes meanwhile goes on to it."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    received: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: received.append(number))
    try:
        process = subprocess.Popen(command, env=variables)
    except OSError as error:
        say(f"{command[0]} cannot be run: {error.strerror}.")
        return NOT_FOUND
    passed_on = 0
    while (code := _waited(process)) is None:
        for number in received[passed_on:]:
            passed_on += 1
            if number != signal.SIGINT:
                process.send_signal(number)
    if signal.SIGINT in received:
        return INTERRUPTED
    return code if code >= 0 else SIGNALLED - code


def _waited(process: subprocess.Popen[bytes]) -> int | None:
    """Return a command's code, None where it still runs after a while."""
    try:
        return process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        return None


def _findings(session: Json, journal: Sequence[Json], verdict: Sequence[Json], strict: bool) -> Iterator[str]:
    """Yield what was wrong: with the scenario, and with the client as the docs see it."""
    found = (*teardown.crashes(journal), *teardown.unmatched(journal), *teardown.unexpected(session["rules"]))
    yield from (item.text for item in found)
    if judged := teardown.misbehaviour(verdict, strict, ()):
        yield _without_hint(judged)


def _without_hint(text: str) -> str:
    """Leave out how a test would allow it."""
    kept, _, hint = text.rpartition("allow it ")
    return kept.rstrip("; \n") if hint else text


def _tell(session: Json, journal: Sequence[Json], findings: Sequence[str]) -> None:
    refused = sum(item["rule"] == "refused" for item in journal)
    told = [_counted(session["exchanges"], "request")]
    told += [f"{refused} of them refused"] if refused else []
    told += [f"the first {session['dropped']} no longer in the journal"] if session["dropped"] else []
    told.append(_counted(len(findings), "finding") if findings else "nothing to find fault with")
    say(f"emulator: {', '.join(told)}")
    for text in findings:
        say(text)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
