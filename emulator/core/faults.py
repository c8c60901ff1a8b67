"""Faults: what happens to a reply on the wire. Each is a function Timeline -> Timeline (None: no hold).

Chunk k is the k-th event that a data line begins, from 1; the role chunk counts, and so does [DONE].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.timing import Wait, parse_wait
from emulator.core.wire import FOREVER, Frame, Timeline

Frames = tuple[Frame, ...]

#: The most lines that `comment` adds, and the most parts that `slice` and `bandwidth` make of an answer.
MOST_COMMENTS = 10_000
MOST_PARTS = 10_000
#: How long a part takes under `bandwidth`: seconds.
PART_S = 0.05
COMMENT = b": keep-alive\n\n"
#: What divides all that is sent anew: it comes last, or the others would not find the events that they are about.
RESHAPING = frozenset(("slice", "merge", "bandwidth"))
_EVENTS = ("data", "done")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a reply: its kind in FAULTS, its arguments, and how often it strikes."""

    kind: str
    arguments: Mapping[str, Any]
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a fault works with: its arguments, where it draws from, and the provider's envelope of an error."""

    arguments: Mapping[str, Any]
    draw: Draw
    label: str
    envelope: Callable[[Json], bytes]

    def seconds(self, name: str) -> float:
        wait: Wait = self.arguments[name]
        return wait.draw(self.draw, f"{self.label}/{name}")


def parse_fault(item: Mapping[str, Json]) -> Fault:
    """Read `{KIND: {...}, chance: 0.1}`.

    Raises: ValueError, for a duration that is none, or one without end where it needs one.
    """
    kind = next(key for key in item if key != "chance")
    arguments = dict(item[kind]) if isinstance(item[kind], Mapping) else {}
    for name in {"for", "every"} & set(arguments):
        arguments[name] = parse_wait(arguments[name])
        if arguments[name].first == FOREVER and kind != "stall":
            raise ValueError(f"{kind} needs a duration that ends")
    if isinstance(arguments.get("error"), str):
        arguments["error"] = {"name": arguments["error"]}
    return Fault(kind, arguments, item.get("chance", 1.0))


def apply(
    timeline: Timeline, faults: Sequence[Fault], draw: Draw, envelope: Callable[[Json], bytes], prefix: str = "fault"
) -> tuple[Timeline, list[str]]:
    """Apply faults in order, RESHAPING ones after all others; return what to know of those that had no hold."""
    notes: list[str] = []
    for index, fault in sorted(enumerate(faults), key=lambda item: item[1].kind in RESHAPING):
        label = f"{prefix}/{index}"
        if fault.chance < 1 and draw.uniform(label) >= fault.chance:
            continue
        changed = FAULTS[fault.kind](timeline, Given(fault.arguments, draw, label, envelope))
        if changed is None:
            notes.append(f"the fault {fault.kind} had nothing to act on here")
        else:
            timeline = replace(changed, faults=(*timeline.faults, fault.kind))
    return timeline, notes


# Where events are


def _events(timeline: Timeline) -> list[tuple[int, int]]:
    """Return where the frames of each event begin and end; parts of an event come before the frame that ends it."""
    found, begun = [], None
    for index, frame in enumerate(timeline.frames if timeline.stream else ()):
        if frame.kind == "part" and begun is None:
            begun = index
        elif frame.kind in _EVENTS:
            found.append((index if begun is None else begun, index + 1))
            begun = None
    return found


def _event(timeline: Timeline, number: int) -> tuple[int, int] | None:
    events = _events(timeline)
    return events[number - 1] if number <= len(events) else None


def _data(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames)


def _before(timeline: Timeline, count: int) -> Frames | None:
    """Return the frames up to the beginning of the event after `count` others; None where it has none."""
    place = _event(timeline, count + 1)
    return timeline.frames[: place[0]] if place else None


def _ended(timeline: Timeline, frames: Frames, how: Any = "clean") -> Timeline:
    """End a timeline after some frames; `clean` is a well-formed end, unless another was decided before."""
    if how == "clean" and timeline.end != "complete":
        how = timeline.end
    length = timeline.length
    if how == "clean" and length is not None:
        length = len(_data(frames))
    return replace(
        timeline, frames=frames, end=how, end_at=frames[-1].at if frames else timeline.head_at, length=length
    )


def _changed(timeline: Timeline, number: int, change: Callable[[Frames], Frames]) -> Timeline | None:
    """Replace the frames of one event that has bytes."""
    place = _event(timeline, number)
    if place is None or not _data(timeline.frames[slice(*place)]):
        return None
    frames = timeline.frames
    return replace(timeline, frames=(*frames[: place[0]], *change(frames[slice(*place)]), *frames[place[1] :]))


# Ends


def _cut(timeline: Timeline, given: Given) -> Timeline | None:
    """End early: after k chunks, after a number of body bytes, or before [DONE]."""
    arguments, frames = given.arguments, timeline.frames
    kept: Frames | None
    if "after_bytes" in arguments:
        kept = _first_bytes(frames, arguments["after_bytes"])
    elif "after_chunks" in arguments:
        kept = _before(timeline, arguments["after_chunks"])
    else:
        kept = tuple(frame for frame in frames if frame.kind != "done")
    if kept is None or kept == frames or ("before" in arguments and not timeline.stream):
        return None
    return _ended(timeline, kept, arguments.get("how", "fin"))


def _first_bytes(frames: Frames, count: int) -> Frames | None:
    kept: list[Frame] = []
    for frame in frames:
        if len(frame.data) > count:
            return (*kept, replace(frame, data=frame.data[:count])) if count else tuple(kept)
        kept.append(frame)
        count -= len(frame.data)
    return None


def _drop_done(timeline: Timeline, given: Given) -> Timeline | None:
    """End well, but without [DONE]."""
    kept = tuple(frame for frame in timeline.frames if frame.kind != "done")
    return None if kept == timeline.frames else _ended(timeline, kept)


def _half_event(timeline: Timeline, given: Given) -> Timeline | None:
    """Break chunk k off in its middle, and end there, well-formed as HTTP."""
    place = _event(timeline, given.arguments["chunk"])
    if place is None:
        return None
    begun = timeline.frames[: place[0]]
    half = len(_data(timeline.frames[slice(*place)])) // 2
    return _ended(timeline, _first_bytes(timeline.frames[: place[1]], len(_data(begun)) + half) or begun)


def _error_event(timeline: Timeline, given: Given) -> Timeline | None:
    """Send an error in the provider's envelope as an event after k chunks, and end there."""
    kept = _before(timeline, given.arguments["after_chunks"])
    if kept is None:
        return None
    at = timeline.frames[len(kept)].at
    return _ended(timeline, (*kept, Frame(at, b"data: %b\n\n" % given.envelope(given.arguments["error"]), "data")))


def _empty(timeline: Timeline, given: Given) -> Timeline | None:
    """Send no body at all."""
    return _ended(timeline, ()) if _data(timeline.frames) else None


# Contents


def _corrupt(timeline: Timeline, given: Given) -> Timeline | None:
    """Put a byte that is neither UTF-8 nor JSON in the middle of chunk k."""

    def change(frames: Frames) -> Frames:
        data = _data(frames)
        middle = len(data) // 2
        return (replace(frames[-1], data=data[:middle] + b"\xff" + data[middle + 1 :]),)

    return _changed(timeline, given.arguments["chunk"], change)


def _duplicate(timeline: Timeline, given: Given) -> Timeline | None:
    """Send chunk k twice."""
    return _changed(timeline, given.arguments["chunk"], lambda frames: frames * 2)


def _reorder(timeline: Timeline, given: Given) -> Timeline | None:
    """Let two chunks change places; their times stay."""
    first, second = sorted(given.arguments["chunks"])
    mine, other = _event(timeline, first), _event(timeline, second)
    if mine is None or other is None or mine == other:
        return None
    frames = timeline.frames
    earlier, later = frames[slice(*mine)], frames[slice(*other)]
    moved = [Frame(earlier[-1].at, _data(later), later[-1].kind), Frame(later[-1].at, _data(earlier), earlier[-1].kind)]
    between = frames[mine[1] : other[0]]
    return replace(timeline, frames=(*frames[: mine[0]], moved[0], *between, moved[1], *frames[other[1] :]))


def _wrong_content_type(timeline: Timeline, given: Given) -> Timeline | None:
    """Call the body a web page."""
    kept = tuple(item for item in timeline.headers if item[0].lower() != "content-type")
    return replace(timeline, headers=(("content-type", "text/html; charset=utf-8"), *kept))


def _invalid_json(timeline: Timeline, given: Given) -> Timeline | None:
    """Take the last byte of a whole answer's JSON away."""
    data = _data(timeline.frames)
    if timeline.stream or not data:
        return None
    body = replace(timeline.frames[-1], data=data[:-1])
    return replace(timeline, frames=(body,), length=timeline.length and len(body.data))


# Times and pieces


def _stall(timeline: Timeline, given: Given) -> Timeline | None:
    """Fall silent after k chunks; what follows comes that much later."""
    before = _before(timeline, given.arguments["after_chunks"])
    if before is None:
        return None
    rest = timeline.frames[len(before) :]
    seconds = given.seconds("for")
    if seconds == FOREVER:
        return replace(timeline, frames=(*before, Frame(rest[0].at, b"", "hold"), *rest))
    return replace(timeline, frames=(*before, *_later(rest, seconds)), end_at=timeline.end_at + seconds)


def _later(frames: Sequence[Frame], seconds: float) -> Iterator[Frame]:
    return (replace(frame, at=frame.at + seconds) for frame in frames)


def _slow_headers(timeline: Timeline, given: Given) -> Timeline | None:
    """Send the status line and the headers slowly; all that follows comes later by as long."""
    seconds = given.seconds("for")
    frames = tuple(_later(timeline.frames, seconds))
    return replace(timeline, frames=frames, head_s=timeline.head_s + seconds, end_at=timeline.end_at + seconds)


def _comment(timeline: Timeline, given: Given) -> Timeline | None:
    """Send a keep-alive line each time that a duration passes while a stream waits."""
    every, at = max(given.seconds("every"), 0.001), timeline.head_at + timeline.head_s
    frames: list[Frame] = []
    for frame in timeline.frames if timeline.stream and at != FOREVER else ():
        room = max(0, MOST_COMMENTS - len(frames))
        count = min(math.ceil((frame.at - at) / every) - 1, room)
        frames += [Frame(at + every * number, COMMENT, "comment") for number in range(1, count + 1)]
        frames.append(frame)
        at = frame.at
    return replace(timeline, frames=tuple(frames)) if len(frames) > len(timeline.frames) else None


def _slice(timeline: Timeline, given: Given) -> Timeline | None:
    """Send the body in pieces of so many bytes (a list: in turn, again and again), each in a write of its own.

    A piece is sent when its last byte is due; where it ends an event, an empty frame after it does.
    """
    size = given.arguments["bytes"]
    least = -(-len(_data(timeline.frames)) // MOST_PARTS)
    sizes = (max(item, least) for item in cycle(size if isinstance(size, list) else [size]))
    frames: list[Frame] = []
    held, size = b"", next(sizes)
    for frame in timeline.frames:
        held, start = held + frame.data, 0
        while len(held) - start >= size or (start < len(held) and frame.kind == "hold"):
            frames.append(Frame(frame.at, held[start : start + size], "part"))
            start, size = start + size, next(sizes)
        held = held[start:]
        frames.append(replace(frame, data=b""))
    if held:
        frames[-1] = replace(frames[-1], data=held)
    return replace(timeline, frames=tuple(frames), apart=True)


def _parts(frame: Frame, sizes: Iterator[int]) -> Iterator[Frame]:
    """Cut a frame in pieces; all but the last are parts."""
    data, start = frame.data, 0
    while start < len(data):
        piece = data[start : start + next(sizes)]
        start += len(piece)
        yield Frame(frame.at, piece, "part" if start < len(data) else frame.kind)
    if not frame.data:
        yield frame


def _bandwidth(timeline: Timeline, given: Given) -> Timeline | None:
    """Let no more than so many bytes of the body through in a second."""
    rate, total = given.arguments["bytes_per_second"], len(_data(timeline.frames))
    if not total:
        return None
    size = max(math.ceil(rate * PART_S), math.ceil(total / MOST_PARTS))
    frames: list[Frame] = []
    free = timeline.head_at + timeline.head_s if timeline.head_at != FOREVER else 0.0
    for frame in timeline.frames:
        for part in _parts(frame, cycle([size])):
            free = max(free, part.at) + len(part.data) / rate
            frames.append(replace(part, at=free))
    return replace(timeline, frames=tuple(frames), end_at=max(timeline.end_at, free))


def _merge(timeline: Timeline, given: Given) -> Timeline | None:
    """Hold chunks back, and send so many of them in one piece; the chunks before the last of each are left empty."""
    events, count = _events(timeline), given.arguments["chunks"]
    if len(events) < 2 or count < 2:
        return None
    frames = list(timeline.frames)
    for first in range(0, len(events), count):
        group = list(islice(events, first, first + count))
        start, stop = group[0][0], group[-1][1]
        data, at = _data(frames[start:stop]), frames[stop - 1].at
        for index in range(start, stop):
            frames[index] = replace(frames[index], at=at, data=data if index == stop - 1 else b"")
    return replace(timeline, frames=tuple(frames))


FAULTS: Mapping[str, Callable[[Timeline, Given], Timeline | None]] = {
    "cut": _cut,
    "drop_done": _drop_done,
    "half_event": _half_event,
    "error_event": _error_event,
    "empty": _empty,
    "corrupt": _corrupt,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "wrong_content_type": _wrong_content_type,
    "invalid_json": _invalid_json,
    "stall": _stall,
    "slow_headers": _slow_headers,
    "comment": _comment,
    "slice": _slice,
    "bandwidth": _bandwidth,
    "merge": _merge,
}
