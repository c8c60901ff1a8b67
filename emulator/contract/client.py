"""Sends one request and keeps what came back, within bounds of time and size.

    Client.begin ──> the head is in ──> Answer

An Answer always comes: what breaks on the way shows in `ended`, and a status of 0 says that no head came.
"""

from __future__ import annotations

import functools
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from emulator.contract.bodies import Event, parse_events, parse_json, parse_lines
from emulator.contract.budget import RequestBudget
from emulator.contract.connections import Deadline, Stream, open_pool
from emulator.core.answer.embeddings import told_usage
from emulator.core.errors import Json
from emulator.core.wires.completion import neutral_usage
from emulator.core.wires.sse import TYPES
from emulator.core.wires.wire import Wire

try:
    import httpcore2
    import hypothesis as hypothesis  # what else the extra brings: one message names it
except ImportError as missing:
    told = f"{missing}. Contract tests need more packages: pip install 'llm-emulator[contract]'"
    raise ImportError(told, name=missing.name) from None

#: `overrun`: it is whole, and more came behind it.
End = Literal["complete", "overrun", "cut", "timeout", "too_large", "unreachable"]

#: What is sent where nothing else is asked for; encodings are those that zlib reads.
_HEADERS = {"accept": "*/*", "user-agent": "llm-emulator-contract"}
_ENCODINGS = "gzip, deflate"

#: How much is shown of what came behind an answer: bytes.
_SHOWN = 40

_EMPTY_LINE = re.compile(rb"\n\r?\n|\r\r")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long an answer may be silent, and take in all; how large it may be, and how many events a stream may have."""

    idle_s: float = 10.0
    whole_s: float = 60.0
    max_bytes: int = 20_000_000
    max_events: int = 50_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it was sent; header names are lower case."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got. Header names are lower case, in the order they came; `why` it broke, where it did."""

    request: Sent
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ended: End
    why: str = ""

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Json:
        """The body as JSON; None if it is none."""
        return parse_json(self.body)

    @property
    def events(self) -> tuple[Event, ...] | None:
        """The events of a stream; None for any other answer."""
        if self.media_type == TYPES["ndjson"]:
            return parse_lines(self.body)
        return parse_events(self.body) if self.media_type == TYPES["sse"] else None


class Client:
    """A small HTTP client that never raises for what the other side does; not for several threads."""

    def __init__(
        self,
        *,
        proxies: bool = True,
        bounds: Bounds | None = None,
        budget: RequestBudget | None = None,
        notice: Callable[[Answer], Exception | None] = lambda answer: None,
    ) -> None:
        """`proxies` tells whether the environment's proxies hold; for a loopback address they must not.

        `notice` looks at each answer; `noticed` is the first thing that it found since that was set to None.
        """
        self.noticed: Exception | None = None
        self._notice = notice
        self.budget = budget or RequestBudget()
        self.bounds = bounds or Bounds()
        self._proxies = proxies
        self._deadline = Deadline()
        self._pools: dict[str, httpcore2.ConnectionPool] = {}

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and read the whole answer. Raises: Spent."""
        with self.begin(method, url, headers, body) as finish:
            answer = finish()
        self.noticed = self.noticed or self._notice(answer)
        return answer

    @contextmanager
    def begin(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Iterator[Callable[[], Answer]]:
        """Send a request and wait for the head of its answer; yield what reads the rest. Raises: Spent."""
        self.budget.begin(url, body)
        self._deadline.at = time.monotonic() + self.bounds.whole_s
        sent = Sent(method, url, _sent_headers(method, url, headers, body), body)
        try:
            response = self._head(sent)
        except _FAILURES as error:
            broken = Answer(sent, 0, (), b"", _end(error), str(error))
            yield lambda: self._counted(broken)
            return
        try:
            yield functools.partial(self._finish, sent, response, self._deadline.at)
        finally:
            with suppress(*_FAILURES):  # what is left unread of a broken connection is nobody's
                response.close()

    def _head(self, sent: Sent) -> httpcore2.Response:
        """Wait for the head. Raises: one of _FAILURES."""
        waits = dict.fromkeys(("connect", "read", "write", "pool"), self.bounds.idle_s)
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in sent.headers]
        more = {"timeout": waits}
        request = httpcore2.Request(sent.method, sent.url, headers=headers, content=sent.body, extensions=more)
        host = urlsplit(sent.url).netloc
        if host not in self._pools:
            self._pools[host] = open_pool(sent.url, self._deadline, self._proxies)
        return self._pools[host].handle_request(request)

    def _finish(self, sent: Sent, response: httpcore2.Response, deadline: float) -> Answer:
        """Read the body, up to the bounds."""
        headers = tuple((key.decode("latin-1").lower(), text.decode("latin-1")) for key, text in response.headers)
        stream = response.extensions["network_stream"]
        if isinstance(stream, Stream):
            stream.declared = _declared(headers)
        body, ended = self._body(response, deadline)
        answer = Answer(sent, response.status, headers, body, ended)
        if isinstance(stream, Stream) and ended == "complete" and stream.held:
            answer = replace(answer, ended="overrun", why=f"behind it came {stream.held[:_SHOWN]!r}")
        if answer.header("content-encoding") in ("gzip", "deflate", "x-gzip"):
            answer = _decoded(answer, self.bounds.max_bytes)
        return self._counted(answer)

    def _counted(self, answer: Answer) -> Answer:
        tokens = total_tokens(answer, self.budget.wire) if self.budget.max_tokens else 0
        self.budget.end(answer.ended in ("complete", "overrun", "cut"), tokens)
        return answer

    def _body(self, response: httpcore2.Response, deadline: float) -> tuple[bytes, End]:
        body, events = bytearray(), 0
        try:
            for piece in response.iter_stream():
                body += piece
                events += len(_EMPTY_LINE.findall(piece))
                if len(body) > self.bounds.max_bytes or events > self.bounds.max_events:
                    return bytes(body[: self.bounds.max_bytes]), "too_large"
                if time.monotonic() > deadline:
                    return bytes(body), "timeout"
        except _FAILURES as error:
            return bytes(body), _end(error)
        return bytes(body), "complete"


_FAILURES = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)
_NOBODY = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError, httpcore2.UnsupportedProtocol)


def _end(error: Exception) -> End:
    if isinstance(error, _NOBODY):
        return "unreachable"
    return "timeout" if isinstance(error, httpcore2.TimeoutException) else "cut"


def _sent_headers(method: str, url: str, more: Mapping[str, str], body: bytes) -> tuple[tuple[str, str], ...]:
    length = {"content-length": str(len(body))} if body or method not in ("GET", "HEAD") else {}
    headers = {"host": urlsplit(url).netloc.rpartition("@")[2], **_HEADERS, **length}
    headers |= {name.lower(): value for name, value in more.items()}
    headers["accept-encoding"] = _ENCODINGS if "accept-encoding" in headers else "identity"
    return tuple(headers.items())


def _declared(headers: tuple[tuple[str, str], ...]) -> int | None:
    """Return how many bytes a head declares."""
    given = dict(headers)
    length = given.get("content-length", "")
    return int(length) if length.isdecimal() and "transfer-encoding" not in given else None


def _decoded(answer: Answer, most: int) -> Answer:
    """Unpack a body, up to a size: a small one may hold gigabytes."""
    unpack = zlib.decompressobj(wbits=47)
    try:
        body = unpack.decompress(answer.body, most + 1)
    except zlib.error:
        return replace(answer, ended="cut")
    if len(body) > most:
        return replace(answer, body=body[:most], ended="too_large")
    return replace(answer, body=body, ended=answer.ended if unpack.eof else "cut")


def total_tokens(answer: Answer, wire: Wire | None) -> int:
    """Return the tokens that an answer's usage tells; 0 where it tells none."""
    if answer.events is None:
        usage = (wire.read(answer.json).usage if wire else None) or neutral_usage(told_usage([answer.json]))
    else:
        usage = wire.read_events([event.json for event in answer.events]).usage if wire else None
    return max(0, (usage or {}).get("total", 0))
