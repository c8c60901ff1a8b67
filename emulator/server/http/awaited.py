"""One request while it waits for a shared store; then its player takes its place on the connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from emulator.core.store import StoreFailed
from emulator.core.values import Exchange, Request, Timeline
from emulator.server.crash import own_error
from emulator.server.http.connection import Connection
from emulator.server.http.player import Player
from emulator.server.http.reader import Message
from emulator.server.http.routed import RoutedRequest
from emulator.server.real_time import monotonic
from emulator.server.sessions.clock import Clock
from emulator.server.sessions.live import LiveSession, Sharing
from emulator.server.sessions.unaddressed import Unaddressed

log = logging.getLogger("emulator")


class Dispatch(Protocol):
    """What finds the session of a request, and puts an answer on the wire."""

    def locate(self, connection: Connection, message: Message, path: str, query: str) -> RoutedRequest: ...
    def play(
        self,
        connection: Connection,
        message: Message,
        timeline: Timeline,
        clock: Clock,
        exchange: Exchange | None = None,
    ) -> None: ...
    def play_unaddressed(self, connection: Connection, message: Message, error: Unaddressed) -> None: ...


class AwaitedAnswer:
    """Decides as a task. A client that leaves meanwhile has taken its claim nevertheless: it is journalled as left."""

    def __init__(
        self, dispatch: Dispatch, connection: Connection, sharing: Sharing, message: Message, path: str, query: str
    ) -> None:
        self._dispatch = dispatch
        self._connection = connection
        self._sharing = sharing
        self._message = message
        self._path = path
        self._query = query
        self._left = False

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    # What a connection asks of what it is playing

    def leave(self) -> None:
        self._left = True

    def client_finished(self) -> None:
        """A half-closed connection is answered; the player is told when it begins."""

    def pause(self) -> None:
        """Nothing is written yet."""

    def resume(self) -> None:
        """Nothing is written yet."""

    def _locate(self) -> tuple[LiveSession, Request]:
        message = self._message
        routed = self._dispatch.locate(self._connection, message, self._path, self._query)
        live = routed.address.live
        now = live.clock.now()
        return live, routed.request(message.body, now, monotonic(), message.too_large)

    async def _run(self) -> None:
        dispatch, connection, message = self._dispatch, self._connection, self._message
        try:
            live, exchange = await self._sharing.decide(self._path, self._query, message.head.headers, self._locate)
            dispatch.play(connection, message, exchange.timeline, live.clock, exchange)
        except Unaddressed as error:
            dispatch.play_unaddressed(connection, message, error)
        except StoreFailed as error:
            dispatch.play(connection, message, own_error("store_failed", f"{error}", error), connection.clock)
        except Exception as error:  # a fault of ours, before anything was granted
            log.exception("the emulator failed on %s %s", message.head.method, self._path)
            told = own_error("emulator_crash", f"The emulator failed: {error}", error)
            dispatch.play(connection, message, told, connection.clock)
        player = connection.current
        if isinstance(player, Player) and (self._left or connection.ended):
            (player.leave if self._left else player.client_finished)()
