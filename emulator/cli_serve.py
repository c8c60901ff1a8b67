"""Serving from the command line: signals, the ready line and file, and a line for each request."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emulator.core.secrets import redact_query
from emulator.core.wire import Exchange
from emulator.server.background import Server, Setup, ignore, make_server, origin, reloading, run
from emulator.server.worlds import Worlds

if TYPE_CHECKING:
    from emulator.server.certificate import Certificate

#: Lines of the log that may wait to be written, and seconds for the last of them.
WAITING_LINES = 10_000
LOG_GRACE_S = 1.0
#: Objects before a collection of each age. A journal's exchanges live long and hold no cycles: to walk all of them time
#: and again would make streams late by tens of milliseconds, and to walk a million new ones at once by a second.
COLLECT_AFTER = (10_000, 10, 1_000)


def serve_until_stopped(
    setup: Setup,
    worlds: Worlds,
    sock: socket.socket,
    ready_file: Path | None,
    quiet: bool,
) -> bool:
    """Serve until SIGINT or SIGTERM; tell whether it was SIGINT."""
    log = _Log()
    server = make_server(setup, worlds, *(ignore, ignore) if quiet else (log.request, log.stray))
    url = origin(setup, sock)
    base_urls = worlds.base_urls(worlds.by_id["default"].session, url)
    interrupted = _on_signals(server)
    server.config.callback_notify = _once_ready(server, url, base_urls, setup.certificate, ready_file)
    server.config.timeout_notify = 0
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        with reloading(setup, worlds, server, lambda text: log.write(f"{text}\n")):
            run(server, sock)
    finally:
        log.close()
        if ready_file:
            ready_file.unlink(missing_ok=True)
    if server.cut:
        click.echo(f"Stopped; {server.cut} answers under way were cut.", err=True)
    return interrupted()


def _on_signals(server: Server) -> Callable[[], bool]:
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
    server: Server, url: str, base_urls: Mapping[str, str], certificate: Certificate | None, ready_file: Path | None
) -> Callable[[], Any]:
    """Return what uvicorn calls on its first tick, when it accepts requests."""

    async def tell() -> None:
        server.config.callback_notify = None
        if ready_file:
            port = int(url.rpartition(":")[2])
            body = {"url": url, "port": port, "pid": os.getpid(), "base_urls": base_urls}
            if certificate:
                body["ca_file"] = str(certificate.authority)
            draft = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
            draft.write_text(json.dumps(body))
            draft.replace(ready_file.resolve())
        click.echo(f"Emulator ready at {url}")
        for name, base_url in base_urls.items():
            click.echo(f"  {name:<18} {base_url}")
        if certificate:
            click.echo(f"  {'CA to trust':<18} {certificate.authority}")

    return tell


class _Log:
    """Writes lines to stderr from a thread of its own: where nobody reads them, they are dropped and nobody waits."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._dropped = 0
        self._colours = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def request(self, exchange: Exchange, end: str, seconds: float) -> None:
        self.write(request_line(exchange, end, seconds, self._colours))

    def stray(self, method: str, target: str, status: int) -> None:
        """Write a line for a request that reached no provider: a wrong address, an unknown session, no HTTP."""
        self.write(f"- - - {status} {_printable(method)} {_printable(redact_query(target))} reached no provider\n")

    def close(self) -> None:
        """Write what waits, unless nobody reads it."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=LOG_GRACE_S)
            self._thread.join(LOG_GRACE_S)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"({dropped} lines were left out)\n{line}" if dropped else line)


def request_line(exchange: Exchange, end: str, seconds: float, colours: bool) -> str:
    """Return the line of a request: session, provider, model, status, rule or refusal, milliseconds."""
    status = str(exchange.timeline.status)
    if colours:
        colour = {"2": "32", "4": "33"}.get(status[0], "31")
        status = f"\x1b[{colour}m{status}\x1b[0m"
    call = exchange.claim.call
    model = exchange.model or (call.model if call else "") or "-"
    told = f"refused {exchange.refusal[0]}" if exchange.rule == "refused" and exchange.refusal else exchange.rule
    how = "" if end == "complete" else f" {end}"
    where = f"{exchange.request.session} {exchange.claim.provider} {_printable(model)}"
    return f"{where} {status} {told}{how} {seconds * 1000:.1f}ms\n"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:80])
