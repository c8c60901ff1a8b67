"""Where the events of a timeline are, what a fault works with, and the faults of times and pieces.

Chunk k is the k-th event that a data line begins, from 1; the role chunk counts, and so does [DONE].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from emulator.core.durations import FOREVER, Wait
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.seeded_random import Draw
from emulator.core.values import Frame, Timeline
from emulator.core.wires.sse import COMMENT

Frames = tuple[Frame, ...]

_EVENTS = ("data", "done")


@frozen
class FaultInput:
    """What a fault works with: its arguments, where it draws from, and what writes an error after so many events."""

    arguments: Mapping[str, Any]
    draw: Draw
    label: str
    errors: Callable[[Json, int], Sequence[bytes]]
    keep_alive: bytes = COMMENT  # what is sent so that a connection is kept; nothing, where nothing may be

    def seconds(self, name: str) -> float:
        wait: Wait = self.arguments[name]
        return wait.draw(self.draw, f"{self.label}/{name}")


def events_of(timeline: Timeline) -> list[tuple[int, int]]:
    """Return where the frames of each event begin and end; parts of an event come before the frame that ends it."""
    found, begun = [], None
    for index, frame in enumerate(timeline.frames if timeline.stream else ()):
        if frame.kind == "part" and begun is None:
            begun = index
        elif frame.kind in _EVENTS:
            found.append((index if begun is None else begun, index + 1))
            begun = None
    return found


def event_of(timeline: Timeline, number: int) -> tuple[int, int] | None:
    events = events_of(timeline)
    return events[number - 1] if number <= len(events) else None


def by_events(
    timeline: Timeline, arguments: Mapping[str, Any], is_piece: Callable[[bytes], bool]
) -> Mapping[str, Any] | None:
    """Return arguments that count events in place of pieces of what is said; None where there are not so many."""
    asked = next((name for name in _OF_PIECES if name in arguments), None)
    if asked is None:
        return arguments
    places = enumerate(events_of(timeline), 1)
    found = [number for number, place in places if is_piece(data_of(timeline.frames[slice(*place)]))]
    count: int = arguments[asked]
    if count > len(found) or not found:
        return None
    number = found[count - 1] if count else found[0] - 1
    return {name: value for name, value in arguments.items() if name != asked} | {_OF_PIECES[asked]: number}


_OF_PIECES = {"after_pieces": "after_chunks", "piece": "chunk"}


def data_of(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames)


def before(timeline: Timeline, count: int) -> Frames | None:
    """Return the frames up to the beginning of the event after `count` others; None where it has none."""
    place = event_of(timeline, count + 1)
    return timeline.frames[: place[0]] if place else None


def ended(timeline: Timeline, frames: Frames, how: Any = "clean") -> Timeline:
    """End a timeline after some frames; `clean` is a well-formed end, unless another was decided before."""
    if how == "clean" and timeline.end != "complete":
        how = timeline.end
    length = timeline.length
    if how == "clean" and length is not None:
        length = len(data_of(frames))
    end_at = frames[-1].at if frames else timeline.head_at
    return replace(timeline, frames=frames, end=how, end_at=end_at, length=length)


def changed(timeline: Timeline, number: int, change: Callable[[Frames], Frames]) -> Timeline | None:
    """Replace the frames of one event that has bytes."""
    place = event_of(timeline, number)
    if place is None or not data_of(timeline.frames[slice(*place)]):
        return None
    frames = timeline.frames
    return replace(timeline, frames=(*frames[: place[0]], *change(frames[slice(*place)]), *frames[place[1] :]))


# Faults of time and of pieces: when what is sent is sent, and how it is divided; all of it arrives


#: The most lines that `comment` adds, and the most parts that `slice` and `bandwidth` make of an answer.
MOST_COMMENTS = 10_000
MOST_PARTS = 10_000
#: How long a part takes under `bandwidth`: seconds.
PART_S = 0.05


def stall(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Fall silent after k chunks; what follows comes that much later."""
    kept = before(timeline, given.arguments["after_chunks"])
    if kept is None:
        return None
    rest = timeline.frames[len(kept) :]
    seconds = given.seconds("for")
    if seconds == FOREVER:
        return replace(timeline, frames=(*kept, Frame(rest[0].at, b"", "hold"), *rest))
    return replace(timeline, frames=(*kept, *_later(rest, seconds)), end_at=timeline.end_at + seconds)


def _later(frames: Sequence[Frame], seconds: float) -> Iterator[Frame]:
    return (frame._replace(at=frame.at + seconds) for frame in frames)


def slow_headers(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send the status line and the headers slowly; all that follows comes later by as long."""
    seconds = given.seconds("for")
    frames = tuple(_later(timeline.frames, seconds))
    return replace(timeline, frames=frames, head_s=timeline.head_s + seconds, end_at=timeline.end_at + seconds)


def comment(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send a keep-alive line each time that a duration passes while a stream waits."""
    if not given.keep_alive:
        return None
    every, at = max(given.seconds("every"), 0.001), timeline.head_at + timeline.head_s
    frames: list[Frame] = []
    for frame in timeline.frames if timeline.stream and at != FOREVER else ():
        room = max(0, MOST_COMMENTS - len(frames))
        count = min(math.ceil((frame.at - at) / every) - 1, room)
        frames += [Frame(at + every * number, given.keep_alive, "comment") for number in range(1, count + 1)]
        frames.append(frame)
        at = frame.at
    silent = any(frame.kind == "hold" for frame in frames)
    if not silent and len(frames) <= len(timeline.frames):
        return None
    return replace(timeline, frames=tuple(frames), comment_s=every if silent else 0.0, comment=given.keep_alive)


def slice_(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send the body in pieces of so many bytes (a list: in turn, again and again), each in a write of its own.

    A piece is sent when its last byte is due; where it ends an event, an empty frame after it does.
    """
    size = given.arguments["bytes"]
    least = -(-len(data_of(timeline.frames)) // MOST_PARTS)
    sizes = (max(item, least) for item in cycle(size if isinstance(size, list) else [size]))
    frames: list[Frame] = []
    held, size = b"", next(sizes)
    for frame in timeline.frames:
        held, start = held + frame.data, 0
        while len(held) - start >= size or (start < len(held) and frame.kind == "hold"):
            frames.append(Frame(frame.at, held[start : start + size], "part"))
            start, size = start + size, next(sizes)
        held = held[start:]
        frames.append(frame._replace(data=b""))
    if held:
        frames[-1] = frames[-1]._replace(data=held)
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


def bandwidth(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Let no more than so many bytes of the body through in a second."""
    rate, total = given.arguments["bytes_per_second"], len(data_of(timeline.frames))
    if not total:
        return None
    size = max(math.ceil(rate * PART_S), math.ceil(total / MOST_PARTS))
    frames: list[Frame] = []
    free = timeline.head_at + timeline.head_s if timeline.head_at != FOREVER else 0.0
    for frame in timeline.frames:
        for part in _parts(frame, cycle([size])):
            free = max(free, part.at) + len(part.data) / rate
            frames.append(part._replace(at=free))
    return replace(timeline, frames=tuple(frames), end_at=max(timeline.end_at, free))


def merge(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Hold chunks back, and send so many of them in one piece; the chunks before the last of each are left empty."""
    events, count = events_of(timeline), given.arguments["chunks"]
    if len(events) < 2 or count < 2:
        return None
    frames = list(timeline.frames)
    for first in range(0, len(events), count):
        group = list(islice(events, first, first + count))
        start, stop = group[0][0], group[-1][1]
        data, at = data_of(frames[start:stop]), frames[stop - 1].at
        for index in range(start, stop):
            frames[index] = frames[index]._replace(at=at, data=data if index == stop - 1 else b"")
    return replace(timeline, frames=tuple(frames))
