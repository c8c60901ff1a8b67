"""`emulator exec`: run a command against a server of its own, then tell what its requests came to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from emulator.cli.files import check_writable
from emulator.cli.main import prepared, server_options
from emulator.cli.streams import FINDINGS, INTERRUPTED, fail, say
from emulator.core.errors import nearest, printable_lines
from emulator.core.journal.tally import NAMES, Tally
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import MANNERS
from emulator.network.hosts import without_proxy
from emulator.server.background import running
from emulator.server.control.bodies import provider_body
from emulator.server.control.journal import review
from emulator.server.reloading import reloading, watch
from emulator.server.sessions.live import LiveSession, LiveSessions
from emulator.server.setup import ignore, make_server, origin

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
@click.option("--ignore", "ignored", multiple=True, metavar="FINDING", help="A finding that is meant to be so.")
@click.option("--journal", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Written at the end: each exchange as a line of JSON; a FILE.html shows them, without a server.",
)  # fmt: skip
@click.option("--summary", metavar="FILE", type=click.Path(path_type=Path),
              help="Appended at the end: what is told, as Markdown, such as for $GITHUB_STEP_SUMMARY.")  # fmt: skip
@click.pass_context
def exec_command(
    context: click.Context,
    /,
    scenarios: tuple[Path, ...],
    schemas: Path | None,
    strict: bool,
    ignored: tuple[str, ...],
    file: Path | None,
    summary: Path | None,
    **given: Any,
) -> None:
    """Run a command with the provider's variables set, as OPENAI_BASE_URL and OPENAI_API_KEY, and exit with its code.

    The command stands behind `--`. When it ends, what was unmatched, unused or not expected is told, and the verdict:
    of all sessions that lived meanwhile.
    """
    command = context.meta["command"]
    if not command:
        fail("Name the command behind --, as in: emulator exec retry.yaml -- npm test")
    for written in filter(None, (file, summary)):
        check_writable(written)
    tally = Tally(strict, ignored, keeps=file is not None)
    as_page = file is not None and file.suffix == ".html"
    with _served(scenarios, schemas, given, tally, as_page) as (environment, providers):
        code = _run(command, environment)
    for line in tally.lines():
        say(line)
    if file:
        _write_journal(file, tally, providers)
    if summary:
        lines = ["### llm-emulator", "", "```text", *map(printable_lines, tally.lines()), "```", "", ""]
        with summary.open("a", encoding="utf-8") as out:
            out.write("\n".join(lines))
    sys.exit(FINDINGS if strict and code == 0 and tally.findings() else code)


@contextlib.contextmanager
def _served(
    scenarios: tuple[Path, ...], schemas: Path | None, given: dict[str, Any], tally: Tally, as_page: bool
) -> Iterator[tuple[dict[str, str | None], Sequence[Provider]]]:
    """Serve in a thread; yield the environment that points at it, and afterwards tally all sessions."""
    setup, sessions, sock = prepared(scenarios, schemas, given)
    session, url = sessions.by_id["default"].session, origin(setup, sock)
    base_urls = sessions.base_urls(session, url)
    if sessions.main_provider(session) is None:
        fail(f"The scenarios name no single provider; add --provider, one of {', '.join(base_urls)}.")
    _check_ignored(tally.ignored, sessions)

    def key_of(provider: Provider) -> str:
        return min(session.settings[provider.name].keys or [provider.key_prefix + _ANY_KEY])

    server = make_server(setup, sessions, ignore, ignore)
    variables = sessions.environment(session, base_urls, key_of) | without_proxy(url, os.environ)
    trust = setup.certificate.environment if setup.certificate else {}

    async def count(live: LiveSession) -> None:
        tally.add(*await review(sessions, live, url, conversation=as_page))

    sessions.reviewer = count
    with running(server, sock), reloading(setup, sessions, server, watch, say):
        yield {**variables, **trust, "EMULATOR_URL": url}, [*sessions.providers.values()]
        while not (server.started or server.should_exit):  # the command took less than the start
            time.sleep(WAIT_S / 10)
        for live in [*sessions.by_id.values()]:
            asyncio.run_coroutine_threadsafe(count(live), server.loop).result()


def _write_journal(file: Path, tally: Tally, providers: Sequence[Provider]) -> None:
    if file.suffix == ".html":
        from emulator.server.control.inspector import page_with

        shown = [{**session, "verdict": {"findings": session["verdict"]}} for session in tally.sessions]
        file.write_bytes(page_with(shown, [provider_body(item, "") for item in providers]))
        return
    rows = (item for session in tally.sessions for item in session["journal"])
    file.write_text("".join(f"{json.dumps(item, ensure_ascii=False)}\n" for item in rows), "utf-8")


def _check_ignored(names: Iterable[str], sessions: LiveSessions) -> None:
    facts = {fact.id for provider in sessions.providers.values() for fact in provider.facts.values() if fact.judge}
    known = {*NAMES, *MANNERS, *facts}
    for name in names:
        if name not in known:
            fail(f"--ignore: there is no finding '{name}'; {nearest(name, known)}")


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
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(WAIT_S)
            break
        for number in received[passed_on:]:
            passed_on += 1
            if number != signal.SIGINT:
                process.send_signal(number)
    if signal.SIGINT in received:
        return INTERRUPTED
    return code if code >= 0 else SIGNALLED - code
