"""A reverse proxy before an emulator that breaks what passes through, in one way at a time.

    client ──> concerns? ──> broken_request ──> emulator ──> broken_reply ──> client

A break is a mapping. `when` says which requests it concerns (control requests never): `method`, `path` (a
regular expression), `body` (fields that are equal), `absent` (fields that are not there), `headers` (regular
expressions; null: absent), `stream`, `status` (of the answer), `after` (how many such requests pass first).

What it does to a request: `ignore` (fields dropped), `request` (fields set), `request_headers`,
`request_path` (a regular expression and what replaces it), `nulls: false` (fields that are null dropped). What it
does to an answer: `status`, `json` (a new body), `text` (a new raw body), `set` and `drop` (by dotted path; in each
chunk of a stream), `headers` (null: dropped), `events` (a name of EVENTS), `form` (a name of FORMS), `pieces` (it goes
out so many bytes at a time), `cut` (half of it goes out).
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase, BytesIO
from typing import Any
from urllib.parse import urlsplit

Json = Any
Break = Mapping[str, Json]

TIMEOUT_S = 40.0
_OF_ANSWERS = {"status", "json", "text", "set", "drop", "headers", "events", "form", "pieces", "cut"}
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the proxy read it; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the client."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BrokenEndpoint:
    """The proxy: a context manager with the root URL in `url`; `break_with` tells it what to do."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.broken: Break = {}
        self._met = 0
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.netloc = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.netloc}"

    def __enter__(self) -> BrokenEndpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def break_with(self, broken: Break) -> None:
        self.broken, self._met = broken, 0

    def concerns(self, request: Request) -> bool:
        """Tell whether the break is for this request, and count it."""
        when = self.broken.get("when", {})
        if not self.broken or "/_emulator" in request.path or not matches(when, request):
            return False
        self._met += 1
        return self._met > int(when.get("after", 0))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


def fields(body: bytes) -> dict[str, Json]:
    """Return a JSON body's fields; none if it is no object."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def matches(when: Mapping[str, Json], request: Request) -> bool:
    """Tell whether a request is what `when` says; `status` and `after` are asked elsewhere."""
    body = request.fields
    return (
        when.get("method", request.method) == request.method
        and bool(re.search(when.get("path", ""), request.path))
        and all(name in body and same(body[name], value) for name, value in when.get("body", {}).items())
        and not any(name in body for name in when.get("absent", ()))
        and all(_fits(request.headers.get(name), form) for name, form in when.get("headers", {}).items())
        and when.get("stream", bool(body.get("stream"))) == bool(body.get("stream"))
    )


def same(one: Json, other: Json) -> bool:
    """Compare JSON values; true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _fits(value: str | None, form: str | None) -> bool:
    return value is None if form is None else value is not None and bool(re.search(form, value))


def broken_request(broken: Break, request: Request) -> Request:
    """Return what goes on to the emulator."""
    if "request_path" in broken:
        form, new = broken["request_path"]
        request = replace(request, path=re.sub(form, new, request.path))
    if "ignore" in broken or "request" in broken:
        kept = {name: item for name, item in request.fields.items() if name not in broken.get("ignore", ())}
        request = replace(request, body=json.dumps({**kept, **broken.get("request", {})}).encode())
    if broken.get("nulls") is False and request.fields:
        kept = {name: item for name, item in request.fields.items() if item is not None}
        request = replace(request, body=json.dumps(kept).encode())
    return replace(request, headers=_merged(request.headers, broken.get("request_headers", {})))


def broken_reply(broken: Break, reply: Reply) -> Reply:
    """Return the answer as the break leaves it."""
    body, headers = reply.body, dict(reply.headers)
    if "json" in broken:
        body, headers["content-type"] = json.dumps(broken["json"]).encode(), "application/json"
    if "text" in broken:
        body = broken["text"].encode()
    end = b"\n" if headers.get("content-type") == "application/x-ndjson" else b"\n\n"
    if ("set" in broken or "drop" in broken) and body.startswith((b"data: ", b"event: ")):
        body = b"".join(_changed_event(event, broken) for event in _events(body, end))
    elif ("set" in broken or "drop" in broken) and end == b"\n":
        body = b"".join(_changed(line, broken) + end for line in _events(body, end))
    elif "set" in broken or "drop" in broken:
        body = _changed(body, broken)
    if "events" in broken:
        body = b"".join(EVENTS[broken["events"]](_events(body, end)))
    changed = Reply(broken.get("status", reply.status), _merged(headers, broken.get("headers", {})), body)
    return FORMS[broken["form"]](changed) if "form" in broken else changed


def _merged(headers: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**headers, **changes}.items() if value is not None}


def _changed_event(event: bytes, broken: Break) -> bytes:
    names, data = event[: event.index(b"data: ")], event[event.index(b"data: ") + 6 :]
    return names + b"data: " + _changed(data, broken) + b"\n\n" if data.startswith(b"{") else event


def _changed(body: bytes, broken: Break) -> bytes:
    value = json.loads(body)
    for path, item in broken.get("set", {}).items():
        change(value, path.split("."), [item])
    for path in broken.get("drop", ()):
        change(value, path.split("."), [])
    return json.dumps(value).encode()


def change(value: Json, path: Sequence[str], new: Sequence[Json]) -> None:
    """Set what is at a path to the item of `new`, or drop it where that is empty; `*` is every item."""
    step, *rest = path
    for key in _keys(value, step):
        if rest:
            change(value[key], rest, new)
        elif new:
            value[key] = new[0]
        else:
            del value[key]
    if isinstance(value, dict) and new and not rest and step != "*":
        value[step] = new[0]


def _keys(value: Json, step: str) -> list[Any]:
    if isinstance(value, list):
        return [key for key in range(len(value)) if step in ("*", str(key))]
    return [key for key in value if step in ("*", key)] if isinstance(value, dict) else []


_DONE = b"data: [DONE]\n\n"


def _events(body: bytes, end: bytes) -> list[bytes]:
    return [item + end for item in body.split(end) if item]


def _one_chunk(events: list[bytes]) -> list[bytes]:
    """Put all content into the second chunk."""
    chunks = [json.loads(item[6:]) for item in events[:-1]]
    texts = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    chunks[1]["choices"][0]["delta"]["content"] = "".join(texts)
    kept = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in (chunks[0], chunks[1], chunks[-1])]
    return [*kept, events[-1]]


#: A stream here is the role, at least three chunks of content, the one with finish_reason, [DONE].
EVENTS: Mapping[str, Callable[[list[bytes]], list[bytes]]] = {
    "no_done": lambda events: events[:-1],
    "two_done": lambda events: [*events, _DONE],
    "done_first": lambda events: [_DONE, *events[:-1]],
    "no_role": lambda events: events[1:],
    "role_late": lambda events: [events[1], events[0], *events[2:]],
    "no_finish": lambda events: [*events[:-2], _DONE],
    "finish_early": lambda events: [*events[:-3], events[-2], events[-3], _DONE],
    "lost_chunk": lambda events: [*events[:2], *events[3:]],
    "swapped": lambda events: [events[0], events[2], events[1], *events[3:]],
    "one_chunk": _one_chunk,
    "no_json": lambda events: [events[0], b"data: Hello\n\n", *events[1:]],
    "no_names": lambda events: [event[event.index(b"data: ") :] for event in events],
    "no_prefix": lambda events: [events[0], events[1].removeprefix(b"data: "), *events[2:]],
}


def _in_stream(change: Callable[[bytes], bytes]) -> Callable[[Reply], Reply]:
    """Change the bytes of a stream, and of nothing else."""

    def changed(reply: Reply) -> Reply:
        streamed = reply.headers.get("content-type", "").startswith("text/event-stream")
        return replace(reply, body=change(reply.body)) if streamed else reply

    return changed


def _with_charset(reply: Reply) -> Reply:
    return replace(reply, headers={**reply.headers, "content-type": f"{reply.headers['content-type']}; charset=utf-8"})


def _zipped(reply: Reply) -> Reply:
    return replace(reply, body=gzip.compress(reply.body), headers={**reply.headers, "content-encoding": "gzip"})


#: Forms of the same answer, none of which a client may mind.
FORMS: Mapping[str, Callable[[Reply], Reply]] = {
    "no_space": _in_stream(lambda body: body.replace(b"data: ", b"data:")),
    "crlf": _in_stream(lambda body: body.replace(b"\n", b"\r\n")),
    "cr": _in_stream(lambda body: body.replace(b"\n", b"\r")),
    "comments": _in_stream(lambda body: b": hello\n\n" + body.replace(b"\n\n", b"\n\n: ping\n\n:\n")),
    "named": _in_stream(lambda body: body.replace(b"data: ", b"event: message\nid: 7\nretry: 3000\ndata: ")),
    "bom": _in_stream(lambda body: b"\xef\xbb\xbf" + body),
    "charset": _with_charset,
    "gzip": _zipped,
}


def _handler(proxy: BrokenEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_S
        wbufsize = -1  # head and body go out together
        upstream: http.client.HTTPConnection | None = None

        def answer(self) -> None:
            request = self.read()
            concerned = proxy.concerns(request)
            with self.forward(broken_request(proxy.broken, request) if concerned else request) as response:
                status = proxy.broken.get("when", {}).get("status", response.status)
                breaks_answer = concerned and status == response.status and not _OF_ANSWERS.isdisjoint(proxy.broken)
                self.pass_on(response, breaks_answer)

        def read(self) -> Request:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            return Request(self.command, self.path, headers, body, fields(body) if proxy.broken else {})

        def forward(self, request: Request) -> http.client.HTTPResponse:
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection(proxy.upstream, timeout=TIMEOUT_S)
            headers = {name: value for name, value in request.headers.items() if name not in _HOP}
            self.upstream.request(request.method, request.path, request.body or None, headers)
            return self.upstream.getresponse()

        def pass_on(self, response: http.client.HTTPResponse, broken: bool) -> None:
            headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _HOP}
            if broken:
                reply = broken_reply(proxy.broken, Reply(response.status, headers, response.read()))
                if "pieces" in proxy.broken:
                    self.stream(reply.status, reply.headers, BytesIO(reply.body), proxy.broken["pieces"])
                else:
                    self.write(reply, len(reply.body) // 2 if proxy.broken.get("cut") else len(reply.body))
            elif headers.get("content-type", "").startswith("text/event-stream"):
                self.stream(response.status, headers, response)
            else:  # an address of the emulator's becomes one of the proxy's
                body = response.read().replace(proxy.upstream.encode(), proxy.netloc.encode())
                self.write(Reply(response.status, headers, body), len(body))

        def write(self, reply: Reply, size: int) -> None:
            self.head(reply.status, {**reply.headers, "content-length": str(len(reply.body))})
            self.wfile.write(reply.body[:size])
            self.close_connection = self.close_connection or size < len(reply.body)

        def stream(self, status: int, headers: Mapping[str, str], source: BufferedIOBase, size: int = 65536) -> None:
            self.head(status, {**headers, "transfer-encoding": "chunked"})
            self.wfile.flush()
            while piece := source.read1(size):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def head(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def finish(self) -> None:
            if self.upstream is not None:
                self.upstream.close()
            super().finish()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    return Handler
