"""What goes over the wire, byte for byte: the rules of HTTP/1.1 as a plain socket sees them, and broken answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from emulator.core.engine.engine import Engine
from sockets.raw import Answer, Connection, ServedSession, chat, contents, control, events, make_session, request

ECHO = """
rules:
  - reply: {text: "You said ${request.last_user}.", stream: {split: words}}
"""
SLOW = """
rules:
  - {when: {last_user: slow}, reply: {text: one two three, stream: {split: words, ttft: 1s, itl: 1s}}}
  - {when: {last_user: late}, reply: {text: late, latency: 10s}}
  - {reply: {text: "You said ${request.last_user}."}}
"""
STALLED = """
rules:
  - {when: {last_user: hi}, reply: {text: one two three, stream: {split: words},
     faults: [{stall: {after_chunks: 2, for: forever}}]}}
  - {reply: {text: late, latency: forever}}
"""
LONG_EVENTS = ", ".join(['"${request.last_user}"'] * 80)
LONG = f"rules: [{{reply: {{off_contract: true, events: [{LONG_EVENTS}]}}}}]"
LONG_CHAT = chat("x" * 100_000, stream=True)  # 80 events of that size: more than the kernel takes
TOO_LARGE = 20_000_001
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(scope="module")
def echo(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, ECHO)


@pytest.fixture
def connection(emulator_url: str) -> Iterator[Connection]:
    with Connection(emulator_url) as opened:
        yield opened


def said(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def cut_session(url: str, fault: str, text: str = "one two three") -> ServedSession:
    return make_session(
        url, f"rules: [{{reply: {{text: {text}, stream: {{split: words}}, faults: [{{cut: {fault}}}]}}}}]"
    )


def nothing_yet(connection: Connection) -> bool:
    """Tell that no byte has come, after the server answered somebody else."""
    connection.socket.setblocking(False)
    try:
        return not connection.socket.recv(1)
    except BlockingIOError:
        return True
    finally:
        connection.socket.settimeout(5)


# Connections


def test_one_connection_takes_many_requests(echo: ServedSession, connection: Connection) -> None:
    for number in range(3):
        connection.send(echo.request(chat(f"n{number}")))
        answer = connection.answer()
        assert said(answer) == f"You said n{number}."
        assert "connection" not in answer.headers
        connection.send(echo.request(chat(f"s{number}", stream=True)))
        answer = connection.answer()
        assert (contents(answer), answer.ended) == (["You", " said", f" s{number}."], True)


def test_connection_close_is_answered_and_obeyed(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request(headers={"Connection": "close"}) + echo.request())
    answer = connection.answer()
    assert (said(answer), answer.headers["connection"]) == ("You said hi.", "close")
    assert connection.at_end()


def test_control_and_chat_share_a_connection(echo: ServedSession, connection: Connection) -> None:
    health = request(echo.url, None, method="GET", path="/_emulator/health")
    connection.send(health + echo.request() + health)
    assert connection.answer().json["status"] == "ok"
    assert said(connection.answer()) == "You said hi."
    assert connection.answer().json["status"] == "ok"


@pytest.mark.parametrize("count", [2, 16, 40])
def test_pipelined_requests_are_answered_in_order(echo: ServedSession, connection: Connection, count: int) -> None:
    connection.send(b"".join(echo.request(chat(f"n{number}", stream=number % 2 == 1)) for number in range(count)))
    for number in range(count):
        answer = connection.answer()
        text = "".join(contents(answer)) if number % 2 else said(answer)
        assert text == f"You said n{number}."


def test_pipelined_requests_wait_for_a_slow_stream(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    with live.connect() as connection:
        connection.send(live.request(chat("slow", stream=True)))
        for number in range(40):
            connection.send(live.request(chat(f"n{number}")))
        live.clock(release=True)
        assert contents(connection.answer()) == ["one", " two", " three"]
        assert [said(connection.answer()) for _ in range(40)] == [f"You said n{number}." for number in range(40)]


def test_no_more_is_read_while_many_requests_wait(emulator_url: str) -> None:
    """What is not read fills what the kernel keeps; then nothing more can be sent."""
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    waiting = live.request(chat("x" * 100_000))
    with live.connect() as connection:
        connection.socket.settimeout(1)
        connection.send(live.request(chat("slow", stream=True)))
        with pytest.raises(TimeoutError):
            connection.send(waiting * 600)  # 60 MB


def test_a_pipelined_request_is_claimed_when_its_turn_comes(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    with live.connect() as connection:
        connection.send(live.request(chat("late")) + live.request(chat("next")))
        assert len(live.begun()) == 1
        assert nothing_yet(connection)
        live.clock(advance="10s")
        assert [said(connection.answer()), said(connection.answer())] == ["late", "You said next."]
    first, second = (item["at"] for item in live.journal())
    assert second == first + 10


def test_http_10_closes_and_does_not_chunk(echo: ServedSession, emulator_url: str) -> None:
    for stream in (False, True):
        with Connection(emulator_url) as connection:
            connection.send(echo.request(chat(stream=stream), version="1.0"))
            answer = connection.answer()
            assert answer.headers["connection"] == "close"
            assert "transfer-encoding" not in answer.headers
            assert "".join(contents(answer)) if stream else said(answer) == "You said hi."
            assert connection.at_end()


def test_http_10_keeps_the_connection_that_asks_for_it(echo: ServedSession, connection: Connection) -> None:
    keep = {"Connection": "keep-alive"}
    for _ in range(2):
        connection.send(echo.request(version="1.0", headers=keep))
        answer = connection.answer()
        assert (said(answer), answer.headers["connection"]) == ("You said hi.", "keep-alive")
    connection.send(request(echo.url, None, method="GET", path="/_emulator/health", version="1.0", headers=keep))
    assert connection.answer().headers["connection"] == "keep-alive"
    connection.send(echo.request(chat(stream=True), version="1.0", headers=keep))
    answer = connection.answer()
    assert answer.headers["connection"] == "close"  # the end of the stream is the end of the connection
    assert events(answer)[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_finished_sending_gets_all(echo: ServedSession, connection: Connection, stream: bool) -> None:
    connection.send(echo.request(chat("a", stream=stream)) + echo.request(chat("b")))
    connection.finish_sending()
    answer = connection.answer()
    assert answer.ended
    assert ("".join(contents(answer)) if stream else said(answer)) == "You said a."
    assert said(connection.answer()) == "You said b."
    assert connection.at_end()


def test_a_client_that_finished_sending_gets_a_slow_stream(emulator_url: str) -> None:
    live = make_session(
        emulator_url, "rules: [{reply: {text: one two, stream: {split: words, ttft: 30ms, itl: 30ms}}}]"
    )
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.finish_sending()
        answer = connection.answer()
        assert (contents(answer), answer.ended) == (["one", " two"], True)
        assert connection.at_end()
    assert live.ended()["sent"]["end"] == "complete"


@pytest.mark.parametrize("size", [10, 150, -1], ids=["head", "body", "last byte"])
def test_a_connection_that_ends_in_a_request_is_closed(echo: ServedSession, connection: Connection, size: int) -> None:
    connection.send(echo.request()[:size])
    connection.finish_sending()
    assert connection.at_end()


def test_what_came_before_half_a_request_is_answered(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request(chat("a")) + echo.request(chat("b"))[:-5])
    connection.finish_sending()
    assert said(connection.answer()) == "You said a."
    assert connection.at_end()


# Bodies of requests


def test_continue_is_sent_before_the_body(echo: ServedSession, connection: Connection) -> None:
    data = echo.request(headers={"Expect": "100-continue"})
    head, _, body = data.partition(b"\r\n\r\n")
    for _ in range(2):
        connection.send(head + b"\r\n\r\n")
        assert connection.until(b"\r\n\r\n") == CONTINUE
        connection.send(body)
        assert said(connection.answer()) == "You said hi."


def test_continue_waits_for_the_answer_before_it(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    head, _, body = live.request(headers={"Expect": "100-continue"}).partition(b"\r\n\r\n")
    with live.connect() as connection:
        connection.send(live.request(chat("slow", stream=True)) + live.request(chat("next")) + head + b"\r\n\r\n")
        live.begun()
        live.clock(release=True)
        assert contents(connection.answer()) == ["one", " two", " three"]
        assert said(connection.answer()) == "You said next."
        assert connection.until(b"\r\n\r\n") == CONTINUE
        connection.send(body)
        assert said(connection.answer()) == "You said hi."


@pytest.mark.parametrize("expects", ["whole body", "no body"])
def test_no_continue_is_owed_once_the_request_is_there(emulator_url: str, expects: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    expect = {"Expect": "100-continue"}
    second = {
        "whole body": live.request(headers=expect),
        "no body": live.request(None, method="GET", headers=expect),
    }[expects]
    with live.connect() as connection:
        connection.send(live.request(chat("late")) + second)
        live.begun()
        live.clock(release=True)
        connection.answer()
        assert connection.answer().status == {"whole body": 200, "no body": 405}[expects]
        connection.send(live.request(chat("last")))
        assert said(connection.answer()) == "You said last."


def test_a_body_too_large_is_refused_without_being_asked_for(echo: ServedSession, connection: Connection) -> None:
    headers = {"Expect": "100-continue", "Content-Length": str(TOO_LARGE)}
    connection.send(echo.request(b"", headers=headers))
    answer = connection.answer()
    assert (answer.status, answer.error_code, answer.headers["connection"]) == (413, "too_large", "close")
    assert connection.at_end()


def test_a_body_too_large_is_refused_in_its_turn(echo: ServedSession, connection: Connection) -> None:
    headers = {"Expect": "100-continue", "Content-Length": str(TOO_LARGE)}
    connection.send(echo.request(chat("first")) + echo.request(b"", headers=headers))
    assert said(connection.answer()) == "You said first."
    assert connection.answer().status == 413
    connection.send(b"x" * 1_000_000)  # sent all the same: dropped, and the answer is not lost
    assert connection.at_end()


def test_a_body_too_large_is_drained_and_refused(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request(b"x" * TOO_LARGE))
    answer = connection.answer()
    assert (answer.status, answer.error_code) == (413, "too_large")
    connection.send(echo.request())
    assert said(connection.answer()) == "You said hi."


def test_a_chunked_body_too_large_is_drained_and_refused(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request(b"", headers={"Transfer-Encoding": "chunked"}))
    chunk = b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
    for _ in range(21):
        connection.send(chunk)
    connection.send(b"0\r\n\r\n")
    assert connection.answer().status == 413
    connection.send(echo.request())
    assert said(connection.answer()) == "You said hi."


def test_a_control_body_too_large_is_refused(echo: ServedSession, connection: Connection) -> None:
    headers = {"Expect": "100-continue", "Content-Length": str(TOO_LARGE)}
    connection.send(request(echo.url, b"", path="/_emulator/sessions", headers=headers))
    answer = connection.answer()
    assert (answer.status, answer.error_code) == (413, "too_large")
    assert connection.at_end()


def chunked(body: bytes, sizes: int) -> bytes:
    parts = [body[start : start + sizes] for start in range(0, len(body), sizes)]
    return b"".join(b"%X;note=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nx-trailer: 1\r\n\r\n"


@pytest.mark.parametrize("sizes", [1, 7, 1000])
def test_chunked_request_bodies(echo: ServedSession, connection: Connection, sizes: int) -> None:
    head = echo.request(b"", headers={"Transfer-Encoding": "chunked"})
    for text in ("a", "é" * 30):
        connection.send(head + chunked(json.dumps(chat(text), ensure_ascii=False).encode(), sizes))
        assert said(connection.answer()) == f"You said {text}."


def test_requests_that_come_byte_by_byte(echo: ServedSession, connection: Connection) -> None:
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = echo.request(b"", headers={"Transfer-Encoding": "chunked"})
    for data in (head + chunked(json.dumps(chat("a")).encode(), 9), echo.request(chat("a"))):
        for byte in data:
            connection.send(bytes([byte]))
        assert said(connection.answer()) == "You said a."


def test_a_trailer_is_no_header(echo: ServedSession, connection: Connection) -> None:
    head = echo.request(b"", headers={"Transfer-Encoding": "chunked"})
    body = json.dumps(chat()).encode()
    connection.send(head + b"%x\r\n%b\r\n0\r\nauthorization: Bearer other\r\nx-a: b\r\n\r\n" % (len(body), body))
    assert said(connection.answer()) == "You said hi."


# Requests of every kind


def test_head_has_no_body(echo: ServedSession, connection: Connection) -> None:
    models = "/brainstormrouter/v1/models"
    connection.send(echo.request(None, method="GET", path=models))
    whole = connection.answer()
    connection.send(echo.request(None, method="HEAD", path=models))
    answer = connection.answer(bodiless=True)
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(whole.body)))
    connection.send(echo.request())
    assert said(connection.answer()) == "You said hi."
    assert echo.ended(int(answer.headers["x-emulator-exchange"]))["sent"]["bytes"] == 0


def test_targets_in_absolute_form(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request(path=f"{echo.url}/beatra/v1/chat/completions"))
    assert said(connection.answer()) == "You said hi."
    connection.send(echo.request(path="http://api.beatra.ai/v1/chat/completions"))
    assert said(connection.answer()) == "You said hi."
    connection.send(echo.request(path="http://api.beatra.ai"))
    assert (connection.answer().error_code) == "emulator_no_provider"
    connection.send(request(echo.url, None, method="GET", path=f"{echo.url}/_emulator/health"))
    assert connection.answer().json["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path"), [("CONNECT", "example.com:443"), ("OPTIONS", "*"), ("GET", "/"), ("GET", "//"), ("GET", "/s")]
)
def test_targets_that_name_nothing(echo: ServedSession, connection: Connection, method: str, path: str) -> None:
    connection.send(echo.request(None, method=method, path=path))
    answer = connection.answer()
    assert answer.status == 404
    assert answer.error_code in ("emulator_no_provider", "emulator_unknown_session")
    assert (answer.headers["x-emulator-exchange"], answer.headers["x-emulator-rule"]) == ("0", "refused")
    if method != "CONNECT":
        connection.send(echo.request())
        assert said(connection.answer()) == "You said hi."
    else:
        assert answer.headers["connection"] == "close"
        assert connection.at_end()


@pytest.mark.parametrize("path", ["/beatra/v1/chat/completion%73", "/b%65atra/v1/chat%2Fcompletions"])
def test_percent_encoded_paths(echo: ServedSession, path: str) -> None:
    answer = echo.ask(path=path)
    assert said(answer) == "You said hi."
    assert echo.ended(int(answer.headers["x-emulator-exchange"]))["path"] == path


@pytest.mark.parametrize("path", ["/beatra/v1/%ff", "/beatra/v1/%", "/beatra/v1/%0d%0aX", "/s/%ff/v1/x"])
def test_paths_that_decode_to_nothing_known(echo: ServedSession, path: str) -> None:
    answer = echo.ask(path=path)
    assert answer.status == 404
    assert answer.json["error"]


def test_the_host_header_names_a_provider(echo: ServedSession) -> None:
    answer = echo.ask(path="/v1/chat/completions", headers={"Host": "api.beatra.ai"})
    assert said(answer) == "You said hi."
    assert echo.ended(int(answer.headers["x-emulator-exchange"]))["provider"] == "beatra"
    answer = echo.ask(path="/v1/models", method="GET", headers={"Host": "api.brainstormrouter.com:443"})
    assert answer.status == 200
    answer = echo.ask(path="/v1/chat/completions", headers={"Host": "example.com"})
    assert echo.ended(int(answer.headers["x-emulator-exchange"]))["provider"] == "openai"
    assert echo.ask(path="/v1/nothing", headers={"Host": "example.com"}).error_code == "emulator_no_provider"


def test_a_request_without_host_is_answered(echo: ServedSession, connection: Connection) -> None:
    data = echo.request()
    begin, end = data.index(b"Host:"), data.index(b"Authorization:")
    connection.send(data[:begin] + data[end:])
    assert said(connection.answer()) == "You said hi."


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"\x00" * 1_000_000,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_bytes_that_are_no_http(connection: Connection, data: bytes) -> None:
    connection.send(data)
    answer = connection.answer()
    assert (answer.status, answer.error_code) == (400, "emulator_not_http")
    assert (answer.headers["content-type"], answer.headers["connection"]) == ("application/json", "close")
    assert connection.at_end()


HEAD = b"POST /beatra/v1/chat/completions HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"x: " + b"y" * 70_000,
        HEAD + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        HEAD + b"x: y\r\n" * 15_000 + b"\r\n",
        b"GET /" + b"y" * 70_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 70_000,
    ],
    ids=["endless header", "long header", "many headers", "endless target", "chunk extension", "trailer"],
)
def test_a_head_too_large_is_refused(connection: Connection, data: bytes) -> None:
    connection.send(data)
    answer = connection.answer()
    assert (answer.status, answer.error_code, answer.headers["connection"]) == (431, "emulator_head_too_large", "close")
    assert connection.at_end()


def test_small_chunks_are_no_large_head(echo: ServedSession, connection: Connection) -> None:
    body = json.dumps(chat("x" * 30_000)).encode()
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    connection.send(echo.request(b"", headers={"Transfer-Encoding": "chunked"}) + framed)
    assert said(connection.answer()) == f"You said {'x' * 30_000}."


@pytest.mark.parametrize("sent", [1, 60, -1])
def test_a_request_that_comes_too_slowly_is_refused(
    echo: ServedSession, connection: Connection, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.server.http.protocol.REQUEST_S", 0.2)
    connection.send(echo.request()[:sent])
    answer = connection.answer()
    assert (answer.status, answer.error_code, answer.headers["connection"]) == (408, "emulator_too_slow", "close")
    assert connection.at_end()


def test_a_request_that_begins_behind_another_is_given_up_too(
    echo: ServedSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.server.http.protocol.REQUEST_S", 0.2)
    connection.send(echo.request() + echo.request()[:40])
    assert said(connection.answer()) == "You said hi."
    assert connection.answer().error_code == "emulator_too_slow"


def test_a_request_that_comes_in_time_is_not_given_up_later(
    echo: ServedSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.server.http.protocol.REQUEST_S", 0.2)
    for _ in range(2):
        connection.send(echo.request()[:40])
        connection.send(echo.request()[40:])
        assert said(connection.answer()) == "You said hi."
        threading.Event().wait(0.3)


def test_each_pipelined_request_has_its_own_time_to_come_in(
    echo: ServedSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is begun and not yet whole all the while, but never the same request for long."""
    monkeypatch.setattr("emulator.server.http.protocol.REQUEST_S", 1.0)
    data = echo.request()
    connection.send(data[:40])
    for _ in range(5):
        connection.send(data[40:] + data[:40])
        assert said(connection.answer()) == "You said hi."
        threading.Event().wait(0.3)


def test_a_request_that_the_server_does_not_read_is_not_late(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.server.http.protocol.REQUEST_S", 1.0)
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    data = live.request()
    with live.connect() as connection:
        connection.send(live.request(chat("slow", stream=True)) + 16 * data + data[:40])
        threading.Event().wait(1.5)
        live.clock(release=True)
        connection.send(data[40:])
        assert contents(connection.answer()) == ["one", " two", " three"]
        assert [said(connection.answer()) for _ in range(17)] == ["You said hi."] * 17


def test_what_came_before_bytes_that_are_no_http_is_answered(echo: ServedSession, connection: Connection) -> None:
    connection.send(echo.request() + b"\x00\x01\x02" + echo.request())
    assert said(connection.answer()) == "You said hi."
    assert connection.answer().error_code == "emulator_not_http"
    assert connection.at_end()


@pytest.mark.parametrize("framing", ["length", "chunked", "no body"])
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
def test_an_upgrade_header_is_passed_over(
    echo: ServedSession, connection: Connection, framing: str, split: bool
) -> None:
    """Some HTTP clients offer HTTP/2 in this way, with a body."""
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
    body = json.dumps(chat("up")).encode()
    data = {
        "length": echo.request(body, headers=headers),
        "chunked": echo.request(b"", headers={**headers, "Transfer-Encoding": "chunked"}) + chunked(body, 20),
        "no body": echo.request(None, method="GET", path="/brainstormrouter/v1/models", headers=headers),
    }[framing]
    for part in [bytes([byte]) for byte in data * 2] if split else [data * 2]:
        connection.send(part)
    for _ in range(2):
        answer = connection.answer()
        assert answer.json["object"] == "list" if framing == "no body" else said(answer) == "You said up."
    connection.send(echo.request())
    assert said(connection.answer()) == "You said hi."


def test_an_upgrade_with_a_body_that_is_asked_for(echo: ServedSession, connection: Connection) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "h2c", "Expect": "100-continue"}
    head, _, body = echo.request(headers=headers).partition(b"\r\n\r\n")
    connection.send(head + b"\r\n\r\n")
    assert connection.until(b"\r\n\r\n") == CONTINUE
    connection.send(body)
    assert said(connection.answer()) == "You said hi."


# Answers


def test_the_exact_bytes_of_a_stream(emulator_url: str) -> None:
    live = make_session(
        emulator_url,
        'rules: [{reply: {off_contract: true, events: [{"é": 1}, plain, "two\\nlines", "[DONE]"]}}]',
    )
    answer = live.ask(chat(stream=True))
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert "server" not in answer.headers
    assert answer.raw == (
        b'10\r\ndata: {"\xc3\xa9":1}\n\n\r\n'
        b"d\r\ndata: plain\n\n\r\n"
        b"17\r\ndata: two\ndata: lines\n\n\r\n"
        b"e\r\ndata: [DONE]\n\n\r\n"
        b"0\r\n\r\n"
    )


def test_the_exact_bytes_of_a_chat_stream(echo: ServedSession) -> None:
    answer = echo.ask(chat(stream=True))
    first = json.loads(events(answer)[0])
    head = f'{{"id":"{first["id"]}","object":"chat.completion.chunk","created":{first["created"]},"model":"beatra-1",'
    deltas = ['{"role":"assistant"}', '{"content":"You"}', '{"content":" said"}', '{"content":" hi."}']
    items = [f'{head}"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}' for delta in deltas]
    items += [f'{head}"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}', "[DONE]"]
    frames = [f"data: {item}\n\n".encode() for item in items]
    assert answer.raw == b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames) + b"0\r\n\r\n"


def test_frames_due_at_different_times_come_apart(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    with live.connect() as connection:
        connection.send(live.request(chat("slow", stream=True)))
        assert connection.head()[0] == 200
        for mark in (b'"role":"assistant"', b'"one"', b'" two"', b'" three"', b'"stop"'):
            assert (connection.buffer, nothing_yet(connection)) == (b"", True)
            live.clock(advance="1s")
            connection.more()
            chunk = connection.until(b"\n\n\r\n")
            assert mark in chunk
        assert connection.until(b"0\r\n\r\n") == b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    frames = live.ended()["timeline"]["frames"]
    assert [round(frame["sent_at"], 6) for frame in frames] == [1, 2, 3, 4, 5, 5]


def test_latency_comes_before_the_status_line(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    with live.connect() as connection:
        connection.send(live.request(chat("late")))
        live.begun()
        live.clock(advance="9s")
        assert nothing_yet(connection)
        live.clock(advance="1s")
        assert said(connection.answer()) == "late"


def test_waits_on_a_real_clock_keep_their_order(emulator_url: str) -> None:
    live = make_session(
        emulator_url, "rules: [{reply: {text: one two, latency: 20ms, stream: {split: words, itl: 20ms}}}]"
    )
    assert contents(live.ask(chat(stream=True))) == ["one", " two"]
    exchange = live.ended()
    times = [(frame["at"], frame["sent_at"]) for frame in exchange["timeline"]["frames"]]
    assert all(sent_at >= at for at, sent_at in times)
    assert times == sorted(times)


def test_a_client_that_reads_slowly_gets_all(emulator_url: str) -> None:
    live = make_session(emulator_url, LONG)
    with Connection(emulator_url, window=32_768) as connection:
        connection.send(live.request(LONG_CHAT) * 2)
        assert live.begun()[0]["sent"]["end"] == "under_way"
        assert [len(events(connection.answer())) for _ in range(2)] == [80, 80]


@pytest.mark.parametrize("step", ["claim", "answer"])
def test_a_crash_of_ours_is_said_aloud(
    emulator_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    live = make_session(emulator_url)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, step, fail)
        for number in (1, 2):
            connection.send(live.request(chat(f"Number {number}")))
            answer = connection.answer()
            assert (answer.status, answer.error_code) == (500, "emulator_crash")
            assert answer.headers["x-emulator-error"] == "ZeroDivisionError"
            assert answer.headers["x-should-retry"] == "false"
            assert answer.headers["x-emulator-exchange"] == str(number)
    assert ["of ours" in exchange["crash"] for exchange in live.journal()] == [True, True]
    connection.send(live.request())
    assert connection.answer().status == 200


# Faults


def test_a_clean_cut_ends_well_formed(emulator_url: str) -> None:
    live = cut_session(emulator_url, "{after_chunks: 2, how: clean}")
    with live.connect() as connection:
        for _ in range(2):
            connection.send(live.request(chat(stream=True)))
            answer = connection.answer()
            assert (contents(answer), answer.ended) == (["one"], True)
            assert answer.raw.endswith(b"\n\n\r\n0\r\n\r\n")
    assert live.ended()["sent"]["end"] == "cut"


def test_a_cut_by_fin_has_no_last_chunk(emulator_url: str) -> None:
    live = cut_session(emulator_url, "{after_chunks: 2, how: fin}")
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        answer = connection.answer()
        assert (contents(answer), answer.ended) == (["one"], False)
        assert answer.raw.endswith(b"\n\n\r\n")
        assert connection.at_end()
    assert live.ended()["sent"]["end"] == "cut"


@pytest.mark.parametrize("how", ["clean", "fin"])
def test_a_cut_before_done(emulator_url: str, how: str) -> None:
    answer = cut_session(emulator_url, f"{{before: done, how: {how}}}").ask(chat(stream=True))
    assert answer.ended is (how == "clean")
    assert contents(answer) == ["one", " two", " three"]
    assert json.loads(events(answer)[-1])["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("how", ["clean", "fin"])
def test_a_cut_inside_a_character(emulator_url: str, how: str) -> None:
    whole = make_session(emulator_url, "rules: [{reply: {text: né}}]").ask(chat(stream=True)).body
    size = whole.index("é".encode()) + 1
    answer = cut_session(emulator_url, f"{{after_bytes: {size}, how: {how}}}", "né").ask(chat(stream=True))
    assert (len(answer.body), answer.ended) == (size, how == "clean")
    assert answer.body.endswith(b'"content":"n\xc3')


def test_a_whole_answer_cut_by_fin_keeps_its_length(emulator_url: str) -> None:
    live = cut_session(emulator_url, "{after_bytes: 10, how: fin}")
    with live.connect() as connection:
        connection.send(live.request())
        answer = connection.answer()
        assert (answer.status, answer.ended, len(answer.body)) == (200, False, 10)
        assert int(answer.headers["content-length"]) > 100
        assert connection.at_end()


def test_a_whole_answer_cut_cleanly_is_as_long_as_it_says(emulator_url: str) -> None:
    live = cut_session(emulator_url, "{after_bytes: 10, how: clean}")
    with live.connect() as connection:
        for _ in range(2):
            connection.send(live.request())
            answer = connection.answer()
            assert (answer.ended, answer.body[:6], answer.headers["content-length"]) == (True, b'{"id":', "10")


def test_a_stall_on_a_virtual_clock_waits_for_nothing(emulator_url: str) -> None:
    live = make_session(
        emulator_url,
        "rules: [{reply: {text: one two, stream: {split: words}, faults: [{stall: {after_chunks: 2, for: 1h}}]}}]",
        clock="virtual",
    )
    assert contents(live.ask(chat(stream=True))) == ["one", " two"]
    frames = live.ended()["timeline"]["frames"]
    assert [round(frame["sent_at"], 6) for frame in frames] == [0, 0, 3600, 3600, 3600]


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_silence_ends_with_release(emulator_url: str, clock: str) -> None:
    live = make_session(emulator_url, STALLED, clock=clock)
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.until(b'"one"')
        connection.until(b"\n\n\r\n")
        assert (live.journal()[0]["sent"]["end"], nothing_yet(connection)) == ("under_way", True)
        live.clock(release=True)
        assert b'"content":" two"' in connection.until(b"0\r\n\r\n")
        connection.send(live.request(chat("other")))
        live.begun(2)
        assert nothing_yet(connection)
        live.clock(**({"advance": "1s"} if clock == "virtual" else {"release": True}))
        assert said(connection.answer()) == "late"
    assert live.ended()["sent"]["end"] == "complete"


@pytest.mark.parametrize("clock", ["real", "virtual"])
@pytest.mark.parametrize("text", ["hi", "other"], ids=["in a stream", "before the head"])
def test_a_client_that_leaves_ends_a_silence(emulator_url: str, clock: str, text: str) -> None:
    live = make_session(emulator_url, STALLED, clock=clock)
    with live.connect() as connection:
        connection.send(live.request(chat(text, stream=text == "hi")))
        if text == "hi":
            connection.until(b'"one"')
    exchange = live.ended()
    assert exchange["sent"]["end"] == "client_left"
    assert exchange["sent"]["frames"] == (2 if text == "hi" else 0)


def test_a_client_that_is_gone_before_the_silence_ends_it(emulator_url: str) -> None:
    live = make_session(emulator_url, "rules: [{reply: {text: a, latency: 50ms, stream: {ttft: forever}}}]")
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.finish_sending()
        assert connection.head()[0] == 200
    assert live.ended()["sent"]["end"] == "client_left"


def test_a_client_that_leaves_a_held_clock_is_seen(emulator_url: str) -> None:
    live = make_session(emulator_url, SLOW, clock="virtual")
    live.clock(hold=True)
    with live.connect() as connection:
        connection.send(live.request(chat("slow", stream=True)))
        connection.head()
    before = live.ended()
    assert before["sent"]["end"] == "client_left"
    assert live.clock(release=True)["now"] == before["at"]
    assert said(live.ask(chat("late"))) == "late"
    for _ in range(250):  # another worker may hear of the time a moment later
        if live.clock(hold=True)["now"] != before["at"]:
            break
        time.sleep(0.02)
    assert live.clock(hold=True)["now"] == before["at"] + 10  # what it left behind moves no clock


def test_a_client_that_leaves_mid_stream_is_journalled(emulator_url: str) -> None:
    live = make_session(emulator_url, LONG)
    with Connection(emulator_url, window=32_768) as connection:
        connection.send(live.request(LONG_CHAT) + live.request())
        connection.until(b"x\n\n\r\n")
    exchange = live.ended()
    assert exchange["sent"]["end"] == "client_left"
    assert 0 < exchange["sent"]["frames"] < 80
    assert len(live.journal()) == 1  # the one behind it was never answered


def test_deleting_a_session_lets_go_of_its_silence(emulator_url: str) -> None:
    live = make_session(emulator_url, STALLED)
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.until(b'"one"')
        control(live.url, "DELETE", f"/sessions/{live.id}")
        assert b'" two"' in connection.until(b"0\r\n\r\n")


def test_another_scenario_leaves_what_is_under_way_as_it_is(emulator_url: str) -> None:
    live = make_session(emulator_url, STALLED)
    with live.connect() as connection:
        connection.send(live.request(chat("hi", stream=True)))
        connection.until(b'"content":"one')
        scenario = {"emulator": 1, "rules": [{"reply": {"text": "another"}}]}
        control(emulator_url, "PUT", f"/sessions/{live.id}/scenario", {"scenario": scenario})
        assert said(live.ask()) == "another"
        live.clock(release=True)
        assert b'"content":" two' in connection.until(b"0\r\n\r\n")


def test_a_header_that_is_no_ascii_is_read_as_latin_1(emulator_url: str) -> None:
    live = make_session(emulator_url, "rules:\n  - {when: {headers: {x-tenant: ZoÃ«}}, reply: {text: matched}}\n")
    sent = live.request(headers={"x-tenant": "NAME"}).replace(b"NAME", "Zoë".encode())
    with live.connect() as connection:
        connection.send(sent)
        assert said(connection.answer()) == "matched"
