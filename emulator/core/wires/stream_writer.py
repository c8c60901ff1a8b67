"""Writing the events of a stream: those of a moment, and those of each piece of a part."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from emulator.core.errors import Json
from emulator.core.wires.completion import Part, Tally
from emulator.core.wires.reader import Match
from emulator.core.wires.template import NUMBER, PIECE, TOKENS
from emulator.core.wires.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """The template of an event: what writes it, what reads its data (None: a text that is no JSON)."""

    write: Writer
    match: Match | None
    by_choice: bool
    text: str  # of data that is no JSON
    whole: str | None = None  # the field that holds the whole answer
    condition: str | None = None  # without this value it is left out
    rows: str | None = None  # it is sent for each row of this value
    name: str | None = None  # where none of its data's fields names it
    fields: frozenset[str] = frozenset()  # those of its data


#: An event, and when it is sent: `data` waits for its time, `along` comes with the event before it, `done` ends.
Sent: TypeAlias = tuple[bytes, str]


def written(events: Sequence[Event], scope: dict[str, Json], when: str) -> list[Sent]:
    """Write each event, once for each choice or each row of what it is about."""
    found = []
    for event in events:
        if event.condition and scope[event.condition] is None:
            continue
        rows: Sequence[Mapping[str, Json]] = (scope[event.rows] or ()) if event.rows else ({},)
        for row in rows:
            for choice in range(scope["choices"]) if event.by_choice else (0,):
                found.append((event.write({**scope, **row, "choice": choice} if row or choice else scope), when))
                scope[NUMBER] += 1
    return found


def part_written(
    events: Sequence[Event], scope: dict[str, Json], pieces: Iterable[bytes], part: Part, tally: Tally | None,
    numbered: bool,
) -> list[Sent]:  # fmt: skip
    """Write a part's pieces, each between bytes that are the same for all, and before them what is echoed."""
    if tally:
        return _counted(events, scope, pieces, part, tally)
    if scope[TOKENS]:
        return _tokens(events, scope, pieces)
    if numbered:
        return _numbered(events, scope, pieces)
    echoes = scope["echoes"] if part.kind == "text" else ()
    sides = [event.write.around(inner) for event, inner in _by_choice(events, scope)]
    echoed = zip(sides, map(orjson.dumps, echoes), strict=False)
    found = [(before + text + after, "data") for (before, after), text in echoed]
    if len(sides) == 1:
        before, after = sides[0]
        return found + [(before + piece + after, "data") for piece in pieces]
    return found + [(before + piece + after, "data") for piece in pieces for before, after in sides]


def _tokens(events: Sequence[Event], scope: dict[str, Json], pieces: Iterable[bytes]) -> list[Sent]:
    """Write a part's pieces, each with the tokens that begin in it."""
    rows, begins, end, found = scope[TOKENS], list[int](), 0, list[Sent]()
    for row in rows:
        begins.append(end)
        end += len(row["token.text"])
    at = 0
    for piece in map(orjson.loads, pieces):
        inside = rows[bisect_left(begins, at) : bisect_left(begins, at + len(piece))]
        at += len(piece)
        given = scope | {PIECE: piece, TOKENS: inside}
        found += written(events, given, "data")
        scope[NUMBER] = given[NUMBER]
    return found


def _counted(
    events: Sequence[Event], scope: dict[str, Json], pieces: Iterable[bytes], part: Part, tally: Tally
) -> list[Sent]:
    """Write a part's pieces, each with the usage of what was said until then."""
    forms = [event.write.around(inner) for event, inner in _by_choice(events, {**scope, **tally.marked(part.kind)})]
    return [(data, "data") for data in (tally.fill(part, pieces, forms) if forms else ())]


def _numbered(events: Sequence[Event], scope: dict[str, Json], pieces: Iterable[bytes]) -> list[Sent]:
    """Write a part's pieces, each with its number in the stream."""
    forms = [event.write.numbered(inner) for event, inner in _by_choice(events, scope)]
    sent = [(form, piece) for piece in pieces for form in forms]
    first = scope[NUMBER]
    scope[NUMBER] += len(sent)
    return [(form % {b"piece": piece, b"n": n}, "data") for n, (form, piece) in enumerate(sent, first)]


def _by_choice(events: Sequence[Event], scope: Mapping[str, Json]) -> Iterator[tuple[Event, Mapping[str, Json]]]:
    """Yield each event with the values of its holes, for each choice that it is sent for."""
    for event in events:
        for choice in range(scope["choices"]) if event.by_choice else (0,):
            yield event, {**scope, "choice": choice} if choice else scope
