"""What a client did, as a journal shows it: attempts gathered into calls, and the waits between them.

A call is the run of attempts with one operation and one body (model and stream aside), each begun after the one before
it failed. Waits are the longer of the session's time and real time, so that a client that really sleeps is seen too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tree import canonical, parsed
from emulator.core.values import Exchange
from emulator.core.wires.completion import Completion
from emulator.core.wires.sse import events_in, payload

#: What a request may differ in and still be another attempt at the same.
_ASIDE = ("model", "stream", "usage")


@frozen
class Attempts:
    """One call: its attempts in order."""

    exchanges: tuple[Exchange, ...]

    def retries(self, status: int | None = None) -> Iterator[tuple[Exchange, Exchange]]:
        """Yield each attempt that was followed by another, with that one; with a status, only those that got it."""
        for first, later in zip(self.exchanges, self.exchanges[1:], strict=False):
            if status in (None, first.timeline.status):
                yield first, later


def group(exchanges: Sequence[Exchange]) -> list[Attempts]:
    """Gather attempts into calls."""
    runs: list[list[Exchange]] = []
    latest: dict[bytes, list[Exchange]] = {}
    for exchange in exchanges:
        name = _identity(exchange)
        run = latest.get(name)
        if run is not None and failed(run[-1]) and exchange.request.at >= _ended(run[-1]):
            run.append(exchange)
        else:
            latest[name] = run = [exchange]
            runs.append(run)
    return [Attempts(tuple(run)) for run in runs]


def _identity(exchange: Exchange) -> bytes:
    call = exchange.claim.call
    if call is None:
        return exchange.request.path.encode() + b"\x1f" + exchange.request.body
    wire = exchange.claim.wire
    aside = {"model", *(wire.request.fields(*_ASIDE) if wire else ())}
    body = {name: value for name, value in {**call.params, **call.body}.items() if name not in aside}
    return call.operation.encode() + b"\x1f" + canonical(body)


def failed(exchange: Exchange) -> bool:
    """Tell whether an attempt is over and failed: an error, a broken stream, or a client that gave up."""
    if exchange.sent is None:
        return False
    return exchange.timeline.status >= 400 or exchange.timeline.broken or exchange.sent.end != "complete"


def _ended(exchange: Exchange) -> float:
    return exchange.request.at + (exchange.sent.at if exchange.sent else 0.0)


def wait_between(first: Exchange, later: Exchange) -> float:
    """Return seconds between the end of an attempt and the next: the session's, or real ones where these are more."""
    session = later.request.at - _ended(first)
    real = later.request.real - (first.sent.real if first.sent else first.request.real)
    return max(session, real)


def retry_after(exchange: Exchange) -> float | None:
    """Return the Retry-After that was sent, in seconds after the answer; a date counts from the session's time."""
    given = dict(exchange.timeline.headers).get("retry-after", "")
    if given.replace(".", "", 1).isdecimal():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - _ended(exchange))
    except ValueError:
        return None


def was_cut(exchange: Exchange) -> bool:
    return exchange.timeline.stream and exchange.timeline.broken


def answered_text(exchange: Exchange) -> str:
    """Return the text of an answer: a whole one's message, or what a stream's pieces add up to, as far as it went."""
    return answer_of(exchange).text() or ""


def answer_of(exchange: Exchange) -> Completion:
    """Return what an answer says, of a stream as far as it went."""
    wire = exchange.claim.wire
    if wire is None:
        return Completion()
    data = b"".join(frame.data for frame in exchange.timeline.frames if frame.kind != "comment")
    return wire.read_events(list(event_values(data))) if exchange.timeline.stream else wire.read(parsed(data))


def event_values(data: bytes, newest_first: bool = False) -> Iterator[Json]:
    """Yield the JSON of each event of a stream's bytes."""
    events = events_in(data)
    said = (parsed(payload(event), ...) for event in (reversed(events) if newest_first else events))
    return (value for value in said if value is not ...)
