"""What a connection and the answer on it know of each other, whatever they are."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Protocol

from emulator.core.frozen import frozen
from emulator.server.sessions.clock import Clock


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
