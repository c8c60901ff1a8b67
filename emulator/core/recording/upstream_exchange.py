"""What an upstream answered, as an Exchange: its bytes as frames at their times, and what the docs don't say of them.

Exchange (proxied) + Heard ──relayed──> Exchange     or, where no answer came, ──failed──> Exchange
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from emulator.core.answer.embeddings import told_model, told_usage
from emulator.core.answer.render import render_body, render_id
from emulator.core.engine.body import decode, undocumented_fields
from emulator.core.errors import Json, Refusal
from emulator.core.frozen import frozen
from emulator.core.provider.provider import Provider
from emulator.core.recording.undocumented import undocumented_notes
from emulator.core.seeded_random import Draw
from emulator.core.tree import parsed
from emulator.core.values import Claim, End, Exchange, Frame, Headers, Note, Request, Timeline
from emulator.core.wires.completion import Completion, named_usage
from emulator.core.wires.sse import TYPES, Items, framing_of, payload
from emulator.core.wires.wire import Wire

#: Encodings that are undone for the journal; the client gets what came.
ENCODINGS = ("gzip", "x-gzip", "deflate")
#: How large an answer may be that was packed: bytes.
MAX_UNPACKED = 100_000_000
#: Pieces of an answer, and events of a stream, that are told apart: what comes after them is one.
MOST_PIECES = 100_000
_TOO_MANY = Note(
    None, "upstream",
    f"over {MOST_PIECES:,} events came; what followed is kept as one piece, and not compared with the docs",
)  # fmt: skip
#: What ends an event, and a line; no end is longer than so many bytes.
_EVENT_END, _LINE_END, _END_SIZE = re.compile(rb"\n\r?\n|\r\r"), re.compile(rb"\n"), 3


@frozen
class UpstreamAnswer:
    """What an upstream sent: its head, the body in pieces (seconds after the request, bytes), and how it ended."""

    status: int
    headers: Headers
    head_at: float
    pieces: tuple[tuple[float, bytes], ...]
    end: End
    end_at: float
    why: str = ""  # it broke off

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def stream(self) -> bool:
        return self._type in (TYPES["sse"], TYPES["ndjson"])

    @property
    def lines(self) -> bool:
        return self._type == TYPES["ndjson"]

    @property
    def _type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()


def can_be_sent_on(request: Request) -> bool:
    """Tell whether a request is whole, and below the base URL."""
    return not request.too_large and not request.path.startswith("/../")


def sent_on(claim: Claim) -> Claim:
    """Return a claim with which nothing of ours stands in the request's way: no rule, no limit, no answer kept."""
    return replace(claim, candidates=(), counted=False, idempotency=None, relay=True)


def relayed(provider: Provider, exchange: Exchange, heard: UpstreamAnswer) -> Exchange:
    """Return the exchange with the upstream's answer."""
    pieces = tuple(_unpacked(heard))
    wire = exchange.claim.wire
    stream = heard.stream or _is_listed(exchange, heard)
    events = _events(wire, pieces, heard.lines) if heard.stream else _items(wire, pieces)
    frames = tuple(events if stream else (Frame(at, data, "body") for at, data in pieces))
    joined = stream and len(frames) > MOST_PIECES
    size = sum(len(frame.data) for frame in frames)
    ours = tuple(item for item in exchange.timeline.headers if item[0].startswith("x-emulator-"))
    timeline = Timeline(
        heard.status, (*heard.headers, *ours), frames, stream, heard.head_at, heard.end, heard.end_at,
        None if stream else size,
    )  # fmt: skip
    told, usage = _told(wire, timeline)
    return replace(
        exchange,
        timeline=timeline,
        usage=usage,
        tokens=usage.get("total_tokens", 0) if usage else 0,
        finish_reason=told.finish,
        model=told.model or exchange.model,
        notes=(
            *_request_notes(provider, exchange, heard.status),
            *((Note(None, "upstream", heard.why),) if heard.why else ()),
            *((_TOO_MANY,) if joined else undocumented_notes(provider, exchange.claim, timeline)),
        ),
    )


def failed(provider: Provider, exchange: Exchange, refusal: Refusal, at: float) -> Exchange:
    """Return the exchange as answered in the upstream's place, `at` seconds after the request: it gave no answer."""
    draw = Draw(exchange.seed, "upstream", exchange.grant.number)
    request = exchange.request
    body = provider.error_body(refusal, render_id(provider, "request", draw, request.at), request.path)
    status = provider.errors[refusal.name]["status"]
    kept = tuple(item for item in exchange.timeline.headers if item[0] not in ("content-type", "x-should-retry"))
    notes = (*_request_notes(provider, exchange, status), Note(None, "upstream", refusal.message or refusal.name))
    timeline = render_body(body, status, kept, at)
    return replace(exchange, timeline=timeline, refusal=(refusal.name, status, refusal), notes=notes)


def _told(wire: Wire | None, timeline: Timeline) -> tuple[Completion, dict[str, int] | None]:
    """Return what an answer says, and its usage by the journal's names."""
    found = values(timeline)
    if wire is None:
        return Completion(model=told_model(found)), told_usage(found)
    told = wire.read_events(found) if timeline.stream else wire.read(found[0] if found else None)
    return told, named_usage(told.usage)


def values(timeline: Timeline) -> list[dict[str, Json]]:
    """Return the JSON objects of an answer: its body, or its chunks."""
    whole = [b"".join(frame.data for frame in timeline.frames)]
    events = (payload(frame.data) for frame in timeline.frames if frame.kind == "data")
    return [item for item in map(parsed, events if timeline.stream else whole) if isinstance(item, dict)]


def _unpacked(heard: UpstreamAnswer) -> Iterator[tuple[float, bytes]]:
    """Yield the pieces as they were before they were packed; what cannot be unpacked stays as it is."""
    if heard.header("content-encoding").lower() not in ENCODINGS:
        yield from heard.pieces
        return
    unpack, room = zlib.decompressobj(wbits=47), MAX_UNPACKED
    for at, data in heard.pieces:
        try:
            plain = unpack.decompress(data, room) if room else b""
        except zlib.error:
            plain = data
        room -= min(len(plain), room)
        if plain:
            yield at, plain


def _events(wire: Wire | None, pieces: Sequence[tuple[float, bytes]], lines: bool) -> Iterator[Frame]:
    """Yield a frame for each event, at the time when it was whole; the rest (broken, or too many) is a part."""
    event_end = _LINE_END if lines else _EVENT_END
    held: list[bytes] = []  # joined once for each event, however many pieces it came in
    last, at, left = b"", 0.0, MOST_PIECES
    for at, data in pieces:
        seen = last + data  # an end may have begun before
        if not (left and event_end.search(seen)):
            held.append(data)
            last = seen[-_END_SIZE + 1 :]
            continue
        text = b"".join((*held, data))
        start, searched = 0, len(text) - len(seen)
        while left and (end := event_end.search(text, max(start, searched))):
            event = text[start : end.end()]
            yield Frame(at, event, _kind(event, wire, lines))
            start = end.end()
            left -= 1
        held, last = [text[start:]], text[start:][-_END_SIZE + 1 :]
    if any(held):
        yield Frame(at, b"".join(held), "part")


def _is_listed(exchange: Exchange, heard: UpstreamAnswer) -> bool:
    """Tell whether an answer is a stream that is an array."""
    call, wire = exchange.claim.call, exchange.claim.wire
    asked = call is not None and wire is not None and call.stream and wire.framing(call.request.query) == "array"
    return asked and heard.status < 400 and framing_of(heard.pieces[0][1] if heard.pieces else b"") == "array"


def _items(wire: Wire | None, pieces: Sequence[tuple[float, bytes]]) -> Iterator[Frame]:
    """Yield a frame for each item of an array, at the time when it was whole; its end is what is done."""
    items, left, at = Items(), MOST_PIECES, 0.0
    for at, data in pieces:
        if left <= 0:
            items.left += data
            continue
        for item in items.feed(data):
            yield Frame(at, item, "data")
            left -= 1
    if rest := bytes(items.left):
        yield Frame(at, rest, "part" if payload(rest) else "done")


def _kind(event: bytes, wire: Wire | None, lines: bool) -> str:
    if not (event.strip() if lines else re.search(rb"(?m)^data:", event)):
        return "comment"
    return "done" if wire and wire.ends(payload(event)) else "data"


def _request_notes(provider: Provider, exchange: Exchange, status: int) -> Iterator[Note]:
    """Yield what the docs don't say of the request, or rule out, with what the upstream made of it."""
    for note in (*exchange.notes, *_undocumented(provider, exchange)):
        if note.message.startswith("is not in the docs"):
            note = replace(note, message=f"is not in the docs; the answer was {status}")
        yield note
    refusal = exchange.claim.refusal
    if refusal:
        for item in refusal.details or [refusal]:
            path, message = getattr(item, "path", ""), item.message or refusal.name
            yield Note(item.fact, path, f"the docs rule this out ({message}); the answer was {status}")


def _undocumented(provider: Provider, exchange: Exchange) -> Iterator[Note]:
    """Yield the fields that the docs don't name of a request that they rule out; of others they are noted already."""
    operation = provider.operations.get(exchange.claim.operation or "")
    if exchange.claim.refusal and operation and operation.has_body:
        with suppress(Refusal):
            yield from undocumented_fields(operation, operation.checks(frozenset()), decode(exchange.request.body))
