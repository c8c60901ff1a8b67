"""A target that does all it can to keep a client busy, over raw sockets: one way at a time, from some request on.

    with HostileTarget("drip", after=2) as target: ...       the first two requests get a plain 200

Each way is a generator of the bytes that go out; what it yields is sent as long as somebody reads.
"""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

PAUSE_S = 0.02
MEGABYTE = b"x" * 1_000_000
_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
GOOD = json.dumps(
    {
        "id": "chatcmpl_1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()


def head(kind: str = "application/json", more: str = "", length: int | None = None) -> bytes:
    size = f"content-length: {length}\r\n" if length is not None else ""
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{size}{more}\r\n".encode()


def whole(body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    return head(kind, more, len(body)) + body


def silence() -> Iterator[bytes]:
    while True:
        time.sleep(PAUSE_S)
        yield b""


def silent_body() -> Iterator[bytes]:
    yield head(length=100) + b'{"a"'
    yield from silence()


def dripping_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx-drip: "
    while True:
        time.sleep(PAUSE_S)
        yield b"x"


def dripping_body() -> Iterator[bytes]:
    yield head("text/event-stream")
    while True:
        time.sleep(PAUSE_S)
        yield b":"


def endless_events() -> Iterator[bytes]:
    yield head("text/event-stream")
    while True:
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "more "}}]}\n\n' * 100


def endless_comments() -> Iterator[bytes]:
    yield head("text/event-stream")
    while True:
        yield b": still here\n\n" * 100


def endless_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for n in itertools.count():
        yield f"x-header-{n}: {'y' * 1000}\r\n".encode()


def gigabytes() -> Iterator[bytes]:
    yield head(length=5_000_000_000)
    while True:
        yield MEGABYTE


def bomb() -> Iterator[bytes]:
    """A few kilobytes that unpack to far more."""
    packed = gzip.compress(MEGABYTE * 20)
    yield whole(packed, more="content-encoding: gzip\r\n")


def reset() -> Iterator[bytes]:
    raise ConnectionResetError
    yield b""


def reset_in_body() -> Iterator[bytes]:
    yield head(length=100) + b'{"a"'
    time.sleep(PAUSE_S / 4)
    raise ConnectionResetError


def nested() -> Iterator[bytes]:
    yield whole(b'{"choices": ' + b"[" * 900 + b"]" * 900 + b"}")


def odd_json(text: str) -> Callable[[], Iterator[bytes]]:
    def say() -> Iterator[bytes]:
        yield whole(text.encode("utf-8", "surrogatepass"))

    return say


def odd_stream(*events: str) -> Callable[[], Iterator[bytes]]:
    def say() -> Iterator[bytes]:
        yield whole("".join(f"data: {event}\n\n" for event in events).encode(), "text/event-stream")

    return say


def raw(data: bytes) -> Callable[[], Iterator[bytes]]:
    def say() -> Iterator[bytes]:
        yield data

    return say


#: Ways that never come to an end by themselves, or not soon.
ENDLESS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "hangs": silence,
    "hangs in the body": silent_body,
    "head drips": dripping_head,
    "body drips": dripping_body,
    "endless events": endless_events,
    "endless comments": endless_comments,
    "gigabytes": gigabytes,
    "bomb": bomb,
}

_DELTAS = '{"choices": [{"index": 0, "delta": %s, "finish_reason": %s}]}'
_CALL = '{"choices": [{"index": 0, "message": {"tool_calls": %s, "content": %s}}], "usage": %s}'

#: Ways that end at once, in nonsense.
NONSENSE: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "resets": reset,
    "resets in the body": reset_in_body,
    "endless head": endless_head,
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "closes": raw(b""),
    "a strange status": raw(b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"),
    "an interim answer and no more": raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "another protocol": raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx"),
    "two answers": raw(whole(GOOD) * 2),
    "a redirect": raw(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"),
    "broken chunks": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"),
    "broken gzip": raw(whole(b"\x1f\x8bnothing", more="content-encoding: gzip\r\n")),
    "invalid UTF-8": raw(whole(b'{"choices": "\xff\xfe\xc3"}')),
    "invalid UTF-8 in a stream": raw(whole(b"data: \xff\xc3\n\ndata: \xf0\x28\x8c\x28\n\n", "text/event-stream")),
    "odd headers": raw(whole(GOOD, more="x-ratelimit-remaining: \xb2\r\nx-ratelimit-reset: 9999999999999999\r\n")),
    "deep": nested,
    "no object": odd_json("[1, 2]"),
    "lone surrogates": odd_json('{"choices": [{"message": {"content": "\\ud800"}}]}'),
    "not a number": odd_json('{"usage": {"prompt_tokens": NaN, "completion_tokens": 1e999}}'),
    "a huge number": odd_json(f'{{"id": {"9" * 5000}, "usage": {{"prompt_tokens": 9}}}}'),
    "wrong types": odd_json('{"choices": {"0": 1}, "usage": [], "id": {}, "model": 3, "error": "no", "data": 7}'),
    "odd calls": odd_json(_CALL % ('[1, null, {"function": 3}]', "[]", '{"prompt_tokens": true}')),
    "calls that are none": odd_json(_CALL % ('"abc"', '"Hi"', "3")),
    "arguments that are none": odd_json(
        _CALL % ('[{"id": 1, "function": {"name": "get_weather", "arguments": {}}}]', "null", "{}")
    ),
    "an empty stream": odd_stream(),
    "a stream of no JSON": odd_stream("hello", "[DONE]", "[DONE]"),
    "a stream of odd JSON": odd_stream("[]", "null", '{"choices": [null, 1, {"delta": "x"}]}', "[DONE]"),
    "odd deltas": odd_stream(
        _DELTAS % ('{"content": 3}', "1"),
        _DELTAS % ('{"tool_calls": [null, {"index": {}}, {"index": true}]}', "null"),
        "[DONE]",
    ),
    "odd indexes": odd_stream('{"choices": [{"index": "0", "delta": {}}, {"index": 1e308, "delta": {}}]}', "[DONE]"),
    "good": raw(whole(GOOD)),
}
WAYS = {**ENDLESS, **NONSENSE}


class HostileTarget:
    """The target: a context manager with its base URL in `url`."""

    def __init__(self, way: str, after: int = 0) -> None:
        self.way = WAYS[way]
        self.after = after
        self.requests = 0
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> HostileTarget:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(0.5)
            if not self._read(connection):
                return
            self.requests += 1
            if self.requests <= self.after:
                connection.sendall(whole(GOOD, more="connection: close\r\n"))
                return
            try:
                for piece in self.way():
                    if self._ended.is_set():
                        return
                    connection.sendall(piece)
            except ConnectionResetError:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _read(self, connection: socket.socket) -> bool:
        """Read one request, its body too: what is left unread would make a reset of every close."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        top, _, body = data.partition(b"\r\n\r\n")
        lines = [line.lower() for line in top.split(b"\r\n")]
        length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(1_000_000)
        return True
