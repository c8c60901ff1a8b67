"""Serving from the command line: signals, the ready line and file, and a line for each request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import uvicorn

from emulator.core.wire import Exchange, Sent
from emulator.server.background import Setup, ignore, make_server, origin, run
from emulator.server.worlds import Worlds


def serve_until_stopped(
    setup: Setup, worlds: Worlds, sock: socket.socket, ready_file: Path | None, quiet: bool
) -> bool:
    """Serve until SIGINT or SIGTERM; tell whether it was SIGINT."""
    server = make_server(setup, worlds, *(ignore, ignore) if quiet else (_log_line(sys.stderr.isatty()), _log_stray))
    url = origin(setup, sock)
    base_urls = worlds.base_urls(worlds.by_id["default"].session, url)
    interrupted = _on_signals(server)
    server.config.callback_notify = _once_ready(server, url, base_urls, ready_file)
    server.config.timeout_notify = 0
    try:
        run(server, sock)
    finally:
        if ready_file:
            ready_file.unlink(missing_ok=True)
    return interrupted()


def _on_signals(server: uvicorn.Server) -> Callable[[], bool]:
    """Stop on SIGINT and SIGTERM; the result tells whether it was SIGINT."""
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if received:
            server.force_exit = True
        received.append(number)
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return lambda: signal.SIGINT in received


def _once_ready(
    server: uvicorn.Server, url: str, base_urls: Mapping[str, str], ready_file: Path | None
) -> Callable[[], Any]:
    """Return what uvicorn calls on its first tick, when it accepts requests."""

    async def tell() -> None:
        server.config.callback_notify = None
        if ready_file:
            port = int(url.rpartition(":")[2])
            body = {"url": url, "port": port, "pid": os.getpid(), "base_urls": base_urls}
            draft = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
            draft.write_text(json.dumps(body))
            draft.replace(ready_file)
        click.echo(f"Emulator ready at {url}")
        for name, base_url in base_urls.items():
            click.echo(f"  {name:<18} {base_url}")

    return tell


def _log_line(colours: bool) -> Callable[[Exchange, Sent], None]:
    """Return what writes a line a request: session, provider, model, status, rule or refusal, milliseconds."""

    def log(exchange: Exchange, sent: Sent) -> None:
        status = str(exchange.timeline.status)
        if colours:
            colour = {"2": "32", "4": "33"}.get(status[0], "31")
            status = f"\x1b[{colour}m{status}\x1b[0m"
        call = exchange.claim.call
        model = exchange.model or (call.model if call else "") or "-"
        told = f"refused {exchange.refusal[0]}" if exchange.rule == "refused" and exchange.refusal else exchange.rule
        how = "" if sent.end == "complete" else f" {sent.end}"
        where = f"{exchange.request.session} {exchange.claim.provider} {_printable(model)}"
        _write(f"{where} {status} {told}{how} {sent.at * 1000:.1f}ms\n")

    return log


def _write(line: str) -> None:
    """Write to stderr; one that nobody reads any more must not change an answer."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line)


def _log_stray(method: str, target: str, status: int) -> None:
    """Write a line for a request that reached no provider: a wrong address, an unknown session, no HTTP."""
    _write(f"- - - {status} {_printable(method)} {_printable(target)} reached no provider\n")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:80])
