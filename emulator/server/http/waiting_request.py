"""One request while it waits for a shared store; then its player takes its place on the connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from emulator.core.store import StoreFailed
from emulator.core.values import Request
from emulator.server.http.connection import Connection
from emulator.server.http.player import Player
from emulator.server.http.reader import Message
from emulator.server.http.routed_request import RoutedRequest
from emulator.server.own_errors import OwnError, failure
from emulator.server.real_time import monotonic
from emulator.server.sessions.live import LiveSession, Sharing

log = logging.getLogger("emulator")


@dataclass(eq=False)
class AwaitedAnswer:
    """Decides as a task. A client that leaves meanwhile has taken its claim nevertheless: it is journalled as left.

    `locate` finds where the request goes, `play` puts an answer on the wire, `refuse` says that it goes nowhere.
    """

    connection: Connection
    sharing: Sharing
    message: Message
    path: str
    query: str
    locate: Callable[[], RoutedRequest]
    play: Callable[..., None]
    refuse: Callable[[OwnError], None]
    left: bool = False

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    # What a connection asks of what it is playing

    def leave(self) -> None:
        self.left = True

    def client_finished(self) -> None:
        """A half-closed connection is answered; the player is told when it begins."""

    def pause(self) -> None:
        """Nothing is written yet."""

    def resume(self) -> None:
        """Nothing is written yet."""

    def _located(self) -> tuple[LiveSession, Request]:
        routed = self.locate()
        live = routed.address.live
        return live, routed.request(self.message.body, live.clock.now(), monotonic(), self.message.too_large)

    async def _run(self) -> None:
        connection, head = self.connection, self.message.head
        try:
            live, exchange = await self.sharing.decide(self.path, self.query, head.headers, self._located)
            self.play(exchange.timeline, live.clock, exchange)
        except OwnError as error:
            self.refuse(error)
        except StoreFailed as error:
            self.play(failure("store_failed", f"{error}", error), connection.clock)
        except Exception as error:  # a fault of ours, before anything was granted
            log.exception("the emulator failed on %s %s", head.method, self.path)
            self.play(failure("emulator_crash", f"The emulator failed: {error}", error), connection.clock)
        player = connection.current
        if isinstance(player, Player) and (self.left or connection.ended):
            (player.leave if self.left else player.client_finished)()
