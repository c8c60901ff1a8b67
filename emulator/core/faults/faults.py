"""Faults: what happens to a reply on the wire. Each is a function Timeline -> Timeline (None: no hold).

Ends and contents are here, times and pieces in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.durations import FOREVER, parse_wait
from emulator.core.errors import Json
from emulator.core.faults.chunks import (
    FaultInput,
    Frames,
    bandwidth,
    before,
    by_events,
    changed,
    comment,
    data_of,
    ended,
    event_of,
    merge,
    slice_,
    slow_headers,
    stall,
)
from emulator.core.frozen import frozen
from emulator.core.seeded_random import Draw
from emulator.core.values import Frame, Timeline
from emulator.core.wires.sse import COMMENT

#: What divides all that is sent anew: it comes last, or the others would not find the events that they are about.
RESHAPING = frozenset(("slice", "merge", "bandwidth"))

#: What an API's own comments are drawn by, where it sends them while a stream waits.
OWN = "own"


@frozen
class Fault:
    """One fault of a reply: its kind in FAULTS, its arguments, and how often it strikes."""

    kind: str
    arguments: Mapping[str, Any]
    chance: float = 1.0


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
    timeline: Timeline,
    faults: Mapping[str, Fault],
    draw: Draw,
    errors: Callable[[Json, int], Sequence[bytes]],
    is_piece: Callable[[bytes], bool] = lambda event: False,
    keep_alive: bytes = COMMENT,
) -> tuple[Timeline, list[str]]:
    """Apply faults, by what they are drawn by, in order, RESHAPING ones after all others; return which had no hold.

    What is there under the label OWN the API does by itself: it is no fault.
    """
    idle: list[str] = []
    for label, fault in sorted(faults.items(), key=lambda item: item[1].kind in RESHAPING):
        if fault.chance < 1 and draw.uniform(label) >= fault.chance:
            continue
        arguments = by_events(timeline, fault.arguments, is_piece)
        given = None if arguments is None else FaultInput(arguments, draw, label, errors, keep_alive)
        changed = FAULTS[fault.kind](timeline, given) if given else None
        if changed is None:
            idle.append(label)
        else:
            timeline = replace(changed, faults=timeline.faults if label == OWN else (*timeline.faults, fault.kind))
    return timeline, idle


# Ends


def cut(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """End early: after k chunks, after a number of body bytes, or before [DONE] or, where there is none, the end."""
    arguments, frames = given.arguments, timeline.frames
    kept: Frames | None
    if "after_bytes" in arguments:
        kept = _first_bytes(frames, arguments["after_bytes"])
    elif "after_chunks" in arguments:
        kept = before(timeline, arguments["after_chunks"])
    else:
        kept = tuple(frame for frame in frames if frame.kind != "done")
    if kept is None or (not timeline.stream if "before" in arguments else kept == frames):
        return None
    return ended(timeline, kept, arguments.get("how", "fin"))


def _first_bytes(frames: Frames, count: int) -> Frames | None:
    kept: list[Frame] = []
    for frame in frames:
        if len(frame.data) > count:
            return (*kept, frame._replace(data=frame.data[:count])) if count else tuple(kept)
        kept.append(frame)
        count -= len(frame.data)
    return None


def drop_done(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """End well, but without [DONE]."""
    kept = tuple(frame for frame in timeline.frames if frame.kind != "done")
    return None if kept == timeline.frames else ended(timeline, kept)


def half_event(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Break chunk k off in its middle, and end there, well-formed as HTTP."""
    place = event_of(timeline, given.arguments["chunk"])
    if place is None:
        return None
    begun = timeline.frames[: place[0]]
    half = len(data_of(timeline.frames[slice(*place)])) // 2
    return ended(timeline, _first_bytes(timeline.frames[: place[1]], len(data_of(begun)) + half) or begun)


def error_event(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send an error as the API tells it in a stream after k chunks, and end there."""
    kept = before(timeline, given.arguments["after_chunks"])
    if kept is None:
        return None
    at = timeline.frames[len(kept)].at
    events = given.errors(given.arguments["error"], given.arguments["after_chunks"])
    return ended(timeline, (*kept, *(Frame(at, event, "data") for event in events)))


def empty(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send no body at all."""
    return ended(timeline, ()) if data_of(timeline.frames) else None


# Contents


def corrupt(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Put a byte that is neither UTF-8 nor JSON in the middle of chunk k."""

    def change(frames: Frames) -> Frames:
        data = data_of(frames)
        middle = len(data) // 2
        return (frames[-1]._replace(data=data[:middle] + b"\xff" + data[middle + 1 :]),)

    return changed(timeline, given.arguments["chunk"], change)


def duplicate(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Send chunk k twice."""
    return changed(timeline, given.arguments["chunk"], lambda frames: frames * 2)


def reorder(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Let two chunks change places; their times stay."""
    first, second = sorted(given.arguments["chunks"])
    mine, other = event_of(timeline, first), event_of(timeline, second)
    if mine is None or other is None or mine == other:
        return None
    frames = timeline.frames
    earlier, later = frames[slice(*mine)], frames[slice(*other)]
    one = Frame(earlier[-1].at, data_of(later), later[-1].kind)
    two = Frame(later[-1].at, data_of(earlier), earlier[-1].kind)
    between = frames[mine[1] : other[0]]
    return replace(timeline, frames=(*frames[: mine[0]], one, *between, two, *frames[other[1] :]))


def wrong_content_type(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Call the body a web page."""
    kept = tuple(item for item in timeline.headers if item[0].lower() != "content-type")
    return replace(timeline, headers=(("content-type", "text/html; charset=utf-8"), *kept))


def invalid_json(timeline: Timeline, given: FaultInput) -> Timeline | None:
    """Take the last byte of a whole answer's JSON away."""
    data = data_of(timeline.frames)
    if timeline.stream or not data:
        return None
    body = timeline.frames[-1]._replace(data=data[:-1])
    return replace(timeline, frames=(body,), length=timeline.length and len(body.data))


#: By kind.
FAULTS: Mapping[str, Callable[[Timeline, FaultInput], Timeline | None]] = {
    fault.__name__.strip("_"): fault for fault in (
        cut, drop_done, half_event, error_event, empty, corrupt, duplicate, reorder, wrong_content_type, invalid_json,
        stall, slow_headers, comment, slice_, bandwidth, merge,
    )
}  # fmt: skip
