"""The client of the control API: what it sends, what it raises, and when it connects anew."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.server.setup import Setup, ignore, listen, make_live_sessions, make_server, origin, run
from emulator.testing.client import Control, ControlError, _Answer

Serve = Callable[..., str]


@pytest.fixture
def control(emulator_url: str) -> Iterator[Control]:
    made = Control(emulator_url)
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[tuple[Serve, list[bytes]]]:
    """Serve scripted answers, each on a connection of its own or None to close it unanswered; gather what came."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)  # for who never comes
    came: list[bytes] = []
    threads: list[threading.Thread] = []

    def serve(*connections: list[bytes | None]) -> str:
        def answer() -> None:
            for answers in connections:
                connection = listener.accept()[0]
                with connection:
                    for data in answers:
                        came.append(read_message(connection))
                        if data is not None:
                            connection.sendall(data)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve, came
    for thread in threads:
        thread.join()
    listener.close()


def read_message(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or (b"content-length: 8" in data and not data.endswith(b"}")):
        received = connection.recv(65536)
        data += received
        if not received:
            break
    return data


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def test_it_asks_and_returns_json(control: Control) -> None:
    assert control.ask("GET", "/health")["status"] == "ok"
    made = control.ask("POST", "/sessions", {"provider": "beatra", "clock": "virtual"})
    assert control.ask("GET", f"/sessions/{made['id']}") == made
    assert control.ask("DELETE", f"/sessions/{made['id']}") is None


def test_a_refusal_has_its_code_status_and_problems(control: Control) -> None:
    with pytest.raises(ControlError) as caught:
        control.ask("POST", "/sessions", {"scenario": "emulator: 1\nrules:\n  - {rply: {text: x}}\n"})
    assert (caught.value.status, caught.value.code) == (422, "invalid_scenario")
    assert [(item["file"], item["line"], item["column"]) for item in caught.value.problems] == [
        ("session", 3, 5),
        ("session", 3, 6),
    ]
    assert "session:3:6: rules[0].rply: is not known here; did you mean 'reply'?" in str(caught.value).splitlines()


def test_many_threads_share_it(control: Control) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(control.ask("GET", "/health")["status"])) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["ok"] * 20


def test_one_connection_is_kept(serve: tuple[Serve, list[bytes]]) -> None:
    url = serve[0]([http(b"1"), http(b"2")])
    control = Control(url)
    assert [control.ask("GET", "/a"), control.ask("POST", "/b", {"x": 1})] == [1, 2]
    control.close()
    assert [data.split(b"\r\n")[0] for data in serve[1]] == [
        b"GET /_emulator/a HTTP/1.1",
        b"POST /_emulator/b HTTP/1.1",
    ]
    assert serve[1][1].endswith(b'{"x": 1}')


def test_a_kept_connection_that_was_closed_is_made_anew(serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([http(b"1")], [http(b"2")]))
    assert [control.ask("GET", "/a"), control.ask("GET", "/b")] == [1, 2]
    control.close()


def test_a_new_connection_that_breaks_is_an_error_and_nothing_is_sent_twice(serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([None]))
    with pytest.raises(ConnectionError):
        control.ask("POST", "/sessions")
    control.close()
    assert len(serve[1]) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_asks(control: Control, emulator_url: str) -> None:
    session = control.ask("POST", "/sessions")["id"]
    told: list[str] = []

    def watch() -> None:
        try:
            control.ask("GET", f"/sessions/{session}/journal/events")  # lasts as long as the session
        except ControlError as error:
            told.append(str(error))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(5_000):
        if control._lock.locked():
            break
        threading.Event().wait(0.001)
    assert in_a_fork(lambda: control.ask("GET", "/health")["status"] == "ok")
    assert in_a_fork(lambda: in_a_fork(lambda: control.ask("GET", "/health")["status"] == "ok"))
    other = Control(emulator_url)
    other.ask("DELETE", f"/sessions/{session}")
    other.close()
    thread.join()
    assert told == [f"what answers at {emulator_url} is no emulator"]  # an SSE stream that came to its end


def in_a_fork(ask: Callable[[], bool]) -> bool:
    """Tell whether it is so in a child, which may take 20 s."""
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os._exit(0 if ask() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def test_where_gevent_takes_the_place_of_locks_its_own_is_used(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.ask("GET", "/health")
    made: list[Any] = []
    monkeypatch.setattr(threading, "Lock", lambda: made.append(threading.RLock()) or made[-1])
    assert [control.ask("GET", "/health")["status"] for _ in range(2)] == ["ok"] * 2
    assert control._lock in made


def test_nobody_there_is_an_os_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        Control("http://127.0.0.1:1").ask("GET", "/health")


def test_another_server_is_no_emulator(serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([http(b"<html>", 404)]))
    with pytest.raises(ControlError) as caught:
        control.ask("GET", "/health")
    control.close()
    assert (str(caught.value), caught.value.status) == (f"what answers at {control.url} is no emulator", 404)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]",
    ],
    ids=["chunked", "ended by closing", "closed after it"],
)
def test_other_ways_to_end_an_answer(answer: bytes, serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([answer], [http(b"2")]))
    assert control.ask("GET", "/a") == [1]
    assert control.ask("GET", "/b") == 2
    control.close()


def test_what_is_no_http_is_no_emulator(serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([b"SSH-2.0-x\r\n"]))
    with pytest.raises(ControlError, match="is no emulator"):
        control.ask("GET", "/health")
    assert len(serve[1]) == 1


class Interrupted(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Interrupted, ValueError, SystemExit, EOFError])
@pytest.mark.parametrize("moment", ["on_headers_complete", "on_body", "on_message_complete", "loads"])
def test_what_a_signal_handler_raises_passes_untouched(
    serve: tuple[Serve, list[bytes]], monkeypatch: pytest.MonkeyPatch, moment: str, kind: type[BaseException]
) -> None:
    raised = kind("stop")

    def handle(number: int, frame: Any) -> None:
        raise raised

    def interrupted(*given: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)

    control = Control(serve[0]([http(b"1")], [http(b"2")]))
    previous = signal.signal(signal.SIGUSR1, handle)
    monkeypatch.setattr(json if moment == "loads" else _Answer, moment, interrupted)
    with pytest.raises(kind) as caught:
        control.ask("POST", "/a")
    monkeypatch.undo()
    signal.signal(signal.SIGUSR1, previous)
    assert caught.value is raised
    control.close()
    assert (len(serve[1]), control.ask("GET", "/b")) == (1, 2)  # nothing was sent twice, and it is good for the next
    control.close()


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"{"], ids=["no UTF-8", "deep", "broken off"])
def test_what_is_no_json_is_no_emulator(serve: tuple[Serve, list[bytes]], body: bytes) -> None:
    control = Control(serve[0]([http(body)]))
    with pytest.raises(ControlError, match="is no emulator"):
        control.ask("GET", "/health")
    control.close()


def test_an_error_of_another_form_is_told_by_its_status(serve: tuple[Serve, list[bytes]]) -> None:
    control = Control(serve[0]([http(b'{"error": "no"}', 503)]))
    with pytest.raises(ControlError, match=r"^status 503$"):
        control.ask("GET", "/health")
    control.close()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:4010/", "http://127.0.0.1:4010"),
        ("127.0.0.1:4010", "http://127.0.0.1:4010"),
        ("https://se%20cret@host/below/", "https://host/below"),
    ],
)
def test_urls(given: str, url: str) -> None:
    assert Control(given).url == url


@pytest.mark.parametrize("token", ["t0ken", None])
def test_an_admin_token_is_taken_from_the_url(token: str | None) -> None:
    setup = Setup(host="0.0.0.0", admin_token="t0ken")
    sock = listen(setup)
    server = make_server(setup, make_live_sessions(setup), ignore, ignore)
    thread = threading.Thread(target=run, args=(server, sock))
    thread.start()
    control = Control(origin(setup, sock).replace("//", f"//{token}@" if token else "//"))
    try:
        if token:
            assert len(control.ask("GET", "/sessions")["sessions"]) == 1
        else:
            with pytest.raises(ControlError, match="needs --admin-token"):
                control.ask("GET", "/sessions")
    finally:
        control.close()
        server.stop()
        thread.join()
