"""`emulator record`: serve a provider from its real base URL, and write what it answers as a scenario, as it goes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from emulator.cli.files import check_writable
from emulator.cli.main import max_body_option, prepared, schemas_option, timeout_option
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
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--port", default=4010, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@schemas_option
@timeout_option
@max_body_option
@click.option(
    "--ready-file", metavar="PATH", type=click.Path(path_type=Path), help="Written once requests are accepted."
)
@click.option("--quiet", is_flag=True, help="No line for each request.")
def record_command(
    provider: str, upstream: str, out: Path, host: str, port: int, schemas: Path | None, upstream_timeout: float,
    max_body: int, ready_file: Path | None, quiet: bool,
) -> None:  # fmt: skip
    """Pass requests on to a real API and write a scenario that answers the same.

    Clients send their own key; neither keys nor cookies are written. At the end it is told what the docs don't say.
    """
    check_writable(out)
    if ready_file:
        check_writable(ready_file)
    given = {
        "provider": provider, "seed": None, "clock": None, "plan": "unlimited", "validation": None, "api_keys": (),
        "host": host, "port": port, "upstreams": {provider: upstream}, "upstream_timeout": upstream_timeout,
        "max_body": max_body, "records": True, "tls": False, "reload": False,
    }  # fmt: skip
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
