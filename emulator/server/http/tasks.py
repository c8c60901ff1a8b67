"""Answers that a task gives: the Starlette app's to a control request, and one that waits for a shared store.

A control request's message is complete, so `receive` gives it whole. When it is decided what is answered over a shared
store, its player takes the task's place on the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import unquote

from emulator.core.answer.framing import LAST_CHUNK, chunk, head
from emulator.server.http.connection import Connection
from emulator.server.http.player import Player
from emulator.server.http.reader import Message

log = logging.getLogger("emulator")


class AsgiAnswer:
    """Runs the app as a task and writes what it sends, chunked where it gives no length."""

    def __init__(
        self, app: Any, transport: Any, message: Message, path: str, query: str, done: Callable[[bool], None]
    ) -> None:
        self.app = app
        self.transport = transport
        self.message = message
        self.done: Callable[[bool], None] | None = done
        self.keep_alive = message.head.keep_alive
        self.head = b""
        self.chunked = False
        self.bodiless = False
        self.started = False
        self.complete = False
        self.received = False
        self.left = asyncio.Event()
        self.drained = asyncio.Event()
        self.drained.set()
        client, server = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self.scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": message.head.method, "scheme": scheme, "path": unquote(path), "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"), "root_path": "",
            "headers": [tuple(text.encode("latin-1") for text in item) for item in message.head.headers.items()],
            "client": client[:2] if isinstance(client, tuple) else None,
            "server": server[:2] if isinstance(server, tuple) else None,
            "emulator.too_large": message.too_large,
            "emulator.abort": transport.abort,  # for an answer whose client does not read
        }  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(self._run())

    # What a connection asks of what it is playing

    def leave(self) -> None:
        self.done = None
        self.left.set()
        self.drained.set()

    def client_finished(self) -> None:
        self.left.set()

    def pause(self) -> None:
        self.drained.clear()

    def resume(self) -> None:
        self.drained.set()

    # ASGI

    async def _run(self) -> None:
        try:
            await self.app(self.scope, self._receive, self._send)
        except Exception:  # the control API must not take the connection's state with it
            log.exception("the control API failed on %s %s", self.message.head.method, self.scope["path"])
            if self.done and not self.started:
                self.transport.write(head(500, [b"content-length: 0\r\n"], keep_alive=False, http_10=False))
        finally:
            done, self.done = self.done, None
            if done:
                done(self.keep_alive and self.complete)

    async def _receive(self) -> dict[str, Any]:
        if not self.received:
            self.received = True
            return {"type": "http.request", "body": self.message.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        await self.drained.wait()
        if self.done is None:
            return
        if event["type"] == "http.response.start":
            self._start(event["status"], event.get("headers", []))
        else:
            self._body(event.get("body", b""), event.get("more_body", False))

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers]
        self.bodiless = status in (204, 304) or self.message.head.method == "HEAD"
        if not self.bodiless and not any(name.lower() == b"content-length" for name, _ in headers):
            self.chunked = not self.message.head.http_10
            self.keep_alive = self.keep_alive and self.chunked
        if self.chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        self.head = head(status, lines, self.keep_alive, self.message.head.http_10)  # goes out with the first of a body

    def _body(self, body: bytes, more: bool) -> None:
        self.complete = not more
        written, self.head = self.head, b""
        if body and not self.bodiless:
            written += chunk(body) if self.chunked else body
        if self.chunked and not more:
            written += LAST_CHUNK
        if written:
            self.started = True
            self.transport.write(written)


class AwaitedAnswer:
    """Waits while a task decides. One whose client leaves meanwhile has its claim, and is journalled so."""

    def __init__(self, connection: Connection, deciding: Coroutine[Any, Any, None]) -> None:
        self.connection = connection
        self.left = False
        self.task = asyncio.get_running_loop().create_task(self._run(deciding))

    # What a connection asks of what it is playing

    def leave(self) -> None:
        self.left = True

    def client_finished(self) -> None:
        """A half-closed connection is answered; the player is told when it begins."""

    def pause(self) -> None:
        """Nothing is written yet."""

    def resume(self) -> None:
        """Nothing is written yet."""

    async def _run(self, deciding: Coroutine[Any, Any, None]) -> None:
        await deciding
        player = self.connection.current
        if isinstance(player, Player) and (self.left or self.connection.ended):
            (player.leave if self.left else player.client_finished)()
