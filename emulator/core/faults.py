"""Faults: what happens to a reply on the wire. Each is a function Timeline -> Timeline (None: no hold)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.timing import parse_wait
from emulator.core.wire import FOREVER, Frame, Timeline


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a reply: its kind in FAULTS, its arguments, and how often it strikes."""

    kind: str
    arguments: Mapping[str, Json]
    chance: float = 1.0


def parse_fault(item: Mapping[str, Json]) -> Fault:
    """Read `{KIND: {...}, chance: 0.1}`.

    Raises: ValueError, for a duration that is none.
    """
    kind = next(key for key in item if key != "chance")
    arguments = dict(item[kind])
    if "for" in arguments:
        arguments["for"] = parse_wait(arguments["for"])
    return Fault(kind, arguments, item.get("chance", 1.0))


def apply(timeline: Timeline, faults: tuple[Fault, ...], draw: Draw) -> tuple[Timeline, list[str]]:
    """Apply faults in order; return what a person should know of those that had no hold."""
    notes: list[str] = []
    for index, fault in enumerate(faults):
        label = f"fault/{index}"
        if fault.chance < 1 and draw.uniform(label) >= fault.chance:
            continue
        changed = FAULTS[fault.kind](timeline, fault.arguments, draw, label)
        if changed is None:
            notes.append(f"the fault {fault.kind} had nothing to act on here")
        else:
            timeline = replace(changed, faults=(*timeline.faults, fault.kind))
    return timeline, notes


def _cut(timeline: Timeline, arguments: Mapping[str, Any], draw: Draw, label: str) -> Timeline | None:
    """End early: after k data events, after a number of body bytes, or before the last event."""
    how = arguments.get("how", "fin")
    if "after_bytes" in arguments:
        frames = _first_bytes(timeline.frames, arguments["after_bytes"])
    elif not timeline.stream:
        return None
    elif "after_chunks" in arguments:
        frames = _first_events(timeline.frames, arguments["after_chunks"])
    else:
        frames = tuple(frame for frame in timeline.frames if frame.kind != "done")
    if frames is None or frames == timeline.frames:
        return None
    length = timeline.length
    if how == "clean" and length is not None:
        length = sum(len(frame.data) for frame in frames)
    end_at = frames[-1].at if frames else timeline.head_at
    return replace(timeline, frames=frames, end=how, end_at=end_at, length=length)


def _first_events(frames: tuple[Frame, ...], count: int) -> tuple[Frame, ...] | None:
    kept: list[Frame] = []
    for frame in frames:
        if frame.kind in ("data", "done"):
            count -= 1
        if count < 0:
            return tuple(kept)
        kept.append(frame)
    return None


def _first_bytes(frames: tuple[Frame, ...], count: int) -> tuple[Frame, ...] | None:
    kept: list[Frame] = []
    for frame in frames:
        if len(frame.data) > count:
            return (*kept, replace(frame, data=frame.data[:count])) if count else tuple(kept)
        kept.append(frame)
        count -= len(frame.data)
    return None


def _stall(timeline: Timeline, arguments: Mapping[str, Any], draw: Draw, label: str) -> Timeline | None:
    """Fall silent after k data events; what follows comes that much later."""
    if not timeline.stream:
        return None
    before = _first_events(timeline.frames, arguments["after_chunks"])
    if before is None:
        return None
    rest = timeline.frames[len(before) :]
    seconds = arguments["for"].draw(draw, label)
    if seconds == FOREVER:
        silence = Frame(rest[0].at, b"", "hold")
        return replace(timeline, frames=(*before, silence, *rest))
    later = tuple(replace(frame, at=frame.at + seconds) for frame in rest)
    return replace(timeline, frames=(*before, *later), end_at=timeline.end_at + seconds)


FAULTS: Mapping[str, Callable[[Timeline, Mapping[str, Any], Draw, str], Timeline | None]] = {
    "cut": _cut,
    "stall": _stall,
}
