"""The way to an upstream: a request sent on as it came, its answer read as it comes; every wait and size is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import quote, urlsplit

import anyio
import httpcore2

from emulator.core.frozen import frozen
from emulator.core.values import End, Headers, Request
from emulator.network.hosts import is_loopback, proxy_for

#: Headers that concern one connection only, and those that are written anew. `expect` was answered already.
_OF_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "content-length", "expect", "date")
)  # fmt: skip
_PRINTABLE = "".join(map(chr, range(33, 127)))


@frozen
class Bounds:
    """How long an upstream may be silent, and take in all (seconds), and how large its answer may be (bytes)."""

    idle_s: float = 60.0
    whole_s: float = 600.0
    max_bytes: int = 100_000_000


class Unanswered(Exception):
    """No answer came; `name` is the error that the client gets."""

    def __init__(self, name: Literal["bad_gateway", "timeout"], message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class Broken(Exception):
    """An answer broke off, `how` as a fault says it."""

    def __init__(self, how: End, message: str) -> None:
        super().__init__(message)
        self.how = how
        self.message = message


def check_url(url: str) -> str:
    """Return a base URL without a slash at its end.

    Raises: ValueError, with what would be right.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isascii()
    except ValueError:
        good = False
    if not good or any(char.isspace() for char in url):
        raise ValueError(f"'{url}' is no base URL; write it like https://api.example.com/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a base URL has no name, password, query or fragment; the client sends its own key")
    return url.rstrip("/")


class Upstream:
    """One provider's real base URL and the connections to it; used on one event loop."""

    def __init__(self, base_url: str, bounds: Bounds | None = None) -> None:
        self.base_url = check_url(base_url)
        self.bounds = bounds or Bounds()
        self._parts = urlsplit(self.base_url)
        self._pool: httpcore2.AsyncConnectionPool | None = None

    def _connections(self) -> httpcore2.AsyncConnectionPool:
        if self._pool is None:
            proxy = None if is_loopback(self._parts.hostname or "") else proxy_for(self.base_url)
            self._pool = httpcore2.AsyncConnectionPool(
                proxy=httpcore2.Proxy(*proxy) if proxy else None, max_connections=None,
                max_keepalive_connections=0,  # what comes behind an answer would be taken for the next one's
            )  # fmt: skip
        return self._pool

    async def open(self) -> None:
        """Load what the first request would otherwise wait for, as if the upstream were slow."""
        self._connections()
        await anyio.sleep(0)

    async def close(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool:
            await pool.aclose()

    @asynccontextmanager
    async def ask(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request on and wait for the head of its answer.

        Raises: Unanswered.
        """
        ends = asyncio.get_running_loop().time() + self.bounds.whole_s
        response = await self._head(request, ends)
        try:
            if not 200 <= response.status < 600:
                raise Unanswered("bad_gateway", f"The upstream {self.base_url} sent the status {response.status}.")
            yield Answer(response, self.bounds, ends)
        finally:
            await response.aclose()

    async def _head(self, request: Request, ends: float) -> httpcore2.Response:
        waits = dict.fromkeys(("connect", "read", "write", "pool"), self.bounds.idle_s)
        try:
            async with asyncio.timeout_at(ends):
                return await self._connections().handle_async_request(
                    httpcore2.Request(
                        request.method, self._url(request), headers=list(self._sent_headers(request)),
                        content=request.body, extensions={"timeout": waits},
                    )
                )  # fmt: skip
        except (httpcore2.TimeoutException, TimeoutError):
            message = f"The upstream {self.base_url} gave no answer within {self.bounds.idle_s:g} s."
            raise Unanswered("timeout", message) from None
        except (httpcore2.ConnectError, httpcore2.ProxyError, httpcore2.UnsupportedProtocol) as error:
            message = f"The upstream {self.base_url} cannot be reached: {_reason(error)}."
            raise Unanswered("bad_gateway", message) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            message = f"The upstream {self.base_url} broke off without an answer: {_reason(error)}."
            raise Unanswered("bad_gateway", message) from None

    def _url(self, request: Request) -> httpcore2.URL:
        parts = self._parts
        path = quote(request.path, safe=_PRINTABLE.replace("?", "").replace("#", ""))  # its % are escapes already
        query = f"?{quote(request.query, safe=_PRINTABLE, encoding='latin-1')}" if request.query else ""
        target = f"{parts.path}{path}{query}".encode()
        return httpcore2.URL(
            scheme=parts.scheme.encode(), host=(parts.hostname or "").encode(), port=parts.port, target=target
        )

    def _sent_headers(self, request: Request) -> Iterator[tuple[bytes, bytes]]:
        """Yield the client's own headers; what is packed could not be read on the way, so nothing packed is asked."""
        yield b"host", self._parts.netloc.encode()
        own = request.headers
        for name, value in passed(tuple(own.items())):
            if name not in ("host", "accept-encoding"):
                yield name.encode("latin-1"), value.encode("latin-1")
        yield b"accept-encoding", b"identity"
        if request.body or request.method not in ("GET", "HEAD"):
            yield b"content-length", b"%d" % len(request.body)


class Answer:
    """An answer whose head is in; `pieces` reads its body."""

    def __init__(self, response: httpcore2.Response, bounds: Bounds, ends: float) -> None:
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers)
        self.status = response.status
        self.headers = tuple(item for item in passed(headers) if not item[0].startswith("x-emulator-"))
        length = dict(headers).get("content-length", "")
        self.length = int(length) if length.isdecimal() and "transfer-encoding" not in dict(headers) else None
        self._response = response
        self._bounds = bounds
        self._ends = ends

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises: Broken.
        """
        size = 0
        stream = self._response.aiter_stream()
        while (piece := await self._piece(stream)) is not None:
            size += len(piece)
            if size > self._bounds.max_bytes:
                raise Broken("fin", f"the upstream's answer is over {self._bounds.max_bytes} bytes; it was cut there")
            yield piece

    async def _piece(self, stream: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._ends):
                return await anext(stream, None)
        except httpcore2.TimeoutException:
            raise Broken("fin", f"the upstream fell silent for {self._bounds.idle_s:g} s; it was cut there") from None
        except TimeoutError:
            raise Broken("fin", f"the upstream's answer took over {self._bounds.whole_s:g} s; it was cut") from None
        except httpcore2.NetworkError as error:
            raise Broken("reset", f"the upstream reset the connection: {_reason(error)}") from None
        except httpcore2.ProtocolError as error:
            closed = "closed" in str(error)
            raise Broken("fin" if closed else "garbage", f"the upstream broke off: {_reason(error)}") from None


def passed(headers: Headers) -> Headers:
    """Return the headers that go on to the other side: not those of one connection, nor what is written anew."""
    named = {part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")}
    return tuple(item for item in headers if item[0] not in _OF_CONNECTION | named)


def _reason(error: BaseException) -> str:
    """Say why, in the words of the operating system where there are any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.rstrip(".")
        cause = cause.__cause__ or cause.__context__
    return str(error).rstrip(".") or type(error).__name__
