"""Our HTTP protocol for uvicorn (`http=` takes a class): one data path from bytes to the engine and back, no ASGI task.

    bytes -> Reader -> Message -> engine.claim -> store.take -> engine.answer -> Player -> bytes
                              \\-> control routes go to the Starlette app

Messages are answered one at a time and in order; while one is being answered the next ones wait (pipelining).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote

import orjson

from emulator.core.render import JSON_TYPE, render_body, whole
from emulator.core.wire import Claim, Exchange, Plan, Request, Sent, Timeline
from emulator.server.asgi import AsgiAnswer
from emulator.server.awaited import AwaitedAnswer
from emulator.server.clock import Clock, RealClock
from emulator.server.crash import crash
from emulator.server.player import Player
from emulator.server.reader import TOO_SLOW, Message, Reader, Refused
from emulator.server.worlds import Unaddressed, World, Worlds

log = logging.getLogger("emulator")

CONTROL = "/_emulator"
MAX_WAITING = 16  # pipelined messages, before reading stops
REQUEST_S = 60.0  # for a whole request to come in
LINGER_S = 2.0  # for the client to close its side, after we closed ours
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class EmulatorProtocol(asyncio.Protocol):
    """One connection. A subclass carries the server's worlds, so that uvicorn can make it (see `bind`)."""

    worlds: ClassVar[Worlds]
    app: ClassVar[Any]
    max_body: ClassVar[int]
    on_exchange: ClassVar[Callable[[Exchange, Sent], None]]
    on_stray: ClassVar[Callable[[str, str, int], None]]  # method, target, status of what reached no provider

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self.config = config
        self.server_state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.clock: Clock = RealClock()  # of answers that belong to no session
        self.reader = Reader(self.max_body)
        self.waiting = self.reader.messages
        self.transport: Any = None
        self.current: Player | AsgiAnswer | AwaitedAnswer | None = None
        self.answering = False  # inside `_next`
        self.idle_timer: asyncio.TimerHandle | None = None
        self.slow_timer: asyncio.TimerHandle | None = None
        self.closing = False  # no more messages are taken
        self.ended = False  # the client will send no more
        self.reading_paused = False
        self.writing_paused = False

    # The connection

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server_state.connections.add(self)
        self._close_in(self.config.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        self._stop_idle()
        self._stop_slow()
        self.closing = True
        self.waiting.clear()
        if self.current:
            self.current.leave()

    def eof_received(self) -> bool:
        """Keep a half-closed socket open as long as something is being answered on it."""
        self.closing = self.ended = True
        if self.current is None and not self.waiting:
            return False
        if self.current:
            self.current.client_finished()
        return True

    def pause_writing(self) -> None:
        self.writing_paused = True
        if self.current:
            self.current.pause()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.current:
            self.current.resume()
        else:
            self._next()

    def shutdown(self) -> None:
        """Called by uvicorn when the server stops: answer what was begun, then close."""
        self.closing = True
        if self.current is None:
            self.transport.close()

    def _close(self) -> None:
        """Close so that the answer arrives: a socket closed with unread bytes would be reset, and lose it."""
        self.closing = True
        self.waiting.clear()
        if self.ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
            self._close_in(LINGER_S)

    def _close_in(self, seconds: float) -> None:
        self._stop_idle()
        self.idle_timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_idle(self) -> None:
        if self.idle_timer:
            self.idle_timer.cancel()
            self.idle_timer = None

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self._stop_idle()
        self.reader.feed(data)
        self.closing = self.reader.over
        if self.reader.begun and self.slow_timer is None:
            self.slow_timer = self.loop.call_later(REQUEST_S, self._give_up)
        elif not self.reader.begun:
            self._stop_slow()
        self._next()

    def _give_up(self) -> None:
        """Refuse a request whose rest does not come."""
        self.slow_timer = None
        self.reader.refuse(TOO_SLOW)
        self.closing = True
        self._next()

    def _stop_slow(self) -> None:
        if self.slow_timer:
            self.slow_timer.cancel()
            self.slow_timer = None

    # Answering

    def _next(self) -> None:
        """Answer what waits, in order, until one takes time or the client reads too slowly."""
        if self.answering:
            return
        self.answering = True
        try:
            while self.waiting and not (self.current or self.writing_paused or self.transport.is_closing()):
                message = self.waiting.popleft()
                if isinstance(message, Refused):
                    self._refuse(message)
                else:
                    self._answer(message)
                if self.ended and self.current:
                    self.current.client_finished()
        finally:
            self.answering = False
        if self.transport.is_closing():
            return
        self._control_reading()
        if self.current is None and not self.waiting:
            self._rest()

    def _control_reading(self) -> None:
        """Read no more while many messages wait."""
        if len(self.waiting) >= MAX_WAITING and not (self.reading_paused or self.ended):
            self.reading_paused = True
            self.transport.pause_reading()
        elif self.reading_paused and len(self.waiting) < MAX_WAITING:
            self.reading_paused = False
            self.transport.resume_reading()

    def _rest(self) -> None:
        """All that came is answered."""
        if self.closing:
            if self.idle_timer is None:  # not closing already
                self._close()
            return
        if self.reader.asks:
            self.reader.asks = False
            self.transport.write(CONTINUE)
        self._close_in(self.config.timeout_keep_alive)

    def _answer(self, message: Message) -> None:
        path, _, query = message.url.decode("latin-1").partition("?")
        if not path.startswith("/"):  # absolute form, as proxies send it; also `*` and an authority
            _, absolute, rest = path.partition("://")
            host, _, path = rest.partition("/") if absolute else ("", "", path)
            path = f"/{path}"
            if host:
                message.headers["host"] = host
        if path == CONTROL or path.startswith(CONTROL + "/"):
            self.current = AsgiAnswer(self.app, self.transport, message, path, query, self._done)
            self.current.begin()
            return
        if self.worlds.sharing:
            self.current = AwaitedAnswer(self, self.worlds.sharing, message, path, query)
            self.current.begin()
            return
        try:
            world, request = self.locate(message, path, query)
        except Unaddressed as error:
            self.play_unaddressed(message, error)
            return
        exchange = self._decide(world, request)
        self.play(message, exchange.timeline, world.clock, exchange)

    def locate(self, message: Message, path: str, query: str) -> tuple[World, Request]:
        """Find the world that a message is for, and read it as a request there.

        Raises: Unaddressed.
        """
        address = self.worlds.locate(unquote(path), message.headers, self._origin(message))
        world = address.world
        request = Request(
            world.session.id, address.provider, message.method, address.path, query, message.headers,
            b"".join(message.body), world.clock.now(), path, address.base_url, message.too_large,
            address.addressed,
            time.monotonic(),
        )  # fmt: skip
        return world, request

    def play_unaddressed(self, message: Message, error: Unaddressed) -> None:
        """Answer what no provider answers."""
        headers = (JSON_TYPE, ("x-should-retry", "false"), ("x-emulator-rule", "refused"))
        self.play(message, whole(orjson.dumps(error.body()), error.status, headers, 0.0), self.clock)

    def _decide(self, world: World, request: Request) -> Exchange:
        engine, store, session = self.worlds.engine, self.worlds.store, world.session
        claim, grant = Claim(session.id, request.provider, None, Plan("unlimited"), request.at, False), None
        try:
            claim = engine.claim(session, request)
            grant = store.take(claim)
            exchange = engine.answer(session, request, claim, grant)
        except Exception as error:  # a fault of ours: said aloud, and never in a provider's name
            exchange = crash(claim, grant or store.take(claim), request, error)
        store.record(exchange)
        return exchange

    def play(self, message: Message, timeline: Timeline, clock: Clock, exchange: Exchange | None = None) -> None:
        """Put an answer on the wire."""

        def done(keep_alive: bool, sent: Sent) -> None:
            try:
                if exchange:
                    self.worlds.store.sent(exchange, sent)
                    type(self).on_exchange(exchange, sent)
                else:
                    type(self).on_stray(message.method, message.url.decode("latin-1"), timeline.status)
            finally:
                self._done(keep_alive)

        self.current = Player(
            timeline, self.transport, clock, exchange.request.at if exchange else clock.now(),
            keep_alive=message.keep_alive and not (self.closing and not self.waiting),
            http_10=message.http_10, head_only=message.method == "HEAD", extra_headers=self._http_headers(), done=done,
        )  # fmt: skip
        self.current.play()

    def _http_headers(self) -> bytes:
        return b"".join(b"%b: %b\r\n" % item for item in self.server_state.default_headers)

    def _done(self, keep_alive: bool) -> None:
        self.current = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if keep_alive:
            self._next()
        else:
            self._close()

    def _refuse(self, refused: Refused) -> None:
        message = Message()
        message.keep_alive = False
        body = {"error": {"code": refused.code, "message": refused.message, "problems": []}}
        headers = (("x-should-retry", "false"), ("x-emulator-rule", "refused"))
        self.play(message, render_body(body, refused.status, headers), self.clock)

    def _origin(self, message: Message) -> str:
        scheme = "https" if self.transport.get_extra_info("ssl_object") else "http"
        host = message.headers.get("host")
        if not host:
            name = self.transport.get_extra_info("sockname")
            host = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "localhost"
        return f"{scheme}://{host}"


def bind(
    worlds: Worlds,
    app: Any,
    max_body: int,
    on_exchange: Callable[[Exchange, Sent], None],
    on_stray: Callable[[str, str, int], None],
) -> type[EmulatorProtocol]:
    """Return the protocol class of one server."""
    members = {
        "worlds": worlds,
        "app": staticmethod(app),
        "max_body": max_body,
        "on_exchange": staticmethod(on_exchange),
        "on_stray": staticmethod(on_stray),
    }
    return type("BoundProtocol", (EmulatorProtocol,), members)
