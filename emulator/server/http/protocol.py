"""Our HTTP protocol for uvicorn (`http=` takes a class): a connection, its requests in order, and no ASGI task.

    bytes -> Reader -> Message -> Dispatch -> Player -> bytes

Messages are answered one at a time and in order; while one is being answered the next ones wait (pipelining).
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from emulator.server.http.connection import Answer
from emulator.server.http.dispatch import Dispatch
from emulator.server.http.reader import TOO_SLOW, Heads, Reader
from emulator.server.own_errors import OwnError
from emulator.server.sessions.clock import Clock, RealClock

#: Pipelined messages, and the bytes of their bodies, before reading stops.
MAX_WAITING = 16
MAX_WAITING_BYTES = 1_000_000
REQUEST_S = 60.0  # for a whole request to come in
LINGER_S = 2.0  # for the client to close its side, after we closed ours
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection. A subclass carries what the server's all share, so that uvicorn can make it (see `bind`)."""

    dispatch: ClassVar[Dispatch]
    max_body: ClassVar[int]
    heads: ClassVar[Heads]

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self.config = config
        self.server_state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.clock: Clock = RealClock()  # of answers that belong to no session
        self.reader = Reader(self.max_body, self.heads)
        self.waiting = self.reader.messages
        self.transport: Any = None
        self.current: Answer | None = None
        self.answering = False  # inside `_next`
        self.resting_since: float | None = None  # on the loop's clock; None while something is read or answered
        self.idle_timer: asyncio.TimerHandle | None = None  # runs on while requests come, and looks when it ends
        self.lingering = False
        self.slow_timer: asyncio.TimerHandle | None = None
        self.slow = 0  # the message that the timer is for: its number in the reader
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
        self.reader.close()
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
        rests = self.resting_since is not None and not (self.writing_paused or self.reader.begun)
        self.resting_since = None
        if rests and self.dispatch.repeat(self, data):
            if self.current is None:
                self.resting_since = self.loop.time()
            return
        self.reader.feed(data)
        self.closing = self.reader.over
        if self.slow or self.reader.begun:
            self._time_request()
        self._next()

    def _time_request(self) -> None:
        """Give each request that is begun its time to come in."""
        begun = self.reader.begun
        if begun != self.slow:
            self._stop_slow()
        if begun and self.slow_timer is None and not self.reading_paused:
            self.slow, self.slow_timer = begun, self.loop.call_later(REQUEST_S, self._give_up)

    def _give_up(self) -> None:
        """Refuse a request whose rest does not come."""
        self.slow_timer = None
        self.reader.refuse(TOO_SLOW)
        self.closing = True
        self._next()

    def _stop_slow(self) -> None:
        self.slow = 0
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
                if isinstance(message, OwnError):
                    self.dispatch.refuse(self, message)
                else:
                    self.dispatch.answer(self, message)
                if self.ended and self.current:
                    self.current.client_finished()
        finally:
            self.answering = False
        if self.transport.is_closing():
            return
        if self.waiting or self.reading_paused:
            self._control_reading()
        if self.current is None and not self.waiting:
            self._rest()

    def _control_reading(self) -> None:
        """Read no more while much waits; a request that is begun has its time anew when its rest is read."""
        much = len(self.waiting) >= MAX_WAITING or self.reader.waiting_bytes > MAX_WAITING_BYTES
        if much and not (self.reading_paused or self.ended):
            self.reading_paused = True
            self._stop_slow()
            self.transport.pause_reading()
        elif self.reading_paused and not much:
            self.reading_paused = False
            self._time_request()
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

    def done(self, keep_alive: bool) -> None:
        """Go on after an answer, or end the connection."""
        self.current = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if keep_alive:
            self._next()
        else:
            self._close()


def bind(dispatch: Dispatch, max_body: int) -> type[Connection]:
    """Return the protocol class of one server."""
    members = {"dispatch": dispatch, "max_body": max_body, "heads": Heads()}
    return type("BoundProtocol", (Connection,), members)
