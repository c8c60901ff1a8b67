"""A plain socket, an HTTP reader that keeps every byte, and the control API, for tests of the wire itself."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}


@dataclass(frozen=True)
class Answer:
    """One answer: `raw` is the body as it was framed, `ended` tells whether its framing came to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    raw: bytes
    ended: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_code(self) -> str:
        return str(self.json["error"]["code"])


class Connection:
    """A connection that reads answers one by one; what was read too far is kept for the next."""

    def __init__(self, url: str, window: int | None = None) -> None:
        """Connect; `window` bounds how many bytes may wait to be read here."""
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.connect((parts.hostname, parts.port))
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def more(self) -> bool:
        """Read what is there; False at the end of the connection."""
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Read up to and with a mark."""
        while mark not in self.buffer:
            assert self.more(), f"closed before {mark!r}, after {self.buffer!r}"
        found, _, rest = self.buffer.partition(mark)
        self.buffer = rest
        return found + mark

    def rest(self) -> bytes:
        """Read all up to the end of the connection."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def at_end(self) -> bool:
        """Tell whether the server sends nothing more and closes."""
        return self.rest() == b""

    def head(self) -> tuple[int, dict[str, str]]:
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.partition(":") for line in lines[1:] if line]
        return int(status), {name.lower(): value.strip() for name, _, value in pairs}

    def answer(self, bodiless: bool = False) -> Answer:
        """Read one answer, as its head frames it."""
        status, headers = self.head()
        if bodiless or status == 204:
            return Answer(status, headers, b"", b"", True)
        if headers.get("transfer-encoding") == "chunked":
            return self._chunked(status, headers)
        if "content-length" in headers:
            return self._counted(status, headers, int(headers["content-length"]))
        body = self.rest()
        return Answer(status, headers, body, body, True)

    def _counted(self, status: int, headers: dict[str, str], length: int) -> Answer:
        while len(self.buffer) < length and self.more():
            pass
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body, body, len(body) == length)

    def _chunked(self, status: int, headers: dict[str, str]) -> Answer:
        chunks, raw = [], bytearray()
        while True:
            while b"\r\n" not in self.buffer:
                if not self.more():
                    return Answer(status, headers, b"".join(chunks), bytes(raw + self.buffer), False)
            size = int(self.buffer.partition(b"\r\n")[0], 16)
            line = self.until(b"\r\n")
            while len(self.buffer) < size + 2 and self.more():
                pass
            chunk, self.buffer = self.buffer[: size + 2], self.buffer[size + 2 :]
            assert chunk[size:] in (b"\r\n", b"\r", b"")
            raw += line + chunk
            chunks.append(chunk[:size])
            if not size or len(chunk) < size + 2:
                return Answer(status, headers, b"".join(chunks), bytes(raw), len(chunk) == size + 2)


def request(
    url: str,
    body: Any = CHAT,
    *,
    path: str = "/beatra/v1/chat/completions",
    method: str = "POST",
    key: str = "sk-test",
    version: str = "1.1",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Write a request; a body of None sends neither body nor length, bytes are sent as they are."""
    given = {"Host": urlsplit(url).netloc, "Authorization": f"Bearer {key}", **(headers or {})}
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if body is not None and "Transfer-Encoding" not in given:
        given = {"Content-Type": "application/json", "Content-Length": str(len(data)), **given}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def chat(text: str = "hi", **fields: Any) -> dict[str, Any]:
    """Return a chat body."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}


def events(answer: Answer) -> list[str]:
    """Return the data of a stream's events."""
    assert answer.headers["content-type"] == "text/event-stream"
    parts = answer.body.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def contents(answer: Answer) -> list[str]:
    """Return the pieces of text that a stream's chunks hold."""
    deltas = [json.loads(item)["choices"][0]["delta"] for item in events(answer) if item != "[DONE]"]
    return [delta["content"] for delta in deltas if delta.get("content")]


def control(url: str, method: str, path: str, body: Any = None) -> Any:
    """Ask the control API over a connection of its own."""
    with Connection(url) as connection:
        connection.send(request(url, {} if body is None else body, method=method, path=f"/_emulator{path}"))
        answer = connection.answer()
    assert answer.status < 300, answer.body
    return answer.json if answer.body else None


@dataclass(frozen=True)
class ServedSession:
    """A session of one test."""

    url: str
    id: str
    key: str

    def request(self, body: Any = CHAT, **options: Any) -> bytes:
        return request(self.url, body, key=self.key, **options)

    def connect(self) -> Connection:
        return Connection(self.url)

    def ask(self, body: Any = CHAT, **options: Any) -> Answer:
        """Send one request on a connection of its own."""
        with self.connect() as connection:
            connection.send(self.request(body, **options))
            return connection.answer()

    def clock(self, **change: Any) -> Any:
        return control(self.url, "PATCH", f"/sessions/{self.id}/clock", change)

    def journal(self) -> list[dict[str, Any]]:
        return list(control(self.url, "GET", f"/sessions/{self.id}/journal")["exchanges"])

    def begun(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the journal once it holds so many exchanges."""
        for _ in range(200):
            if len(journal := self.journal()) >= count:
                return journal
            threading.Event().wait(0.01)
        raise AssertionError(f"{count} exchanges did not begin")

    def ended(self, n: int = 1) -> dict[str, Any]:
        """Return exchange n once nothing more is sent of it."""
        for _ in range(200):
            found = [item for item in self.journal() if item["n"] == n and item["sent"]["end"] != "under_way"]
            if found:
                return found[0]
            threading.Event().wait(0.01)
        raise AssertionError(f"exchange {n} did not end: {[item['sent'] for item in self.journal()]}")


def make_session(url: str, scenario: str | None = None, **options: Any) -> ServedSession:
    """Make a session; a scenario is YAML text without its first line."""
    text = None if scenario is None else f"emulator: 1\n{scenario}"
    session = control(url, "POST", "/sessions", {"scenario": text, "plan": "unlimited", **options})
    return ServedSession(url, session["id"], session["api_key"])
