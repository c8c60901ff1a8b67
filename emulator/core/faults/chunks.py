"""Where the events of a timeline are, and what a fault works with.

Chunk k is the k-th event that a data line begins, from 1; the role chunk counts, and so does [DONE].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.durations import Wait
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
