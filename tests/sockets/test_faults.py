"""Each fault on the wire: the exact bytes after the head, and how the socket ends."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

import pytest

from emulator import Emulator
from emulator.core.faults.faults import FAULTS
from emulator.server.http import connection as delivery

from .raw import CHAT, Connection, ServedSession, make_session

Fault = dict[str, Any]
STREAM = {**CHAT, "stream": True}
EVENTS = ["one", "grüße", "three", "[DONE]"]
ONE, TWO, THREE, DONE = (f"data: {text}\n\n".encode() for text in EVENTS)
BODY = b'{"a":[1,2]}'
LAST = b"0\r\n\r\n"
GARBAGE = b"\xff\x00not a chunk\r\n"
COMMENT = b": keep-alive\n\n"


def live(url: str, content: dict[str, Any], *faults: Fault, clock: str = "virtual") -> ServedSession:
    reply = {**content, "off_contract": True, "faults": faults}
    return make_session(url, f"provider: beatra\nclock: {clock}\nrules: {json.dumps([{'reply': reply}])}")


def streaming(url: str, *faults: Fault, clock: str = "virtual") -> ServedSession:
    return live(url, {"events": EVENTS}, *faults, clock=clock)


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def pieces(data: bytes, *sizes: int) -> list[bytes]:
    found, index = [], 0
    while data:
        size = sizes[index % len(sizes)]
        found.append(data[:size])
        data, index = data[size:], index + 1
    return found


def wire(live: ServedSession, body: Any = STREAM) -> tuple[bytes, bytes, str]:
    """Return the head, the bytes after it, and how it ended: kept (the connection answers again), closed or reset."""
    with live.connect() as connection:
        connection.send(live.request(body))
        head = connection.until(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
        while not (connection.buffer.endswith(LAST) if length is None else len(connection.buffer) >= length):
            try:
                if not connection.more():
                    return head, connection.buffer, "closed"
            except ConnectionResetError:
                return head, connection.buffer, "reset"
        if GARBAGE in connection.buffer:
            return head, connection.rest(), "closed"
        data, connection.buffer = connection.buffer, b""
        connection.send(live.request(None, method="GET", path="/beatra/v1/nothing"))
        assert connection.head()[0] == 404
        return head, data, "kept"


def test_each_fault_is_here() -> None:
    shown = {kind for fault, *_ in (*STREAMED, *WHOLE) for kind in fault}
    assert shown | {"error_event", "comment"} == set(FAULTS)


STREAMED: list[tuple[Fault, bytes, str]] = [
    ({"cut": {"after_chunks": 2, "how": "clean"}}, chunks(ONE, TWO) + LAST, "kept"),
    ({"cut": {"after_chunks": 2, "how": "fin"}}, chunks(ONE, TWO), "closed"),
    ({"cut": {"after_chunks": 2, "how": "reset"}}, chunks(ONE, TWO), "reset"),
    ({"cut": {"after_chunks": 2, "how": "garbage"}}, chunks(ONE, TWO) + GARBAGE, "closed"),
    ({"cut": {"after_chunks": 0, "how": "reset"}}, b"", "reset"),
    ({"cut": {"after_bytes": 20, "how": "reset"}}, chunks(ONE, TWO[:9]), "reset"),
    ({"cut": {"after_bytes": 20, "how": "clean"}}, chunks(ONE, TWO[:9]) + LAST, "kept"),
    ({"cut": {"after_bytes": 20, "how": "garbage"}}, chunks(ONE, TWO[:9]) + GARBAGE, "closed"),
    ({"cut": {"before": "done"}}, chunks(ONE, TWO, THREE), "closed"),
    ({"cut": {"before": "done", "how": "reset"}}, chunks(ONE, TWO, THREE), "reset"),
    ({"cut": {"before": "done", "how": "clean"}}, chunks(ONE, TWO, THREE) + LAST, "kept"),
    ({"drop_done": True}, chunks(ONE, TWO, THREE) + LAST, "kept"),
    ({"half_event": {"chunk": 2}}, chunks(ONE, TWO[:7]) + LAST, "kept"),
    ({"half_event": {"chunk": 1}}, chunks(ONE[:5]) + LAST, "kept"),
    ({"empty": True}, LAST, "kept"),
    ({"corrupt": {"chunk": 2}}, chunks(ONE, TWO[:7] + b"\xff" + TWO[8:], THREE, DONE) + LAST, "kept"),
    ({"duplicate": {"chunk": 2}}, chunks(ONE, TWO, TWO, THREE, DONE) + LAST, "kept"),
    ({"reorder": {"chunks": [3, 1]}}, chunks(THREE, TWO, ONE, DONE) + LAST, "kept"),
    ({"merge": {"chunks": 3}}, chunks(ONE + TWO + THREE, DONE) + LAST, "kept"),
    ({"slice": {"bytes": 9}}, chunks(*pieces(ONE + TWO + THREE + DONE, 9)) + LAST,
     "kept"),
    ({"stall": {"after_chunks": 1, "for": "60s"}}, chunks(ONE, TWO, THREE, DONE) + LAST, "kept"),
    ({"slow_headers": {"for": "60s"}}, chunks(ONE, TWO, THREE, DONE) + LAST, "kept"),
    ({"bandwidth": {"bytes_per_second": 100}},
     chunks(*pieces(ONE, 5), *pieces(TWO, 5), *pieces(THREE, 5), *pieces(DONE, 5)) + LAST, "kept"),
    ({"wrong_content_type": True}, chunks(ONE, TWO, THREE, DONE) + LAST, "kept"),
    ({"invalid_json": True}, chunks(ONE, TWO, THREE, DONE) + LAST, "kept"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "sent", "end"), STREAMED, ids=[json.dumps(item[0]) for item in STREAMED])
def test_a_stream(fault: Fault, sent: bytes, end: str, emulator_url: str) -> None:
    made = streaming(emulator_url, fault)
    head, data, ended = wire(made)
    assert (data, ended) == (sent, end)
    whole = fault.get("cut", {}).get("how") != "clean" and not {"drop_done", "half_event", "empty"} & set(fault)
    told = {"closed": "cut", "reset": "reset", "kept": "complete" if whole else "cut"}[end]
    assert made.ended()["sent"]["end"] == told
    kind = b"text/html; charset=utf-8" if "wrong_content_type" in fault else b"text/event-stream"
    assert b"content-type: " + kind + b"\r\n" in head


def test_a_slice_goes_through_the_inside_of_a_character(emulator_url: str) -> None:
    inside = len(ONE) + TWO.index("ü".encode()) + 1
    _, data, _ = wire(streaming(emulator_url, {"slice": {"bytes": [inside, 1, 1000]}}))
    body = ONE + TWO + THREE + DONE
    assert data == chunks(body[:inside], body[inside : inside + 1], body[inside + 1 :]) + LAST
    assert body[inside - 1 : inside + 1] == "ü".encode()


def test_slow_headers_trickle(emulator_url: str) -> None:
    made = streaming(emulator_url, {"slow_headers": {"for": "60s"}})
    made.clock(hold=True)
    with made.connect() as connection:
        connection.send(made.request(STREAM))
        connection.more()
        begun = connection.buffer
        made.clock(advance="50s")  # pieces of five bytes: the last comes after 58 s
        connection.more()
        assert begun == connection.buffer[: len(begun)]
        assert b"HTTP/1.1 200 OK".startswith(begun)
        assert b"\r\n\r\n" not in connection.buffer
        made.clock(release=True)
        assert connection.answer().status == 200  # to its end: a client that leaves before does not get all frames
    assert made.ended()["timeline"]["frames"][0]["sent_at"] == 60


def test_an_error_event_has_the_envelope_and_is_the_last(emulator_url: str) -> None:
    fault = {"error_event": {"error": "model_unavailable", "after_chunks": 2}}
    _, data, end = wire(streaming(emulator_url, fault))
    assert data.startswith(chunks(ONE, TWO))
    event = data.removeprefix(chunks(ONE, TWO)).partition(b"\r\n")[2].removesuffix(b"\r\n" + LAST)
    body = json.loads(event.removeprefix(b"data: ").removesuffix(b"\n\n"))
    assert (body["error"]["code"], set(body["error"]), end) == (
        "model_unavailable",
        {"code", "message", "details", "request_id"},
        "kept",
    )


def test_comments_come_while_it_waits(emulator_url: str) -> None:
    made = streaming(emulator_url, {"stall": {"after_chunks": 1, "for": "35s"}}, {"comment": {"every": "10s"}})
    _, data, end = wire(made)
    assert (data, end) == (chunks(ONE, COMMENT, COMMENT, COMMENT, TWO, THREE, DONE) + LAST, "kept")
    frames = made.ended()["timeline"]["frames"]
    assert [(frame["at"], frame["sent_at"]) for frame in frames[:5]] == [
        (0, 0), (10, 10), (20, 20), (30, 30), (35, 35),
    ]  # fmt: skip


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_comments_come_in_a_silence_without_end(clock: str, emulator_url: str) -> None:
    faults = {"stall": {"after_chunks": 1, "for": "forever"}}, {"comment": {"every": "10ms"}}
    made = streaming(emulator_url, *faults, clock=clock)
    line = chunks(COMMENT)
    with made.connect() as connection:
        connection.send(made.request(STREAM))
        connection.until(b"\r\n\r\n")
        connection.until(chunks(ONE))
        connection.until(3 * line)
        made.clock(release=True)
        rest = connection.until(LAST)
    lines = 3
    while rest.startswith(line):
        rest, lines = rest.removeprefix(line), lines + 1
    assert rest == chunks(TWO, THREE, DONE) + LAST
    ended = made.ended()
    assert (ended["sent"]["end"], ended["timeline"]["faults"]) == ("complete", ["stall", "comment"])
    assert ended["sent"]["bytes"] == len(ONE + TWO + THREE + DONE) + lines * len(COMMENT)


def test_a_client_that_leaves_a_silence_with_comments_is_seen(emulator_url: str) -> None:
    made = streaming(emulator_url, {"stall": {"after_chunks": 1, "for": "forever"}}, {"comment": {"every": "10ms"}})
    with made.connect() as connection:
        connection.send(made.request(STREAM))
        connection.until(b": keep-alive")
    assert made.ended()["sent"]["end"] == "client_left"


WHOLE: list[tuple[Fault, bytes, str]] = [
    ({"cut": {"after_bytes": 7, "how": "clean"}}, BODY[:7], "kept"),
    ({"cut": {"after_bytes": 7, "how": "fin"}}, BODY[:7], "closed"),
    ({"cut": {"after_bytes": 7, "how": "reset"}}, BODY[:7], "reset"),
    ({"cut": {"after_bytes": 1, "how": "garbage"}}, BODY[:1] + GARBAGE, "closed"),
    ({"cut": {"after_bytes": 0, "how": "reset"}}, b"", "reset"),
    ({"invalid_json": True}, BODY[:-1], "kept"),
    ({"empty": True}, b"", "kept"),
    ({"slice": {"bytes": 3}}, BODY, "kept"),
    ({"bandwidth": {"bytes_per_second": 5}}, BODY, "kept"),
    ({"slow_headers": {"for": "60s"}}, BODY, "kept"),
    ({"wrong_content_type": True}, BODY, "kept"),
    ({"corrupt": {"chunk": 1}}, BODY, "kept"),
    ({"drop_done": True}, BODY, "kept"),
    ({"error_event": {"error": "server_error", "after_chunks": 0}}, BODY, "kept"),
    ({"comment": {"every": 1}}, BODY, "kept"),
]


@pytest.mark.parametrize(("fault", "sent", "end"), WHOLE, ids=[json.dumps(item[0]) for item in WHOLE])
def test_a_whole_answer(fault: Fault, sent: bytes, end: str, emulator_url: str) -> None:
    made = live(emulator_url, {"json": json.loads(BODY)}, fault)
    assert wire(made, CHAT)[1:] == (sent, end)


# A client that reads late

MANY = [f"number {n} of many" for n in range(8000)]
WINDOW = 4096


def resetting(url: str, clock: str = "virtual") -> ServedSession:
    return live(url, {"events": [*MANY, "[DONE]"]}, {"cut": {"after_chunks": len(MANY), "how": "reset"}}, clock=clock)


def unread(made: ServedSession, monkeypatch: pytest.MonkeyPatch, stuck_s: float = 30.0) -> Connection:
    """Ask for a stream and read nothing of it, until its end has come or long could have."""
    monkeypatch.setattr(delivery, "STUCK_S", stuck_s)
    connection = Connection(made.url, WINDOW)
    connection.send(made.request(STREAM))
    made.begun()
    for _ in range(20):
        if made.journal()[0]["sent"]["end"] != "under_way":
            break
        threading.Event().wait(0.01)
    return connection


def read_to_the_end(connection: Connection) -> tuple[bytes, str]:
    """Return the body's bytes as they were framed, and how it ended."""
    end = "closed"
    try:
        connection.rest()
    except ConnectionResetError:
        end = "reset"
    return connection.buffer.partition(b"\r\n\r\n")[2], end


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_what_was_sent_before_a_reset_arrives_however_late_it_is_read(
    clock: str, emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resetting(emulator_url, clock)
    with unread(made, monkeypatch) as connection:
        found = read_to_the_end(connection)
    events = [f"data: {text}\n\n".encode() for text in MANY]
    assert found == (chunks(*events), "reset")
    sent = made.ended()["sent"]
    assert (sent["end"], sent["frames"], sent["bytes"]) == ("reset", len(MANY), len(b"".join(events)))


def test_what_a_stuck_client_did_not_take_is_not_said_to_be_sent(
    emulator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resetting(emulator_url)
    with unread(made, monkeypatch, stuck_s=0.05) as connection:
        sent = made.ended()["sent"]
        data, end = read_to_the_end(connection)
    arrived = data.decode().split("\r\n")[1::2]  # the last one may be a part
    whole = [item for item in arrived if item.endswith("\n\n")]
    assert (end, sent["end"], 0 < len(whole) < len(MANY)) == ("reset", "reset", True)
    assert len(whole) - sent["frames"] in (0, 1)
    assert sent["bytes"] == sum(map(len, arrived))


def test_a_client_that_leaves_before_a_reset_is_seen(emulator_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = resetting(emulator_url)
    with unread(made, monkeypatch) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert made.ended()["sent"]["end"] == "client_left"


def test_a_server_that_ends_waits_for_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as emulator:
        made = resetting(emulator.url)
        connection = unread(made, monkeypatch)
    with connection, suppress(ConnectionResetError):
        assert connection.rest()
