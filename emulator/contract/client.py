"""Sends one request and keeps what came back, within bounds of time and size.

    Client.begin ──> Pending (the head is in) ──finish──> Answer

An Answer always comes: what breaks on the way shows in `ended`, and a status of 0 says that no head came.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import httpx2

from emulator.core.errors import Json

IDLE_S = 10.0
WHOLE_S = 60.0
MAX_BYTES = 20_000_000
MAX_EVENTS = 50_000
SHOWN_CHARACTERS = 4_000

End = Literal["complete", "cut", "timeout", "too_large", "unreachable"]

_LINE = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it was sent; header names are lower case."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: its data (None: it has no `data:` line), and whether an empty line ended it."""

    data: str | None
    whole: bool = True

    @property
    def json(self) -> Json:
        """The data as JSON; None if it is none."""
        return parse_json(self.data) if self.data else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got. Header names are lower case, in the order they came."""

    request: Sent
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ended: End

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def json(self) -> Json:
        """The body as JSON; None if it is none."""
        return parse_json(self.body)

    @property
    def events(self) -> tuple[Event, ...] | None:
        """The events of a stream; None for any other answer."""
        return parse_events(self.body) if self.media_type == "text/event-stream" else None


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer whose head is in; `finish` reads the rest."""

    sent: Sent
    response: httpx2.Response | None
    failure: End
    deadline: float

    def finish(self) -> Answer:
        """Read the body, up to the bounds."""
        if self.response is None:
            return Answer(self.sent, 0, (), b"", self.failure)
        body, ended = self._body(self.response)
        return Answer(self.sent, self.response.status_code, _headers(self.response.headers), body, ended)

    def _body(self, response: httpx2.Response) -> tuple[bytes, End]:
        body = bytearray()
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    return bytes(body[:MAX_BYTES]), "too_large"
                if time.monotonic() > self.deadline:
                    return bytes(body), "timeout"
        except httpx2.RequestError as error:
            return bytes(body), _end(error)
        return bytes(body), "complete"


class Client:
    """A small HTTP client that never raises for what the other side does."""

    def __init__(self, *, proxies: bool = True) -> None:
        """`proxies` tells whether the environment's proxies hold; for a loopback address they must not."""
        self._http = httpx2.Client(timeout=IDLE_S, trust_env=proxies)

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and read the whole answer."""
        with self.begin(method, url, headers, body) as pending:
            return pending.finish()

    @contextmanager
    def begin(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Iterator[Pending]:
        """Send a request and wait for the head of its answer."""
        request = self._http.build_request(method, url, headers=dict(headers), content=body or None)
        sent = Sent(method, url, _headers(request.headers), body)
        response, failure = self._head(request)
        try:
            yield Pending(sent, response, failure, time.monotonic() + WHOLE_S)
        finally:
            if response is not None:
                response.close()

    def _head(self, request: httpx2.Request) -> tuple[httpx2.Response | None, End]:
        try:
            return self._http.send(request, stream=True), "complete"
        except httpx2.RequestError as error:
            return None, _end(error)


def parse_json(text: str | bytes) -> Json:
    """Return the value of a JSON text; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_events(body: bytes) -> tuple[Event, ...]:
    """Split a stream into its events, at most MAX_EVENTS; comments are left out."""
    events: list[Event] = []
    fields: list[tuple[str, str]] = []
    *lines, rest = _LINE.split(body.decode("utf-8", "replace"))
    for line in lines:
        if line and not line.startswith(":"):
            fields.append(_field(line))
        elif not line and fields:
            events.append(_event(fields))
            fields = []
        if len(events) >= MAX_EVENTS:
            return tuple(events)
    if rest or fields:
        events.append(Event(_event([*fields, _field(rest)]).data, whole=False))
    return tuple(events)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")


def _event(fields: list[tuple[str, str]]) -> Event:
    data = [value for name, value in fields if name == "data"]
    return Event("\n".join(data) if data else None)


def _headers(headers: httpx2.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.multi_items())


def _end(error: httpx2.RequestError) -> End:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
        return "unreachable"
    return "timeout" if isinstance(error, httpx2.TimeoutException) else "cut"


def request_json(sent: Sent) -> dict[str, Json]:
    """Return a request as a report shows it; the key is left out."""
    headers = {name: "Bearer $API_KEY" if name == "authorization" else value for name, value in sent.headers}
    return {"method": sent.method, "url": sent.url, "headers": headers, "body": _shown(sent.body)}


def answer_json(answer: Answer) -> dict[str, Json]:
    """Return an answer as a report shows it."""
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": _shown(answer.body),
        "ended": answer.ended,
    }


def _shown(body: bytes) -> Json:
    text = body[:SHOWN_CHARACTERS].decode("utf-8", "replace")
    value = parse_json(body) if len(body) <= SHOWN_CHARACTERS else None
    return value if value is not None else text
