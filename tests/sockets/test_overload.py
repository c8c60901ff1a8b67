"""Too much at once: many open streams at the end, no file descriptors left, clients that never read."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sockets.raw import Connection, chat, control, request

SLOW = """
emulator: 1
rules:
  - when: {last_user: slow}
    reply: {text: one two three, stream: {split: words, itl: 60s}}
  - reply: {text: quick}
"""


@contextmanager
def serving(folder: Path, descriptors: int = 4096) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server that may have so many files open; it is ended in any case."""
    (folder / "slow.yaml").write_text(SLOW)
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors})); "
    start = "from emulator.cli.main import main; main()"
    command = [sys.executable, "-c", limit + start, "serve", str(folder / "slow.yaml"), "--port", "0", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


def test_it_ends_with_a_thousand_streams_open_and_says_what_was_cut(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with serving(tmp_path) as (process, url), ExitStack() as stack:
        connections = [stack.enter_context(Connection(url)) for _ in range(1000)]
        for connection in connections:
            connection.send(request(url, chat("slow", stream=True)))
        for connection in connections:
            assert connection.head()[0] == 200
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (0, "Stopped; 1000 answers under way were cut.\n")
        assert not any(connection.rest().endswith(b"0\r\n\r\n") for connection in connections)


def test_without_file_descriptors_it_refuses_connections_and_recovers(tmp_path: Path) -> None:
    with serving(tmp_path, descriptors=64) as (process, url):
        with ExitStack() as stack:
            outcomes = Counter(answer_of(stack.enter_context(Connection(url)), url) for _ in range(100))
        assert outcomes[200] >= 30
        assert outcomes[200] + outcomes["closed"] == 100
        recovered = [one_answer(url) for _ in range(5)]
        assert process.poll() is None
    assert recovered[-1] == 200


def answer_of(connection: Connection, url: str) -> int | str:
    try:
        connection.send(request(url))
        return connection.head()[0]
    except (AssertionError, OSError):
        return "closed"


def one_answer(url: str) -> int | str:
    with Connection(url) as connection:
        return answer_of(connection, url)


def test_clients_that_never_read_are_not_written_to_and_the_others_are_answered(tmp_path: Path) -> None:
    """What is neither read nor taken by the kernel stays unwritten: were it buffered, it would count as sent."""
    reply = {"events": ["${request.last_user}"] * 80, "off_contract": True}
    scenario = {"emulator": 1, "rules": [{"when": {"stream": True}, "reply": reply}, {"reply": {"text": "quick"}}]}
    with serving(tmp_path) as (_, url), ExitStack() as stack:
        control(url, "PUT", "/sessions/default/scenario", {"scenario": scenario})
        for _ in range(5):
            connection = stack.enter_context(Connection(url, window=4096))
            connection.send(request(url, chat("x" * 100_000, stream=True)))
            connection.until(b"\r\n\r\n")
        assert one_answer(url) == 200
        stack.close()
        ends = [item["sent"] for item in wait_for_ends(url, 6)]
    assert [item["end"] for item in ends] == ["client_left"] * 5 + ["complete"]
    assert all(item["bytes"] < 8_000_000 for item in ends)


def wait_for_ends(url: str, count: int) -> list[dict[str, dict[str, Any]]]:
    for _ in range(500):
        found = control(url, "GET", "/sessions/default/journal")["exchanges"]
        if len(found) == count and all(item["sent"]["end"] != "under_way" for item in found):
            return list(found)
        threading.Event().wait(0.02)
    raise AssertionError("the clients' leaving was not noticed")
