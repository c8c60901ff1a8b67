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
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

import orjson

from emulator.core.errors import Json
from emulator.core.memo import Memo
from emulator.core.relayed import can_be_sent_on, sent_on
from emulator.core.render import JSON_TYPE, render_body, whole
from emulator.core.wire import Claim, Exchange, Grant, Plan, Request, Sent, Timeline
from emulator.server.asgi import AsgiAnswer
from emulator.server.clock import Clock, RealClock
from emulator.server.located import Located, Repeated
from emulator.server.player import Player
from emulator.server.reader import TOO_SLOW, Head, Heads, Message, Reader, Refused
from emulator.server.worlds import Unaddressed, World, Worlds

if TYPE_CHECKING:
    from emulator.server.relay import Relay
    from emulator.server.upstream import Upstream

log = logging.getLogger("emulator")

CONTROL = "/_emulator"
MAX_WAITING = 16  # pipelined messages, before reading stops
REQUEST_S = 60.0  # for a whole request to come in
LINGER_S = 2.0  # for the client to close its side, after we closed ours
MOST_LOCATED = 1024  # heads, whose requests' way is known
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class EmulatorProtocol(asyncio.Protocol):
    """One connection. A subclass carries the server's worlds, so that uvicorn can make it (see `bind`)."""

    worlds: ClassVar[Worlds]
    app: ClassVar[Any]
    max_body: ClassVar[int]
    heads: ClassVar[Heads]
    located: ClassVar[Memo[Located]]
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
        self.current: Player | AsgiAnswer | Relay | None = None
        self.answering = False  # inside `_next`
        self.resting_since: float | None = None  # on the loop's clock; None while something is read or answered
        self.idle_timer: asyncio.TimerHandle | None = None  # runs on while requests come, and looks when it ends
        self.lingering = False
        self.slow_timer: asyncio.TimerHandle | None = None
        self.closing = False  # no more messages are taken
        self.ended = False  # the client will send no more
        self.reading_paused = False
        self.writing_paused = False

    # The connection

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server_state.connections.add(self)
        self._rest()

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
        return bool(self.transport.can_write_eof())  # TLS closes both sides at once

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
            self.lingering = True
            self._stop_idle()
            self.transport.write_eof()
            self.idle_timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _check_idle(self) -> None:
        """Close a connection on which nothing came for long."""
        self.idle_timer = None
        if self.resting_since is None:
            return
        left = self.resting_since + self.config.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.idle_timer = self.loop.call_later(left, self._check_idle)
        else:
            self.transport.close()

    def _stop_idle(self) -> None:
        if self.idle_timer:
            self.idle_timer.cancel()
            self.idle_timer = None

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.resting_since = None
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
            if not self.lingering:
                self._close()
            return
        if self.reader.asks:
            self.reader.asks = False
            self.transport.write(CONTINUE)
        self.resting_since = self.loop.time()
        if self.idle_timer is None:
            self.idle_timer = self.loop.call_later(self.config.timeout_keep_alive, self._check_idle)

    def _answer(self, message: Message) -> None:
        located = self.located.get(message.head)
        if located is None or located.version != self.worlds.version:
            located = self._locate(message)
            if located is None:
                return
        world, head, body = located.address.world, message.head, b"".join(message.body)
        session, at, real = world.session, world.clock.now(), time.monotonic()
        store, repeats, grant = self.worlds.store, self.worlds.engine.repeats, None
        at_once = head.known and head.method != "HEAD" and not (self.closing or self.worlds.records)
        known = repeats.recall(session, head, body, at) if at_once else None
        if known:
            grant = store.take(known.claim.later(at))
            form = known.form(grant)
            if form:
                self._write(world, known.claim, Repeated(form, grant, located, session.id, known.body, at, real))
                return
        request = located.request(session.id, body, at, real, message.too_large)
        exchange = self._decide(world, located, request, grant, at_once)
        upstream = self.worlds.upstreams.get(request.provider) if exchange and exchange.proxied else None
        if exchange and upstream:
            self._relay(message, world, exchange, upstream)
        elif exchange:
            store.record(exchange)
            self._play(message, exchange.timeline, world.clock, exchange)

    def _locate(self, message: Message) -> Located | None:
        """Find where a request goes; None where it is answered here: by the control API, or because it goes nowhere."""
        head = message.head
        path, query = _target(head)
        if path == CONTROL or path.startswith(CONTROL + "/"):
            self.current = AsgiAnswer(self.app, self.transport, message, path, query, self._done)
            self.current.begin()
            return None
        try:
            address = self.worlds.locate(unquote(path), head.headers, self._origin(head))
        except Unaddressed as error:
            headers = (JSON_TYPE, ("x-should-retry", "false"), ("x-emulator-rule", "refused"))
            self._play(message, whole(orjson.dumps(error.body()), error.status, headers, 0.0), self.clock)
            return None
        located = Located(head, address, path, query, self.worlds.version)
        if head.known:
            self.located.put(head, located)
        return located

    def _decide(
        self, world: World, located: Located, request: Request, grant: Grant | None, at_once: bool
    ) -> Exchange | None:
        """Return what is to be played; None where it is answered already."""
        engine, store, session = self.worlds.engine, self.worlds.store, world.session
        claim = Claim(session.id, request.provider, None, Plan("unlimited"), request.at, False)
        try:
            claim = engine.claim(session, request)
            if self.worlds.records and can_be_sent_on(request):
                claim = sent_on(claim)
            grant = grant or store.take(claim)
            form = engine.repeats.form(session, located.head, request, claim, grant) if at_once else None
            if form:
                repeated = Repeated(form, grant, located, session.id, request.body, request.at, request.real)
                self._write(world, claim, repeated)
                return None
            exchange = engine.answer(session, request, claim, grant)
        except Exception as error:  # a fault of ours: said aloud, and never in a provider's name
            exchange = _crash(claim, grant or store.take(claim), request, error)
        return exchange

    def _write(self, world: World, claim: Claim, repeated: Repeated) -> None:
        """Send an answer that waits for nothing, and note it."""
        form = repeated.form
        head, body = form.fill(repeated.at, repeated.grant)
        self.transport.write(b"%b%b%b\r\n%b" % (form.line, self.fields.of(self.server_state), head, body))
        self.server_state.total_requests += 1
        repeated.passed = time.monotonic() - repeated.real
        self.worlds.store.note(claim, repeated)
        self.worlds.metrics.count(form.example)
        if world.watchers:
            self.worlds.tell(repeated.exchange())
        type(self).on_exchange(form.example, "complete", repeated.passed)

    def _relay(self, message: Message, world: World, exchange: Exchange, upstream: Upstream) -> None:
        """Let the upstream answer; the exchange is recorded when it is known what that was."""
        from emulator.server.relay import Line, Relay  # needs an extra

        def done(keep_alive: bool, exchange: Exchange, sent: Sent) -> None:
            try:
                self.worlds.store.record(exchange)
                self._ended(exchange, sent)
            finally:
                self._done(keep_alive)

        def unanswered(exchange: Exchange) -> None:
            self.worlds.store.record(exchange)
            self._play(message, exchange.timeline, world.clock, exchange)

        head = message.head
        line = Line(
            self.transport, head.keep_alive and not (self.closing and not self.waiting), head.http_10,
            head.method == "HEAD", self.fields.of(self.server_state),
        )  # fmt: skip
        provider = self.worlds.providers[exchange.request.provider]
        self.current = Relay(upstream, provider, exchange, line, done, unanswered)
        self.current.begin()

    def _ended(self, exchange: Exchange, sent: Sent) -> None:
        self.worlds.store.sent(exchange, sent)
        self.worlds.ended(exchange, sent)
        type(self).on_exchange(exchange, sent.end, sent.at)

    def _play(self, message: Message, timeline: Timeline, clock: Clock, exchange: Exchange | None = None) -> None:
        def done(keep_alive: bool, sent: Sent) -> None:
            try:
                if exchange:
                    self._ended(exchange, sent)
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
        scheme = "https" if self.transport.get_extra_info("sslcontext") else "http"
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
        "located": Memo(MOST_LOCATED),
        "fields": _ServerFields(),
        "on_exchange": staticmethod(on_exchange),
        "on_stray": staticmethod(on_stray),
    }
    return type("BoundProtocol", (EmulatorProtocol,), members)
