"""`emulator record`: serve a provider from its real base URL, and write what it answers as a scenario, as it goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from emulator.cli.files import check_writable
from emulator.cli.main import prepared, recording_options
from emulator.cli.serve import serve_alone
from emulator.cli.streams import say, show
from emulator.core.files import replace_whole
from emulator.core.recording.recorder import Recorder
from emulator.core.values import Exchange, Sent


@click.command(
    "record", short_help="Pass requests on to a real API and write a scenario of it.",
    epilog="Example: emulator record --provider NAME --upstream https://api.example.com/v1 --out a.yaml",
)  # fmt: skip
@click.option("--provider", required=True, metavar="NAME", help="Whose API it is.")
@click.option("--upstream", required=True, metavar="BASE_URL", help="The real base URL, as the docs give it.")
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The scenario; replaced.")
@recording_options
def record_command(
    provider: str, upstream: str, out: Path, schemas: Path | None, ready_file: Path | None, quiet: bool, **given: Any
) -> None:
    """Pass requests on to a real API and write a scenario that answers the same.

    Clients send their own key; neither keys nor cookies are written. At the end it is told what the docs don't say.
    """
    for file in filter(None, (out, ready_file)):
        check_writable(file)
    given |= {"provider": provider, "plan": "unlimited", "upstreams": {provider: upstream}, "records": True}
    setup, sessions, sock = prepared((), schemas, given)
    recorder = Recorder(sessions.engine, sessions.providers[provider], upstream)

    def record(exchange: Exchange, sent: Sent) -> None:
        try:
            recorder.add(exchange, sent)
        except Exception as error:  # a fault of ours; what comes after is recorded all the same
            say(f"Exchange {exchange.grant.number} could not be recorded: {error!r}")
        _write(out, recorder.text())

    sessions.recorder = record
    serve_alone(setup, sessions, sock, ready_file, quiet)
    _write(out, recorder.text())
    show(f"Wrote {out}.")
    for line in recorder.report():
        show(line)
    sys.exit(0)


def _write(out: Path, text: str) -> None:
    try:
        replace_whole(out, text.encode())
    except OSError as error:
        say(f"{out} could not be written: {error.strerror}.")
