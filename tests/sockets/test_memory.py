"""Memory: what a server keeps is bounded by bytes that are really kept. Each server is a process of its own.

Resident memory is compared with wide margins: what is bounded stays far below them, what was not went far beyond.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sockets.raw import Connection, chat, control, make_session, request

MB = 1_000_000
#: Runs the command with all journals bounded to 20 MB together.
SMALL_JOURNALS = """
from emulator.stores.memory import MemoryStore
MemoryStore.__init__.__defaults__ = (10_000, 20_000_000)
"""
#: What the allocator may keep of what it was given back, and what differs from run to run.
MARGIN_MB = 80
SCRIPTED = {"emulator": 1, "provider": "beatra", "rules": [{"reply": {"text": "Read."}}]}
BUILT_IN = {"emulator": 1, "provider": "beatra", "rules": [{"reply": {"builtin": True}}]}


def connect(url: str, window: int | None = None) -> Connection:
    """Connect with time to wait: much is sent, on machines that do other things as well."""
    connection = Connection(url, window)
    connection.socket.settimeout(60)
    return connection


class Server:
    """A server's URL, and the memory that it has taken since it was ready."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid
        with connect(url) as connection:  # what is loaded with the first request
            connection.send(request(url))
            assert connection.answer().status == 200
        self._begun = self._resident_mb()

    def _resident_mb(self) -> float:
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * resource.getpagesize() / MB

    def taken_mb(self) -> float:
        return self._resident_mb() - self._begun


@contextmanager
def serving(folder: Path, scenario: Any, *options: str, code: str = "") -> Iterator[Server]:
    """Run a server, some code before it; it is ended in any case."""
    (folder / "memory.yaml").write_text(json.dumps(scenario))
    start = f"{code}\nfrom emulator.cli.main import main\nmain()"
    command = [sys.executable, "-c", start, "serve", "memory.yaml", "--port", "0", "--quiet", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Server(process.stdout.readline().split()[-1], process.pid)
    finally:
        process.kill()
        process.communicate()


def ask(connection: Connection, data: bytes) -> None:
    connection.send(data)
    assert connection.answer().status == 200


def long_chat(url: str, number: int = 0, size: int = 2 * MB) -> bytes:
    return request(url, chat(f"{number:08}" + "x" * size))


def test_connections_that_are_closed_keep_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, SCRIPTED, "--journal-size", "1") as server:
        data = long_chat(server.url)
        for _ in range(80):
            with connect(server.url) as connection:
                ask(connection, data)
        assert server.taken_mb() < MARGIN_MB


def test_connections_that_rest_keep_nothing_of_what_was_answered(tmp_path: Path) -> None:
    with serving(tmp_path, SCRIPTED, "--journal-size", "1") as server, ExitStack() as stack:
        data = long_chat(server.url)
        for _ in range(80):
            ask(stack.enter_context(connect(server.url)), data)
        assert server.taken_mb() < MARGIN_MB


def test_answers_that_are_remembered_keep_no_long_body(tmp_path: Path) -> None:
    with serving(tmp_path, BUILT_IN, "--journal-size", "1") as server, connect(server.url) as connection:
        for number in range(40):
            for _ in range(2):  # an answer is compiled when it is given for the second time
                ask(connection, long_chat(server.url, number))
        assert server.taken_mb() < MARGIN_MB


def test_a_body_in_small_chunks_takes_its_bytes(tmp_path: Path) -> None:
    with serving(tmp_path, SCRIPTED, "--journal-size", "1") as server, ExitStack() as stack:
        head = request(server.url, None, headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"})
        for _ in range(4):
            connection = stack.enter_context(connect(server.url))
            connection.send(head)
            connection.send(b"2\r\nxx\r\n" * (2 * MB))  # 4 MB of body, which does not end
        ask(stack.enter_context(connect(server.url)), request(server.url))
        assert server.taken_mb() < MARGIN_MB


def test_what_waits_on_a_connection_is_bounded_in_bytes(tmp_path: Path) -> None:
    rules = [{"when": {"last_user": "wait"}, "reply": {"text": "At last.", "latency": "60s"}}, *SCRIPTED["rules"]]
    with serving(tmp_path, {**SCRIPTED, "rules": rules}, "--journal-size", "1") as server, ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(connect(server.url))
            connection.send(request(server.url, chat("wait")))
            send_what_goes(connection, long_chat(server.url) * 16)
        ask(stack.enter_context(connect(server.url)), request(server.url))
        assert server.taken_mb() < MARGIN_MB


def send_what_goes(connection: Connection, data: bytes) -> None:
    """Send until nobody has read for a while."""
    connection.socket.settimeout(0.3)
    with suppress(TimeoutError):
        connection.send(data)


def test_a_reader_of_the_live_journal_that_stops_reading_is_let_go(tmp_path: Path) -> None:
    with serving(tmp_path, SCRIPTED, "--journal-size", "1") as server, connect(server.url, window=4096) as reader:
        reader.send(request(server.url, None, method="GET", path="/_emulator/sessions/default/journal/events"))
        reader.until(b": watching")
        with connect(server.url) as connection:
            for number in range(60):
                ask(connection, long_chat(server.url, number))
        assert server.taken_mb() < MARGIN_MB
        assert not got_to_its_end(reader)


def got_to_its_end(connection: Connection) -> bool:
    """Read to the end of the connection, and tell whether the answer came to its own end before."""
    try:
        return connection.rest().endswith(b"0\r\n\r\n")
    except ConnectionResetError:
        return False


def test_journals_of_many_sessions_stay_within_their_bytes_together(tmp_path: Path) -> None:
    with serving(tmp_path, SCRIPTED, code=SMALL_JOURNALS) as server, connect(server.url) as connection:
        sessions = [make_session(server.url) for _ in range(40)]
        for session in sessions:
            ask(connection, request(server.url, chat("x" * 2 * MB), key=session.key))
        assert server.taken_mb() < MARGIN_MB
        kept = [len(session.journal()) for session in sessions]
        dropped = [control(server.url, "GET", f"/sessions/{session.id}")["dropped"] for session in sessions]
        assert [a + b for a, b in zip(kept, dropped, strict=True)] == [1] * 40
        assert kept == sorted(kept)  # the oldest went first, whoever they belonged to
        assert 0 < sum(kept) < 10
