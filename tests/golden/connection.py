"""A raw HTTP client on one kept connection: it keeps every byte of an answer, and how the answer ended."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

TIMEOUT_S = 20.0
#: How long an answer is silent before what waits for ever is released.
SILENCE_S = 0.02
#: How long a connection is good that nothing is sent on; the server closes it after some time.
IDLE_S = 1.0


@dataclass(slots=True)
class Answer:
    """What came: heads, bodies by their HTTP chunks (a single one where it was not chunked), and how it ended."""

    heads: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    end: str = "kept"

    @property
    def status(self) -> int:
        return int(self.heads[-1].split(" ", 2)[1]) if self.heads else 0

    @property
    def headers(self) -> dict[str, str]:
        rows = [line.partition(": ") for line in self.heads[-1].split("\r\n")[1:]] if self.heads else []
        return {name.lower(): value for name, _, value in rows}

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def data(self) -> Any:
        """The body's JSON; None for an empty one."""
        return json.loads(self.body) if self.body else None


class Ended(Exception):
    """The connection ended, by `args[0]`."""


class Connection:
    """Sends requests to a server, one after another, on one connection as long as it lasts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None
        self._left = b""
        self._used = 0.0

    def send(self, data: bytes, bodyless: bool = False, on_silence: Callable[[], None] | None = None) -> Answer:
        """Send the bytes of a request and read its answer; `on_silence` is called where nothing comes for a while."""
        self._begin(on_silence)
        assert self._socket
        self._socket.sendall(data)
        return self.read(bodyless)

    def read(self, bodyless: bool = False) -> Answer:
        """Read an answer."""
        answer = Answer()
        try:
            self._read(answer, bodyless)
            if answer.headers.get("connection") == "close":
                self._rest()
        except Ended as ended:
            answer.end = str(ended)
            answer.pieces.append(self._left)
            self.close()
        answer.pieces = [piece for piece in answer.pieces if piece]
        return answer

    def begin(self, data: bytes, wanted: bytes) -> None:
        """Send a request and wait until some bytes of its answer have come; `read` reads it all the same."""
        self._begin(None)
        assert self._socket
        self._socket.sendall(data)
        while wanted not in self._left:
            self._more()

    def leave_after(self, data: bytes, wanted: bytes) -> None:
        """Send a request and leave when some bytes of its answer have come."""
        self.begin(data, wanted)
        self.close()

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket, self._left = None, b""

    # Reading

    def _begin(self, on_silence: Callable[[], None] | None) -> None:
        if time.monotonic() - self._used > IDLE_S and not self._left:
            self.close()
        self._used = time.monotonic()
        if self._socket is None:
            self._socket = socket.create_connection(self._where, TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_silence = on_silence
        self._socket.settimeout(SILENCE_S if on_silence else TIMEOUT_S)

    def _more(self) -> None:
        assert self._socket
        for _ in range(int(TIMEOUT_S / SILENCE_S)):
            try:
                came = self._socket.recv(1 << 16)
            except TimeoutError:
                if self._on_silence is None:
                    raise
                self._on_silence()
                continue
            except ConnectionResetError:
                raise Ended("reset") from None
            if not came:
                raise Ended("closed")
            self._left += came
            return
        raise TimeoutError("the answer stays silent")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._left:
            self._more()
        found, _, self._left = self._left.partition(mark)
        return found

    def _bytes(self, count: int) -> bytes:
        while len(self._left) < count:
            self._more()
        found, self._left = self._left[:count], self._left[count:]
        return found

    def _rest(self) -> NoReturn:
        """Read until the connection ends, which is raised."""
        while True:
            self._more()

    def _read(self, answer: Answer, bodyless: bool) -> None:
        answer.heads.append(self._until(b"\r\n\r\n").decode("latin-1"))
        while answer.status < 200:
            answer.heads.append(self._until(b"\r\n\r\n").decode("latin-1"))
        if bodyless or answer.status in (204, 304):
            return
        if answer.headers.get("transfer-encoding") == "chunked":
            while piece := self._chunk():
                answer.pieces.append(piece)
        elif "content-length" in answer.headers:
            answer.pieces.append(self._bytes(int(answer.headers["content-length"])))
        else:
            self._rest()

    def _chunk(self) -> bytes:
        """Return a chunk, an empty one at the end; what is none stays where it is until the connection ends."""
        while b"\r\n" not in self._left:
            self._more()
        line, _, rest = self._left.partition(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:
            self._rest()
        self._left = rest
        piece = self._bytes(size)
        self._bytes(2)
        return piece


def request(
    method: str,
    target: str,
    body: Any = None,
    headers: Mapping[str, str | None] | None = None,
    raw: bytes | None = None,
) -> bytes:
    """Return the bytes of a request; a header that is None is left out."""
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    given: dict[str, str | None] = {"host": "localhost", "content-type": "application/json"}
    given |= {"content-length": str(len(data))} if data or method not in ("GET", "HEAD", "DELETE") else {}
    given |= dict(headers or {})
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1") + data
