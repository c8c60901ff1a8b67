"""Event streams: texts in pieces, events as bytes, and the time of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, repeat

from emulator.core.answer.render import Turn
from emulator.core.errors import Json
from emulator.core.scenario.scenario import Reply
from emulator.core.tokens import pieces
from emulator.core.tree import compact
from emulator.core.values import FOREVER, Frame, Timeline
from emulator.core.wires.sse import TYPES, event, framed


def render_events(turn: Turn, items: Sequence[Json], reply: Reply) -> Timeline:
    """Render raw data items as an event stream."""
    wire = turn.operation.wire
    events = []
    for item in items:
        data = (item if isinstance(item, str) else compact(item)).encode(errors="replace")
        last = wire is not None and wire.ends(data)
        events.append((wire.event(data) if wire else event(data), "done" if last else "data"))
    return timed(turn, events, reply)


def split(text: str, how: Json) -> list[str]:
    """Split a text into the pieces of a stream; joined, they are the text again.

    `how`: tokens, words, chars, a number of characters, or a list of pieces whose lengths are taken.
    """
    if isinstance(how, list):
        return _cut_alike(text, how)
    if how == "tokens":
        return pieces(text)
    if how == "words":
        words = text.split(" ")
        return [word if not index else " " + word for index, word in enumerate(words) if word or index]
    size = 1 if how == "chars" else how
    return [text[start : start + size] for start in range(0, len(text), size)]


def _cut_alike(text: str, parts: Iterable[str]) -> list[str]:
    """Cut a text where the pieces end; what is longer than all of them is the last piece."""
    kept, start = [], 0
    for part in parts:
        kept.append(text[start : start + len(part)])
        start += len(part)
    return [piece for piece in (*kept, text[start:]) if piece]


def timed(turn: Turn, events: Sequence[tuple[bytes, str]], reply: Reply) -> Timeline:
    """Frame events and give each its time: latency, then ttft, then itl between the following; the last one at once."""
    framing = turn.operation.wire.framing(turn.call.request.query) if turn.operation.wire else "sse"
    events = framed(events, framing)
    latency = reply.latency.draw(turn.draw, "latency")
    begun, waits = 0.0 if latency == FOREVER else latency, _waits(turn, events, reply)
    silent = FOREVER in waits
    times = list(accumulate([0.0 if wait == FOREVER else wait for wait in waits] if silent else waits, initial=begun))
    data, kinds = zip(*events, strict=True) if events else ((), ())
    kinds = tuple(["data" if kind == "along" else kind for kind in kinds]) if "along" in kinds else kinds
    frames = list(map(Frame._make, zip(times[1:], data, kinds, strict=True)))
    if silent:
        pairs = [(Frame(frame.at, b"", "hold"), frame) if wait == FOREVER else (frame,)
                 for wait, frame in zip(waits, frames, strict=True)]  # fmt: skip
        frames = [frame for pair in pairs for frame in pair]
    headers = (("content-type", TYPES[framing]),)
    return Timeline(reply.status or 200, headers, tuple(frames), True, latency, "complete", times[-1])


def _waits(turn: Turn, events: Sequence[tuple[bytes, str]], reply: Reply) -> list[float]:
    """Return the wait before each event; the last, and what comes along, come at once, unless nothing else does."""
    pace, model = reply.pace, turn.provider.models.get(turn.model)
    if pace.documented and model:
        waits = [model.ttft, *repeat(model.itl, len(events) - 1)][: len(events)]
    else:
        given = [pace.ttft, *pace.waits][: len(events)]
        waits = [wait.draw(turn.draw, f"wait/{index}") for index, wait in enumerate(given)]
        if pace.itl.kind == "fixed":
            waits += repeat(pace.itl.first, len(events) - len(given))
        else:
            waits += [pace.itl.draw(turn.draw, f"wait/{index}") for index in range(len(given), len(events))]
    for index, (_, kind) in enumerate(events):
        if kind != "data" and index:
            waits[index] = 0.0
    return waits
