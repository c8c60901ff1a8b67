"""Our HTTP protocol for uvicorn (`http=` takes a class): one data path from bytes to the engine and back, no ASGI task.

    bytes -> Reader -> Message -> engine.claim -> store.take -> engine.answer -> Player -> bytes
                              |                             \\-> engine.form ->/ what was answered alike before, at once
                              \\-> control routes go to the Starlette app

Messages are answered one at a time and in order; while one is being answered the next ones wait (pipelining).
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote

import orjson

from emulator.core.errors import Json
from emulator.core.form import Form
from emulator.core.render import JSON_TYPE, render_body, whole
from emulator.core.wire import Claim, Exchange, Grant, Plan, Request, Sent, Sketch, Timeline
from emulator.server.asgi import AsgiAnswer
from emulator.server.clock import Clock, RealClock
from emulator.server.player import Player
from emulator.server.reader import TOO_SLOW, Head, Heads, Message, Reader, Refused
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
    heads: ClassVar[Heads]
    fields: ClassVar[_ServerFields]
    on_exchange: ClassVar[Callable[[Exchange, str, float], None]]  # how it ended, and after how many seconds
    on_stray: ClassVar[Callable[[str, str, int], None]]  # method, target, status of what reached no provider

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self.config = config
        self.server_state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.clock: Clock = RealClock()  # of answers that belong to no session
        self.reader = Reader(self.max_body, self.heads)
        self.waiting = self.reader.messages
        self.transport: Any = None
        self.current: Player | AsgiAnswer | None = None
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
        head = message.head
        found = self.worlds.located.get(head)
        if found is None:
            path, query = _target(head)
            if path == CONTROL or path.startswith(CONTROL + "/"):
                self.current = AsgiAnswer(self.app, self.transport, message, path, query, self._done)
                self.current.begin()
                return
            try:
                found = self.worlds.locate(unquote(path), head.headers, self._origin(head)), path, query
            except Unaddressed as error:
                headers = (JSON_TYPE, ("x-should-retry", "false"), ("x-emulator-rule", "refused"))
                self._play(message, whole(orjson.dumps(error.body()), error.status, headers, 0.0), self.clock)
                return
            if head.known:
                self.worlds.located.put(head, found)
        address, path, query = found
        world = address.world
        request = Request(
            world.session.id, address.provider, head.method, address.path, query, head.headers,
            b"".join(message.body), world.clock.now(), path, address.base_url, message.too_large,
            address.addressed, time.monotonic(),
        )  # fmt: skip
        exchange = self._decide(world, request, message)
        if exchange:
            self._play(message, exchange.timeline, world.clock, exchange)

    def _decide(self, world: World, request: Request, message: Message) -> Exchange | None:
        """Return what is to be played; None where it is answered already."""
        engine, store, session = self.worlds.engine, self.worlds.store, world.session
        claim, grant = Claim(session.id, request.provider, None, Plan("unlimited"), request.at, False), None
        try:
            claim = engine.claim(session, request)
            grant = store.take(claim)
            if message.head.known and not self.closing and message.head.method != "HEAD":
                form = engine.form(session, request, claim, grant)
                if form:
                    self._write(world, form, request, claim, grant)
                    return None
            exchange = engine.answer(session, request, claim, grant)
        except Exception as error:  # a fault of ours: said aloud, and never in a provider's name
            exchange = _crash(claim, grant or store.take(claim), request, error)
        store.record(exchange)
        return exchange

    def _write(self, world: World, form: Form, request: Request, claim: Claim, grant: Grant) -> None:
        """Send an answer that waits for nothing, and note it."""
        head, body = form.fill(request.at, grant)
        self.transport.write(b"%b%b%b\r\n%b" % (form.line, self.fields.of(self.server_state), head, body))
        self.server_state.total_requests += 1
        real = time.monotonic()
        sketch = Sketch(request, grant, form, real - request.real, real)
        self.worlds.store.note(claim, sketch)
        if world.watchers:
            self.worlds.tell(sketch.exchange())
        type(self).on_exchange(form.example, "complete", sketch.passed)

    def _play(self, message: Message, timeline: Timeline, clock: Clock, exchange: Exchange | None = None) -> None:
        def done(keep_alive: bool, sent: Sent) -> None:
            try:
                if exchange:
                    self.worlds.store.sent(exchange, sent)
                    self.worlds.tell(replace(exchange, sent=sent))
                    type(self).on_exchange(exchange, sent.end, sent.at)
                else:
                    type(self).on_stray(message.head.method, message.head.url.decode("latin-1"), timeline.status)
            finally:
                self._done(keep_alive)

        self.current = Player(
            timeline, self.transport, clock, exchange.request.at if exchange else clock.now(),
            keep_alive=message.head.keep_alive and not (self.closing and not self.waiting),
            http_10=message.head.http_10, head_only=message.head.method == "HEAD",
            extra_headers=self.fields.of(self.server_state), done=done,
        )  # fmt: skip
        self.current.play()

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
        message = Message(Head())
        message.head.keep_alive = False
        body = {"error": {"code": refused.code, "message": refused.message, "problems": []}}
        headers = (("x-should-retry", "false"), ("x-emulator-rule", "refused"))
        self._play(message, render_body(body, refused.status, headers), self.clock)

    def _origin(self, head: Head) -> str:
        scheme = "https" if self.transport.get_extra_info("ssl_object") else "http"
        host = head.headers.get("host")
        if not host:
            name = self.transport.get_extra_info("sockname")
            host = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "localhost"
        return f"{scheme}://{host}"


class _ServerFields:
    """The header lines that the server adds to every answer, such as its date; they change once a second."""

    def __init__(self) -> None:
        self._items: list[tuple[bytes, bytes]] | None = None
        self._lines = b""

    def of(self, server_state: Any) -> bytes:
        items = server_state.default_headers
        if items is not self._items:
            self._items, self._lines = items, b"".join(b"%b: %b\r\n" % item for item in items)
        return self._lines


def _target(head: Head) -> tuple[str, str]:
    """Return path and query of a target; the host of an absolute one, as proxies send it, goes to the headers."""
    path, _, query = head.url.decode("latin-1").partition("?")
    if not path.startswith("/"):  # absolute; also `*` and an authority
        _, absolute, rest = path.partition("://")
        host, _, path = rest.partition("/") if absolute else ("", "", path)
        path = f"/{path}"
        if host:
            head.headers["host"] = host
    return path, query


def _crash(claim: Claim, grant: Grant, request: Request, error: Exception) -> Exchange:
    """Answer for a fault of ours."""
    text = "".join(traceback.format_exception(error))
    log.error("the emulator failed on %s %s:\n%s", request.method, request.address, text)
    message = f"The emulator failed; this is a fault of its own, not of the request: {type(error).__name__}: {error}"
    body: Json = {"error": {"code": "emulator_crash", "message": message, "problems": []}}
    headers = (
        ("x-emulator-error", type(error).__name__),
        ("x-should-retry", "false"),
        ("x-emulator-exchange", str(grant.number)),
        ("x-emulator-rule", "refused"),
    )
    return Exchange(claim, grant, request, render_body(body, 500, headers), "refused", crash=text)


def bind(
    worlds: Worlds,
    app: Any,
    max_body: int,
    on_exchange: Callable[[Exchange, str, float], None],
    on_stray: Callable[[str, str, int], None],
) -> type[EmulatorProtocol]:
    """Return the protocol class of one server."""
    members = {
        "worlds": worlds,
        "app": staticmethod(app),
        "max_body": max_body,
        "heads": Heads(),
        "fields": _ServerFields(),
        "on_exchange": staticmethod(on_exchange),
        "on_stray": staticmethod(on_stray),
    }
    return type("BoundProtocol", (EmulatorProtocol,), members)
