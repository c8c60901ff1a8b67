"""Serving from the command line: signals, the ready line and file, and a line for each request."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from emulator.cli.streams import give_up, say
from emulator.core.errors import Violation, printable, printable_lines
from emulator.core.files import replace_whole
from emulator.core.journal.describe import model_of, secrets_of
from emulator.core.secrets.redaction import redact_target
from emulator.core.secrets.repeated import without
from emulator.core.values import Exchange
from emulator.server.reloading import Watching, reloading, watch
from emulator.server.sessions.live import LiveSessions
from emulator.server.setup import Server, Setup, ignore, make_server, origin, run

if TYPE_CHECKING:
    from emulator.server.certificate import Certificate

#: Lines of the log that may wait to be written, and seconds for the last of them.
WAITING_LINES = 10_000
LOG_GRACE_S = 1.0
#: Objects before a collection of each age. A journal's exchanges live long and hold no cycles: to walk all of them time
#: and again would make streams late by tens of milliseconds, and to walk a million new ones at once by a second.
COLLECT_AFTER = (10_000, 10, 1_000)
#: Bytes from which a block is mapped by itself, and so given back once it is freed. glibc's own bound grows to 32 MB
#: with what is asked for, and bodies of some megabytes then lie among small objects that keep their room.
MAPPED_FROM = 1_000_000
_M_MMAP_THRESHOLD = -3


def serve_alone(setup: Setup, sessions: LiveSessions, sock: socket.socket, ready_file: Path | None, quiet: bool) -> int:
    """Serve in this process until SIGINT or SIGTERM, and return its number."""
    with announcing(setup, sessions, origin(setup, sock), ready_file) as announce:
        return serve_until_stopped(setup, sessions, sock, announce, quiet)


def stop_with(stdin: TextIO) -> None:
    """Stop this process, as by SIGTERM, when its standard input ends: whoever started it is gone then."""

    def wait() -> None:
        while stdin.buffer.read(4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _give_back_large_blocks() -> None:
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)


def serve_until_stopped(
    setup: Setup,
    sessions: LiveSessions,
    sock: socket.socket,
    announce: Callable[[], None],
    quiet: bool,
    watching: Watching = watch,
) -> int:
    """Serve until SIGINT or SIGTERM and return its number; announce when requests are accepted."""
    log = _Log()
    server = make_server(setup, sessions, *(ignore, ignore) if quiet else (log.request, log.stray))
    received = _on_signals(server)
    server.config.callback_notify = _once_ready(server, announce)
    server.config.timeout_notify = 0
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    _give_back_large_blocks()
    try:
        with reloading(setup, sessions, server, watching, lambda text: log.write(f"{printable_lines(text)}\n")):
            run(server, sock)
    finally:
        log.close()
    if server.cut:
        say(f"Stopped; {server.cut} answers under way were cut.")
    return received[0] if received else signal.SIGTERM


def _on_signals(server: Server) -> list[int]:
    """Stop on SIGINT and SIGTERM; the result holds those that came."""
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        server.stop(force=bool(received))
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def _once_ready(server: Server, announce: Callable[[], None]) -> Callable[[], Any]:
    """Return what uvicorn calls on its first tick, when it accepts requests."""

    async def tell() -> None:
        server.config.callback_notify = None
        announce()

    return tell


@contextlib.contextmanager
def announcing(setup: Setup, sessions: LiveSessions, url: str, ready_file: Path | None) -> Iterator[Callable[[], None]]:
    """Yield what tells that requests are accepted: lines on stdout, and the ready file, which goes at the end."""
    base_urls, certificate = sessions.base_urls(sessions.by_id["default"].session, url), setup.certificate

    def announce() -> None:
        if ready_file:
            _write(ready_file, url, base_urls, certificate)
        lines = [f"Emulator ready at {url}", *(f"  {name:<18} {base_url}" for name, base_url in base_urls.items())]
        lines.append(f"  {'inspector':<18} {url}/_emulator/")
        lines += [f"  {'CA to trust':<18} {certificate.authority}"] if certificate else []
        _print(lines)

    try:
        yield announce
    finally:
        if ready_file:
            ready_file.unlink(missing_ok=True)


def _print(lines: Sequence[str]) -> None:
    """Print what tells that requests are accepted; where nobody can read it, they are accepted all the same."""
    try:
        for line in lines:
            click.echo(line)
    except OSError as error:
        give_up(sys.stdout)
        say(f"The ready line could not be written: {error.strerror}. Requests are answered all the same.")


def _write(ready_file: Path, url: str, base_urls: Mapping[str, str], certificate: Certificate | None) -> None:
    body = {"url": url, "port": int(url.rpartition(":")[2]), "pid": os.getpid(), "base_urls": base_urls}
    if certificate:
        body["ca_file"] = str(certificate.authority)
    replace_whole(ready_file, json.dumps(body).encode())


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
        self.write(f"- - - {status} {_short(method)} {_short(redact_target(target))} reached no provider\n")

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
    """Return the line of a request: number, session, provider, what was asked, status, rule or why not, time."""
    status = str(exchange.timeline.status)
    if colours:
        colour = {"2": "32", "4": "33"}.get(status[0], "31")
        status = f"\x1b[{colour}m{status}\x1b[0m"
    request, (rule, details) = exchange.request, _told(exchange)
    secrets = secrets_of(request) if exchange.refusal else ()  # what we say of a refusal may quote them
    target = request.address if request.path.startswith("/../") else request.path  # it is not below the base URL
    path, model, details = (
        str(without(text, secrets)) for text in (redact_target(target), model_of(exchange) or "-", details)
    )
    told = f"{rule}: {printable(details[:200])}" if details else rule
    how = "" if end == "complete" else f" {end}"
    where = f"{exchange.grant.number} {request.session} {exchange.claim.provider}"
    asked = f"{_short(request.method)} {_short(path)} {_short(model)}"
    return f"{where} {asked} {status} {told}{how} {seconds * 1000:.1f}ms\n"


def _told(exchange: Exchange) -> tuple[str, str]:
    """Return which rule answered, or why the provider refused: the field and what is wrong with it."""
    if exchange.rule != "refused" or not exchange.refusal:
        return exchange.rule, ""
    name, _, refusal = exchange.refusal
    details = "; ".join(map(_detail, refusal.details[:3]))
    return f"refused {name}", details or refusal.message or ""


def _detail(item: Violation) -> str:
    """Return a field and what is wrong with it; the provider's own words are a sentence by themselves."""
    between = ": " if item.message[:1].isupper() else " "
    return f"{item.path}{between}{item.message}" if item.path else item.message


def _short(text: str) -> str:
    return printable(text[:80])
