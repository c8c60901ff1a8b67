"""The contract's HTTP client: whatever comes back, within its bounds, and streams taken apart."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpcore2
import pytest

from emulator.contract.bodies import Event, parse_events, parse_json
from emulator.contract.client import Answer, Bounds, Client, Sent
from emulator.contract.connections import Deadline, open_pool
from emulator.contract.exchange import request_json

EVENTS = {
    "lines of three kinds": (b"data: a\n\ndata: b\r\n\r\ndata: c\r\r", [Event("a"), Event("b"), Event("c")]),
    "several data lines": (b"data: a\ndata: b\n\n", [Event("a\nb")]),
    "no space": (b"data:a\n\n", [Event("a")]),
    "comments": (b": ping\n\ndata: a\n: pong\n\n", [Event("a")]),
    "no data": (b'{"a": 1}\n\n', [Event(None)]),
    "other fields": (b"event: x\nid: 1\ndata: a\n\n", [Event("a", name="x")]),
    "broken off": (b"data: a\n\ndata: b", [Event("a"), Event("b", whole=False)]),
    "no empty line at the end": (b"data: a\n", [Event("a", whole=False)]),
    "invalid UTF-8": (b"data: \xff\n\n", [Event("�")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("body", "events"), EVENTS.values(), ids=EVENTS)
def test_a_stream_is_split_into_events(body: bytes, events: list[Event]) -> None:
    assert list(parse_events(body)) == events


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", "9" * 5000], ids=lambda text: repr(text[:9]))
def test_what_is_no_json_is_none(text: str | bytes) -> None:
    assert parse_json(text) is None


@contextmanager
def peer(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen once, read a request's head, and act."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            act(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def send(act: Callable[[socket.socket], None], **bounds: Any) -> Answer:
    with peer(act) as url, closing(Client(proxies=False, bounds=Bounds(**bounds))) as http:
        return http.send("GET", url, {})


def test_an_answer_has_its_parts() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX-A: 1\r\nx-a: 2\r\n"
    answer = send(lambda peer: peer.sendall(head + b'Content-Length: 8\r\n\r\n{"a": 1}'))
    assert (answer.status, answer.ended, answer.json, answer.events) == (200, "complete", {"a": 1}, None)
    assert (answer.header("X-A"), answer.media_type) == ("1", "application/json")


def test_a_body_that_is_broken_off_is_cut() -> None:
    answer = send(lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabc"))
    assert (answer.status, answer.body, answer.ended) == (200, b"abc", "cut")


def test_a_reset_before_the_head_is_cut() -> None:
    def reset(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    answer = send(reset)
    assert (answer.status, answer.ended) == (0, "cut")


def test_no_http_is_cut() -> None:
    answer = send(lambda peer: peer.sendall(b"SSH-2.0-x\r\n\r\n"))
    assert (answer.status, answer.ended) == (0, "cut")


def test_silence_is_a_timeout() -> None:
    silent = threading.Event()

    def wait(connection: socket.socket) -> None:
        silent.wait(10)

    with peer(wait) as url, closing(Client(proxies=False, bounds=Bounds(idle_s=0.05))) as http:
        answer = http.send("GET", url, {})
        silent.set()
    assert (answer.status, answer.ended) == (0, "timeout")


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    try:
        while True:
            connection.sendall(b"data: a\n\n" * 1000)
    except OSError:
        return


def test_a_stream_without_end_is_too_large() -> None:
    answer = send(endless, max_bytes=100_000)
    assert (answer.status, len(answer.body), answer.ended) == (200, 100_000, "too_large")


def test_a_stream_of_too_many_events_is_too_large() -> None:
    answer = send(endless, max_events=50_000)
    assert answer.ended == "too_large"
    assert len(answer.body) < 2_000_000


def test_a_stream_that_never_falls_silent_times_out() -> None:
    answer = send(endless, whole_s=0.2, max_bytes=10**12, max_events=10**12)
    assert (answer.status, answer.ended) == (200, "timeout")


def test_nobody_there_is_unreachable() -> None:
    with closing(Client(proxies=False)) as http:
        answer = http.send("GET", "http://127.0.0.1:9/", {})
    assert (answer.status, answer.ended) == (0, "unreachable")


def test_a_request_is_shown_without_its_key() -> None:
    sent = Sent("POST", "http://a/v1", (("authorization", "Bearer secret"), ("x-a", "1")), b'{"a": 1}')
    assert request_json(sent, "secret") == {
        "method": "POST",
        "url": "http://a/v1",
        "headers": {"authorization": "Bearer $API_KEY", "x-a": "1"},
        "body": {"a": 1},
    }


LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na\r\n\r\nb"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\na\r\n\r\nb\r\n0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "ended", "why"),
    [
        (LENGTH, "complete", ""),
        (CHUNKS, "complete", ""),
        (EARLY + LENGTH, "complete", ""),
        (LENGTH + b"x", "overrun", "behind it came b'x'"),
        (CHUNKS + b"x", "overrun", "behind it came b'x'"),
        (EARLY + CHUNKS + LENGTH, "overrun", f"behind it came {LENGTH[:40]!r}"),
    ],
    ids=["length", "chunks", "early", "length-and-more", "chunks-and-more", "two-answers"],
)
def test_what_comes_behind_an_answer_is_seen(sent: bytes, ended: str, why: str) -> None:
    answer = send(lambda peer: peer.sendall(sent))
    assert (answer.status, answer.body, answer.ended, answer.why) == (200, b"a\r\n\r\nb", ended, why)


def test_each_request_gets_its_own_answer() -> None:
    """A connection is used once: the second answer that a target gives to one request is not the next one's."""

    def serve() -> None:
        for n in (1, 2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b"".join(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % item for item in (n, 0))
                )

    with socket.create_server(("127.0.0.1", 0)) as listener, closing(Client(proxies=False)) as http:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answers = [http.send("GET", url, {}) for _ in range(2)]
        thread.join()
    assert [answer.body for answer in answers] == [b"1", b"2"]  # whether the other is seen is the network's
    assert http.budget.requests == 2


def test_a_packed_body_is_unpacked() -> None:
    body = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
    answer = send(lambda peer: peer.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body))
    assert (answer.json, answer.ended) == ({"a": 1}, "complete")


PROXIES = {
    "none": ({}, None),
    "one": ({"https_proxy": "http://proxy:3128"}, "proxy"),
    "without a scheme": ({"all_proxy": "proxy:3128"}, "proxy"),
    "not for this host": ({"https_proxy": "http://proxy:3128", "no_proxy": "example.com"}, None),
}


@pytest.mark.parametrize(("environment", "host"), PROXIES.values(), ids=PROXIES)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pool = open_pool("https://api.example.com/v1", Deadline(), proxies=True)
    assert isinstance(pool, httpcore2.HTTPProxy) is (host is not None)
    assert not isinstance(open_pool("https://api.example.com/v1", Deadline(), proxies=False), httpcore2.HTTPProxy)


def test_a_deadline_leaves_no_more_than_its_time() -> None:
    deadline = Deadline()
    assert deadline.left(3.0) == 3.0
    deadline.at = time.monotonic() + 1.0
    assert 0 < deadline.left(None) <= 1.0
    deadline.at = time.monotonic() - 1.0
    with pytest.raises(httpcore2.ReadTimeout):
        deadline.left(3.0)
