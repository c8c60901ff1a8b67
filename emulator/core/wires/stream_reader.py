"""From what templates found to what was said: the parts of an answer, as its events add to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from emulator.core.errors import Json
from emulator.core.tree import parsed
from emulator.core.wires.completion import CALLS, COUNTS, DETAILS, FRESH, SAID, Annotation, Kind, Part, Token
from emulator.core.wires.reader import PARTS, UNREAD, Found, Match, rows, tells
from emulator.core.wires.sse import payload
from emulator.core.wires.stream_writer import Event
from emulator.core.wires.template import ANNOTATIONS, LIKELY, THOUGHTS, TOKENS


class StreamReader:
    """What the events of a stream have said so far."""

    def __init__(self, every_choice: bool = False) -> None:
        self.said: Found = {}
        self.unread = False
        self._every_choice = every_choice
        self._open: dict[tuple[str, Json], _Heard] = {}
        self._last: dict[str, Json] = {}  # of each kind, the key of its newest part
        self._kinds: dict[Json, str] = {}  # of the part with an index, as it began

    def take(self, moment: str, kind: str, match: Match, value: Json) -> bool:
        """Take what an event says, if it is of that moment; tell whether it is."""
        found: Found = {}
        if not match(value, found):
            return False
        for row in rows(found):
            if row.get("choice") and not self._every_choice:
                continue
            self.unread = self.unread or UNREAD in row
            if kind:
                self._take_part(moment, kind, row)
            else:
                self.said.update((name, item) for name, item in row.items() if name != PARTS)
        return True

    def _take_part(self, moment: str, kind: str, row: Found) -> None:
        piece = row.get("piece", "")
        nameless = moment == "begin" and kind in CALLS and not tells("call", row)
        if moment == "end" or (moment == "piece" and not piece) or nameless:
            self._annotate(kind, row)
            return
        key = row.get("part.index", row.get("part.call"))
        if key is None:
            key = self._last.get(kind) if moment == "piece" else None
            key = len(self._open) if key is None else key
        if moment == "begin" and "part.index" in row:
            self._kinds[key] = kind
        elif moment == "piece" and (kind, key) not in self._open:  # pieces of all kinds may look the same
            kind = self._kinds.get(key, kind)
        self._last[kind] = key
        part = self._open.setdefault((kind, key), _Heard(kind))  # type: ignore[arg-type]
        part.name, part.id = part.name or row.get("part.name", ""), part.id or row.get("part.id", "")
        part.pieces += [text for text in (piece, arguments_of(row), row.get("part.text", "")) if text]
        part.tokens += tokens_of(row)

    def _annotate(self, kind: str, row: Found) -> None:
        """Take the sources of a part that has been said."""
        part = self._open.get((kind, row.get("part.index", self._last.get(kind))))
        if part and (given := annotations_of(row)):
            part.annotations = given

    def parts(self) -> list[Part]:
        return [part.part() for part in self._open.values() if part.pieces or part.kind in CALLS]


@dataclass(slots=True)
class _Heard:
    """A part as it grows."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    annotations: tuple[Annotation, ...] = ()

    def part(self) -> Part:
        tokens, pieces = tuple(self.tokens), tuple(self.pieces)
        return Part(self.kind, "".join(pieces), self.id, self.name, tokens, self.annotations, pieces)


def part_of(kind: Kind, found: Found) -> Part:
    """Return a part of a whole answer."""
    if THOUGHTS in found:
        return Part(kind, "\n\n".join([row["part.text"] for row in found[THOUGHTS]]))
    if kind not in CALLS:
        return Part(kind, found["part.text"], tokens=tuple(tokens_of(found)), annotations=annotations_of(found))
    return Part(kind, arguments_of(found), found.get("part.id", ""), found.get("part.name", ""))


def whole_of(data: Iterable[bytes], events: Iterable[Event]) -> dict[str, Json] | None:
    """Return the whole answer that a stream has in the first of these events that has one."""
    for value in map(parsed, map(payload, data)):
        for event in events:
            if event.whole and event.match(value, {}):
                body = value.get(event.whole)
                return body if isinstance(body, dict) else None
    return None


def tokens_of(found: Mapping[str, Json]) -> list[Token]:
    """Return the tokens that were found of a text."""
    return [
        Token(row["token.text"], row["token.logprob"], tuple(tokens_of({TOKENS: row.get(LIKELY, ())})))
        for row in found.get(TOKENS) or ()
        if "token.text" in row and "token.logprob" in row
    ]


def annotations_of(found: Mapping[str, Json]) -> tuple[Annotation, ...]:
    """Return the sources that were found of a text."""
    usual = {"url": "", "title": "", "start": 0, "end": 0}
    cited = found.get(ANNOTATIONS) or ()
    return tuple([Annotation(*(row.get(f"annotation.{name}", no) for name, no in usual.items())) for row in cited])


def json_text(value: Json) -> str:
    """Return arguments as text; JSON is written as it is."""
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


def arguments_of(found: Mapping[str, Json]) -> str:
    """Return the arguments of a call, or the text that it takes."""
    return json_text(found.get("part.arguments", found.get("part.input")))


def usage_of(found: Mapping[str, Json]) -> dict[str, int] | None:
    """Return usage by the names of COUNTS and DETAILS."""
    usage = {name: found[f"usage.{name}"] for name in (*COUNTS, *DETAILS) if f"usage.{name}" in found}
    if f"usage.{FRESH}" in found:
        usage["input"] = found[f"usage.{FRESH}"] + usage.get("cached", 0) + usage.get("written", 0)
    if f"usage.{SAID}" in found:
        usage["output"] = found[f"usage.{SAID}"] + usage.get("reasoning", 0)
    elif "output" not in usage and {"input", "total"} <= usage.keys():
        usage["output"] = usage["total"] - usage["input"]
    return usage or None
