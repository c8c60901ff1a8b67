"""The relay: sends one request on to the upstream and passes its answer through, each piece as it comes.

client bytes <── Relay <── Upstream         Relay ──> Exchange: what the upstream really answered
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Literal

from emulator.core.answer.framing import LAST_CHUNK, chunk, fields, head, undelivered
from emulator.core.errors import Refusal
from emulator.core.provider.provider import Provider
from emulator.core.recording.upstream_exchange import MOST_PIECES, UpstreamAnswer, failed, relayed
from emulator.core.values import End, Exchange, Sent
from emulator.server.http.connection import ClientSide, Delivery, reset
from emulator.server.http.player import GARBAGE
from emulator.server.real_time import monotonic
from emulator.server.upstream.client import Answer, Broken, Unanswered, Upstream

log = logging.getLogger("emulator")

#: After how many pieces others are answered: an upstream's next bytes may all be here.
TURN_PIECES = 100
#: An answer of more bytes is read in a thread: it may hold thousands of events.
MOST_READ_AT_ONCE = 50_000
#: How what was sent ended; whatever else a timeline ends with is a cut.
_ENDS: Mapping[str, Literal["complete", "reset", "client_left"]] = {
    "complete": "complete", "reset": "reset", "client_left": "client_left",
}  # fmt: skip


class Relay:
    """Answers one request from an upstream.

    One of two is called once, whatever happens: `done(keep_alive, exchange, sent)`, or `unanswered(exchange)`, where
    nothing was sent and the exchange is still to be played.
    """

    def __init__(
        self,
        upstream: Upstream,
        provider: Provider,
        exchange: Exchange,
        line: ClientSide,
        done: Callable[[bool, Exchange, Sent], None],
        unanswered: Callable[[Exchange], None],
    ) -> None:
        self._upstream = upstream
        self._provider = provider
        self._exchange = exchange
        self._line = line
        self._done = done
        self._unanswered = unanswered
        self._start = monotonic()
        self._drained = asyncio.Event()
        self._drained.set()
        self._left = False
        self._stage: Literal["passing", "ending", "over"] = "passing"
        self._answer: Answer | None = None
        self._chunked = False
        self._head_at = 0.0
        self._count = 0
        self._size = 0
        self._pieces: list[tuple[float, bytes]] = []
        self._rest: list[bytes] = []  # of more pieces than are told apart
        self._lost = 0

    # What a connection asks of what it is playing

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._check)

    def _check(self, task: asyncio.Task[None]) -> None:
        """Say a fault of ours aloud; the client must not wait for ever."""
        error = None if task.cancelled() else task.exception()
        if error:
            log.error("the relay failed", exc_info=error)
            self._line.transport.abort()

    def pause(self) -> None:
        self._drained.clear()

    def resume(self) -> None:
        self._drained.set()

    def leave(self) -> None:
        """The client is gone; nobody waits for the upstream any more."""
        self._left = self._left or self._stage != "over"
        if self._stage == "passing":
            self._task.cancel()

    def client_finished(self) -> None:
        """The client will send no more; it may still read."""

    # Passing on

    async def _run(self) -> None:
        end: End = "complete"
        why = ""
        try:
            async with self._upstream.ask(self._exchange.request) as answer:
                self._begin_answer(answer)
                async for piece in answer.pieces():
                    self._pass_on(piece)
                    await self._drained.wait()
                    if self._count % TURN_PIECES == 0:
                        await asyncio.sleep(0)
        except Unanswered as error:
            self._give_up(error)
            return
        except Broken as error:
            end, why = error.how, error.message
        except asyncio.CancelledError:
            if not self._left:
                raise
        if self._answer is None:
            self._give_up(Unanswered("timeout", "The client left before the upstream had answered."))
        else:
            await self._finish(self._answer, end, why)

    def _passed(self) -> float:
        return monotonic() - self._start

    def _begin_answer(self, answer: Answer) -> None:
        line = self._line
        self._answer = answer
        self._head_at = self._passed()
        bodiless = line.head_only or answer.status in (204, 304)
        self._chunked = answer.length is None and not (bodiless or line.http_10)
        ours = [item for item in self._exchange.timeline.headers if item[0].startswith("x-emulator-")]
        lines = [line.extra_headers, fields((*answer.headers, *ours), answer.length, self._chunked)]
        self._keep_alive = line.keep_alive and (answer.length is not None or self._chunked or bodiless)
        line.transport.write(head(answer.status, lines, self._keep_alive, line.http_10))

    def _pass_on(self, piece: bytes) -> None:
        if piece:
            self._count += 1
            self._size += len(piece)
            if self._count <= MOST_PIECES:
                self._pieces.append((self._passed(), piece))
            else:
                self._rest.append(piece)
            self._line.transport.write(chunk(piece) if self._chunked else piece)

    async def _finish(self, answer: Answer, end: End, why: str) -> None:
        """End the answer as the upstream ended it, and say what it was."""
        self._stage = "ending"
        transport, ended_at = self._line.transport, self._passed()
        if not self._left and end == "complete":
            transport.write(LAST_CHUNK if self._chunked else b"")
        elif not self._left and end == "reset":
            await self._reset()
        elif not self._left:
            transport.write(GARBAGE if end == "garbage" else b"")
            transport.close()
        self._stage = "over"
        rest = [(ended_at, b"".join(self._rest))] if self._rest else []
        heard = UpstreamAnswer(answer.status, answer.headers, self._head_at, (*self._pieces, *rest), end, ended_at, why)
        exchange = await self._read(heard)
        self._done(self._keep_alive and end == "complete", exchange, self._sent(exchange))

    async def _reset(self) -> None:
        """Reset the connection, once what was written is with the client."""
        delivery = Delivery(self._line.transport)
        while (wait := delivery.wait_s()) is not None:
            await asyncio.sleep(wait)
            if self._left:
                return
        self._lost, self._stage = delivery.left, "over"
        reset(self._line.transport)

    async def _read(self, heard: UpstreamAnswer) -> Exchange:
        given = self._provider, self._exchange, heard
        return relayed(*given) if self._size <= MOST_READ_AT_ONCE else await asyncio.to_thread(relayed, *given)

    def _sent(self, exchange: Exchange) -> Sent:
        frames = exchange.timeline.frames
        written = (piece for _, piece in reversed(self._pieces))
        size = self._size - undelivered(itertools.chain(reversed(self._rest), written), self._chunked, self._lost)[1]
        if self._lost:
            ends = itertools.accumulate(len(frame.data) for frame in frames)
            frames = frames[: sum(end <= size for end in ends)]
        end = "client_left" if self._left else exchange.timeline.end
        times = tuple(frame.at for frame in frames)
        return Sent(size, times, _ENDS.get(end, "cut"), self._passed(), monotonic())

    def _give_up(self, error: Unanswered) -> None:
        passed = self._passed()
        exchange = failed(self._provider, self._exchange, Refusal(error.name, error.message), passed)
        if self._left:
            self._done(False, exchange, Sent(0, (), "client_left", passed, monotonic()))
        else:
            self._unanswered(exchange)
