"""Writing the events of a stream: those of a moment, and those of each piece of a part."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import TypeAlias

import orjson

from emulator.core.errors import Json
from emulator.core.tokens import pieces as pieces_of
from emulator.core.wires.completion import SAID, Part, counts
from emulator.core.wires.reader import Match
from emulator.core.wires.template import NUMBER, PIECE, TOKENS
from emulator.core.wires.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """The template of an event: what writes it, and what reads its data."""

    write: Writer
    match: Match
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
    if tally or (numbered and not scope[TOKENS]):
        return _filled(events, scope, list(pieces), part, tally)
    if scope[TOKENS]:
        return _tokens(events, scope, pieces)
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


def _filled(
    events: Sequence[Event], scope: dict[str, Json], pieces: Sequence[bytes], part: Part, tally: Tally | None
) -> list[Sent]:
    """Write a part's pieces, each with its number in the stream, and the usage of what was said until then."""
    marked = scope | tally.marked(part.kind) if tally else scope
    forms = [_form(event.write.numbered(inner)) if tally else event.write.numbered(inner)
             for event, inner in _by_choice(events, marked)]  # fmt: skip
    found: list[Sent] = []
    for piece, so_far in zip(pieces, tally.told(part, pieces) if tally and forms else repeat({}), strict=False):
        for form in forms:
            found.append((form % {b"piece": piece, b"n": scope[NUMBER], **so_far}, "data"))
            scope[NUMBER] += 1
    return found


def _by_choice(events: Sequence[Event], scope: Mapping[str, Json]) -> Iterator[tuple[Event, Mapping[str, Json]]]:
    """Yield each event with the values of its holes, for each choice that it is sent for."""
    for event in events:
        for choice in range(scope["choices"]) if event.by_choice else (0,):
            yield event, {**scope, "choice": choice} if choice else scope


# Usage as a stream tells it that counts on: in each event, what was said until then

#: What stands for a count in the event of a piece, until it is written.
_MARKS = {"usage.reasoning": 7_000_000_000_000_001, f"usage.{SAID}": 7_000_000_000_000_003,
          "usage.output": 7_000_000_000_000_007, "usage.total": 7_000_000_000_000_009}  # fmt: skip


def _form(event: bytes) -> bytes:
    """Return a form of an event with holes in the place of marks."""
    for name, mark in _MARKS.items():
        event = event.replace(b"%d" % mark, b"%%(%b)d" % name.encode())
    return event


@dataclass(slots=True)
class Tally:
    """What of an answer's usage was said so far, in all of its choices."""

    usage: Mapping[str, int]
    choices: int
    said: int = 0
    thought: int = 0

    def add(self, kind: str, tokens: int) -> None:
        if kind == "reasoning":
            self.thought = min(self.thought + tokens * self.choices, self.usage.get("reasoning", 0))
        else:
            most = self.usage["output"] - self.usage.get("reasoning", 0)
            self.said = min(self.said + tokens * self.choices, most)

    def values(self) -> dict[str, Json]:
        output = self.said + self.thought
        so_far = {"output": output, "total": self.usage["input"] + output, "reasoning": self.thought}
        return counts({**self.usage, **so_far})

    def marked(self, kind: str) -> dict[str, Json]:
        """Return the values with marks for those that each piece of a kind changes."""
        same = f"usage.{SAID}" if kind == "reasoning" else "usage.reasoning"
        return self.values() | {name: mark for name, mark in _MARKS.items() if name != same}

    def told(self, part: Part, given: Iterable[bytes]) -> Iterator[dict[bytes, Json]]:
        """Yield the values once each piece of a part is said: as many of its tokens as were begun by then."""
        ends, before = list(accumulate(map(len, pieces_of(part.text)))), 0
        for end in accumulate(len(orjson.loads(piece)) for piece in given):
            begun = min(bisect_left(ends, end) + 1, len(ends))
            self.add(part.kind, begun - before)
            before = begun
            yield {name.encode(): value for name, value in self.values().items()}
