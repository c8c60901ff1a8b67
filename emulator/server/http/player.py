"""The player: writes a Timeline to a transport, each frame at its absolute time, and reports what was really sent."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Literal

from emulator.core.answer.framing import LAST_CHUNK, chunk, fields, head, undelivered
from emulator.core.durations import FOREVER
from emulator.core.values import Sent, Timeline
from emulator.server.http.connection import ClientSide, Delivery, reset
from emulator.server.real_time import monotonic
from emulator.server.sessions.clock import Clock, Waiter

#: How much is gathered before it is written: bytes.
BUFFER = 65_536
#: In how many pieces a slow head is sent, at most.
HEAD_PIECES = 50
#: What no chunk begins with, and no JSON goes on with.
GARBAGE = b"\xff\x00not a chunk\r\n"


class Player:
    """Plays one Timeline. `done(keep_alive, sent)` is called once, whatever happens.

    Frames that are due at once go in one write; a frame is never held back for a later one. While the transport's
    buffer is full nothing is written, and what falls due meanwhile follows as soon as it drains.
    """

    __slots__ = (
        "_body", "_bytes", "_chunked", "_clock", "_comment", "_delivery", "_done", "_ended", "_head", "_head_at",
        "_head_step", "_index", "_keep_alive", "_out", "_paused", "_shift", "_silence", "_silent", "_silent_since",
        "_start", "_timeline", "_times", "_transport", "_waiter",
    )  # fmt: skip

    def __init__(
        self, timeline: Timeline, client: ClientSide, clock: Clock, start: float, done: Callable[[bool, Sent], None]
    ) -> None:
        self._timeline = timeline
        self._transport = client.transport
        self._clock = clock
        self._start = start
        self._shift = 0.0
        self._body = not client.head_only
        self._chunked = timeline.stream and not client.http_10
        self._keep_alive = client.keep_alive and not (timeline.stream and client.http_10)
        lines = [client.extra_headers, fields(timeline.headers, timeline.length, self._chunked)]
        self._head = self._head_pieces(head(timeline.status, lines, self._keep_alive, client.http_10))
        self._head_step = timeline.head_s / len(self._head)
        self._head_at = timeline.head_at
        self._done: Callable[[bool, Sent], None] | None = done
        self._out: list[bytes] = []
        self._index = 0
        self._bytes = 0
        self._times: list[float] = []
        self._paused = False
        self._silent = False
        self._silence = self._silent_since = 0.0
        self._ended = False
        self._waiter: Waiter | None = None
        self._comment: Waiter | None = None
        self._delivery: Delivery | None = None

    def _head_pieces(self, head: bytes) -> deque[bytes]:
        if self._timeline.head_s:
            size = -(-len(head) // HEAD_PIECES)
            return deque(head[start : start + size] for start in range(0, len(head), size))
        return deque(re.split(rb"(?<=\r)(?=\n)", head)) if self._timeline.apart else deque((head,))

    # Called by the connection

    def play(self) -> None:
        """Begin, or go on where a wait or a full buffer stopped it."""
        self._waiter = None
        if self._done is None or self._is_stopped():
            return
        if self._head and not self._begin():
            return
        if self._body and not self._write_frames():
            return
        if self._body and not self._is_due(self._timeline.end_at):
            return
        self._finish()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._waiter is None:
            self.play()

    def leave(self) -> None:
        """The client is gone: stop, and say how far it went."""
        if self._waiter:
            self._waiter.cancel()
        self._report(False, "client_left")

    def client_finished(self) -> None:
        """The client will send no more; it may still read, but a silence without end is over for it."""
        self._ended = True
        if self._waiter:
            self._check_presence()

    def _check_presence(self) -> None:
        if self._ended and not self._delivery and (self._silent or self._clock.held):
            self._transport.abort()
            self.leave()

    # Playing

    def _begin(self) -> bool:
        if self._head_at == FOREVER:
            if not self._silent:
                return self._fall_silent(0.0)
            self._silent = False
            self._head_at = 0.0
        while self._head:
            if not self._is_due(self._head_at):
                return False
            self._out.append(self._head.popleft())
            self._head_at += self._head_step
            if self._timeline.apart:
                return self._breathe()
        return True

    def _write_frames(self) -> bool:
        frames, size = self._timeline.frames, 0
        passed = self._clock.now() - self._start
        while self._index < len(frames):
            at, data, kind = frames[self._index]
            if kind == "hold":
                if not self._silent:
                    return self._fall_silent(at)
                self._silent = False
            elif at > passed - self._shift and not self._is_due(at):
                return False
            self._index += 1
            self._times.append(passed)
            if data:
                size += len(data)
                self._bytes += len(data)
                self._out.append(chunk(data) if self._chunked else data)
                if self._timeline.apart:
                    return self._breathe()
            if size > BUFFER:
                self._flush()
                size = 0
                if self._is_stopped():
                    return False
        return True

    def _breathe(self) -> bool:
        """Write what is gathered, and go on when the loop has really sent it: the next write is one of its own."""
        self._flush()
        self._waiter = Waiter(self.play).after(0)
        return False

    def _is_due(self, at: float) -> bool:
        """Tell whether a time has come; if not, write what is gathered and wait for it."""
        due = self._start + self._shift + at
        if at == 0 or due <= self._clock.now():
            return True
        self._flush()
        self._waiter = self._clock.call_at(due, self.play)
        if self._ended:
            self._check_presence()
        return False

    def _fall_silent(self, at: float) -> bool:
        """Wait without end; what follows is late by as long as it lasts."""
        self._flush()
        self._silent = True
        self._silent_since = monotonic()
        self._waiter = self._clock.call_released(lambda: self._go_on(at))
        self._comment_later()
        self._check_presence()
        return False

    def _comment_later(self) -> None:
        """Send keep-alive lines in a silence, where a fault asks for them."""
        if self._timeline.comment_s and self._done and not self._head:
            self._comment = Waiter(self._send_comment).after(self._timeline.comment_s)

    def _send_comment(self) -> None:
        if not self._is_stopped():
            comment = self._timeline.comment
            self._bytes += len(comment)
            self._transport.write(chunk(comment) if self._chunked else comment)
        self._comment_later()

    def _stop_comments(self) -> None:
        if self._comment:
            self._comment.cancel()

    def _go_on(self, at: float) -> None:
        self._stop_comments()
        self._silence += monotonic() - self._silent_since
        self._shift = self._clock.now() - self._start - at
        self.play()

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out = []

    def _is_stopped(self) -> bool:
        """Tell whether nothing can be written: until `resume`, or for good; then `leave` is about to come."""
        return self._paused or self._transport.is_closing()

    def _finish(self) -> None:
        end = self._timeline.end
        if end == "reset" or (end == "fin" and self._transport.get_extra_info("sslcontext")):
            self._flush()
            self._delivery = Delivery(self._transport)
            self._abort(self._delivery)
            return
        if end in ("fin", "garbage"):
            self._out += [GARBAGE] if end == "garbage" else []
            self._flush()
            self._transport.close()
            self._report(False, "cut")
            return
        if self._chunked and self._body:
            self._out.append(LAST_CHUNK)
        self._flush()
        self._report(self._keep_alive, "complete" if end == "complete" else "cut")

    def _abort(self, delivery: Delivery) -> None:
        """Break the connection off, once what was written is with the client: it reads that before the end.

        A reset is an abort that does not linger. Without one TLS ends as a socket does, with no word of goodbye.
        """
        wait = delivery.wait_s()
        if wait is not None:
            self._waiter = Waiter(lambda: self._abort(delivery)).after(wait)
            return
        self._take_back(delivery.left)
        if self._timeline.end == "reset":
            reset(self._transport)
            self._report(False, "reset")
        else:
            self._transport.abort()
            self._report(False, "cut")

    def _take_back(self, lost: int) -> None:
        """Count as sent no longer what the client did not take: so many bytes, from the end."""
        written = self._timeline.frames[: len(self._times)]
        count, size = undelivered((frame.data for frame in reversed(written)), self._chunked, lost)
        self._times = self._times[: len(self._times) - count]
        self._bytes -= size

    def _report(self, keep_alive: bool, end: Literal["complete", "cut", "reset", "client_left"]) -> None:
        done, self._done = self._done, None
        self._stop_comments()
        if done:
            at = self._clock.now() - self._start
            done(keep_alive, Sent(self._bytes, tuple(self._times), end, at, monotonic(), self._silence))
