"""What a connection and the answer on it know of each other, and what of its bytes has reached the other side.

    written -> the transport's buffer -> the kernel's queue -> the other side, which reads it when it likes

A reset throws away what is on its way; what the other side's kernel has, is read before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Sized
from typing import Any, Protocol

from emulator.core.frozen import frozen
from emulator.server.real_time import monotonic
from emulator.server.sessions.clock import TICK_S, Clock


@frozen
class ClientSide:
    """The client's side: its transport, and what HTTP it speaks."""

    transport: Any
    keep_alive: bool
    http_10: bool
    head_only: bool
    extra_headers: bytes


class Answer(Protocol):
    """What a connection asks of the answer that is under way on it."""

    def leave(self) -> None:
        """The client is gone: stop."""

    def client_finished(self) -> None:
        """The client will send no more; it may still read."""

    def pause(self) -> None:
        """Write no more until `resume`: the client reads too slowly."""

    def resume(self) -> None: ...


class Connection(Protocol):
    """What an answer asks of its connection."""

    transport: Any
    server_state: Any
    clock: Clock  # of answers that belong to no session
    current: Answer | None
    closing: bool  # no more messages are taken
    ended: bool  # the client will send no more

    @property
    def waiting(self) -> Sized:
        """The messages that wait for this answer to end."""

    def done(self, keep_alive: bool) -> None:
        """Go on after an answer, or end the connection."""


class ServerFields:
    """The header lines that the server adds to every answer, such as its date; they change once a second."""

    def __init__(self) -> None:
        self._items: list[tuple[bytes, bytes]] | None = None
        self._lines = b""

    def of(self, server_state: Any) -> bytes:
        items = server_state.default_headers
        if items is not self._items:
            self._items, self._lines = items, b"".join(b"%b: %b\r\n" % item for item in items)
        return self._lines


#: How long nothing may be taken by a client that does not read, before it is reset all the same: seconds.
STUCK_S = 30.0
#: The longest until it is looked again: seconds.
LOOK_S = 0.1
_DARWIN_SO_NWRITE = 0x1024


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection at once."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Delivery:
    """A wait until what was written has reached the other side, or nothing of it does any more.

    `left` is how many bytes had not when it was last looked.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.left = -1
        self._transport = transport
        self._since = 0.0  # when `left` last changed

    def wait_s(self) -> float | None:
        """Return how long to wait before it is looked again; None where there is nothing to wait for."""
        now, before = monotonic(), self.left
        self.left = self._transport.get_write_buffer_size() + _queued(self._transport.get_extra_info("socket"))
        if self.left != before:
            self._since = now
        elif not self.left:  # seen twice: between TLS and the kernel is a buffer that nobody tells of
            return None
        waited = now - self._since
        return min(max(TICK_S, waited / 10), LOOK_S) if waited < STUCK_S else None


def _queued(sock: socket.socket) -> int:
    """Return how many bytes the kernel has taken that the other side's has not."""
    with contextlib.suppress(OSError):  # closed meanwhile
        if sys.platform == "linux":
            import fcntl
            import termios

            return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
        if sys.platform == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _DARWIN_SO_NWRITE)
    return 0
