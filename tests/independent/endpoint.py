"""The independent endpoint: HTTP, keys, windows and idempotency, for each API at http://127.0.0.1:PORT/NAME.

    request ──> defect ──> address, key, type, Idempotency-Key, window, operation ──> reply

A defect is a function between: it has the request and the rest of the way, and returns the reply.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from independent.accents import ACCENTS
from independent.anthropic_site import Anthropic
from independent.apis import APIS, Api
from independent.gemini_site import Gemini
from independent.hosts_site import Azure, OpenRouter
from independent.ollama_site import Ollama
from independent.openai_site import OpenAI
from independent.operations import CHAT, OTHERS, Operation
from independent.values import Json, Refused, Reply, Request
from independent.windows import Window, Windows

Serve = Callable[[Request], Reply]
Spoil = Callable[[Request, Serve], Reply]

#: Where the paths of an API begin; left out: at /v1.
BASES = {"anthropic": "", "gemini": "/v1beta", "ollama": "", "azure": "", "openrouter": "/api/v1"}
KEPT_S = 24 * 3600
TIMEOUT_S = 40.0


class Serving(Protocol):
    """An API in service."""

    def serve(self, request: Request) -> Reply: ...


@dataclass(slots=True)
class Site:
    """One API in service, and what it remembers."""

    api: Api
    windows: Windows = field(default_factory=Windows)
    answered: dict[tuple[str, str], tuple[float, Json, Reply]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def serve(self, request: Request) -> Reply:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            reply = self._understood(request)
        except Refused as refused:
            reply = Reply(refused.status, self.api.error(refused), refused.headers)
        own = {"X-Request-Id": uuid.uuid4().hex} if self.api.request_id else {}
        return replace(reply, headers={**self._rate(key), **own, **reply.headers})

    def _understood(self, request: Request) -> Reply:
        """Answer; what has another form than the code expects is no request."""
        try:
            return self._answer(request)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise Refused(400, "the request cannot be read") from None

    def _answer(self, request: Request) -> Reply:
        operation = self._operation(request)
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or key not in self.api.keys:
            raise Refused(401, "the API key is missing or invalid")
        kind = request.headers.get("content-type", "application/json").partition(";")[0]
        if self.api.json_only and kind != "application/json":
            raise Refused(self.api.json_only, "Content-Type must be application/json")
        header = request.headers.get("idempotency-key")
        if self.api.idempotent and header is not None:
            return self._once(key, header, request, operation)
        return self._counted(key, request, operation)

    def _operation(self, request: Request) -> Operation:
        known = {**CHAT, **(OTHERS if self.api.others else {})}
        if request.path not in known:
            raise Refused(404, f"there is nothing at {request.path}")
        method, operation = known[request.path]
        if request.method != method:
            raise Refused(405, f"{request.path} takes {method}", Allow=method)
        return operation

    def _once(self, key: str, header: str, request: Request, operation: Operation) -> Reply:
        try:
            name = key, str(uuid.UUID(header.strip('"')))
        except ValueError:
            raise Refused(400, "Idempotency-Key must be a UUID") from None
        at, body, reply = self.answered.get(name, (-math.inf, b"", Reply(500)))
        if time.time() - at > KEPT_S:
            reply = self._counted(key, request, operation)
            self.answered[name] = time.time(), request.body, reply
        elif body != request.body:
            raise Refused(422, "this Idempotency-Key was used with another body")
        return reply

    def _counted(self, key: str, request: Request, operation: Operation) -> Reply:
        window = self.windows[key]
        requests, tokens = self.api.keys[key]
        if window.requests >= requests or window.tokens >= tokens:
            raise Refused(429, "Rate limit exceeded")
        window.requests += 1
        reply = operation(self.api, request, self.asked)
        if isinstance(reply.body, dict):
            window.tokens += reply.body.get("usage", {}).get("total_tokens", 0)
        return reply

    def _rate(self, key: str) -> dict[str, str]:
        window = self.windows[key] if key in self.api.keys else Window()
        limit = self.api.keys.get(key, (0, 0))[0]
        figures = {"Limit": limit, "Remaining": limit - window.requests, "Reset": math.ceil(window.end)}
        return {name: str(figures[name.rpartition("-")[2]]) for name in self.api.rate}


class Endpoint:
    """The server: a context manager with its root URL in `url`; `spoil_with` gives it a defect, or none."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.spoil_with(None)

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spoil_with(self, spoil: Spoil | None) -> None:
        """Begin anew, with a defect or none."""
        self._spoil: Spoil = spoil or (lambda request, serve: serve(request))
        self._sites: dict[str, Serving] = {**{name: Site(api) for name, api in APIS.items()}, **ACCENTS}
        self._sites |= {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini(), "ollama": Ollama()}
        self._sites |= {"azure": Azure(), "openrouter": OpenRouter()}

    def answer(self, provider: str, request: Request) -> Reply:
        site = self._sites.get(provider)
        below = replace(request, path=request.path.removeprefix(BASES.get(provider, "/v1")))
        with self._lock:
            return self._spoil(below, site.serve) if site else Reply(404, {"error": "no such API"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_S
        wbufsize = -1  # head and body go out together

        def answer(self) -> None:
            url = urlsplit(self.path)
            provider, _, path = url.path.removeprefix("/").partition("/")
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            self.write(
                endpoint.answer(provider, Request(self.command, f"/{path}", dict(parse_qsl(url.query)), headers, body))
            )

        def write(self, reply: Reply) -> None:
            body = reply.wire()
            size = str(len(body))
            headers = {"Content-Type": reply.media_type, "Content-Length": size, **reply.headers}
            self.send_response_only(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or headers["Content-Length"] != size

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    return Handler
