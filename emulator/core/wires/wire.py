"""A wire: one form of chat API, compiled. It reads requests, writes answers whole or streamed, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.wires.completion import COUNTS, KINDS, Completion, Part
from emulator.core.wires.reader import PARTS, UNREAD, Found, Match
from emulator.core.wires.request import RequestForm
from emulator.core.wires.sse import event as write_event
from emulator.core.wires.sse import payload
from emulator.core.wires.stream_reader import StreamReader, part_of, usage_of
from emulator.core.wires.template import PARTS as WRITTEN
from emulator.core.wires.writer import Scope, Writer

#: What a stream says beside its parts, and of each of them.
MOMENTS = ("start", "finish", "usage", "stop")
OF_PART = ("begin", "piece", "end")


@frozen
class AnswerValues:
    """What is written: a completion, so many times, with the id, the time and the model of its answer."""

    completion: Completion
    id: str = ""
    created: int = 0
    model: str = ""
    choices: int = 1
    echoes: Sequence[str] = ()  # what is said before the text of each choice


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """The template of an event: what writes it, what reads its data (None: a text that is no JSON)."""

    write: Writer
    match: Match | None
    by_choice: bool
    text: str  # of data that is no JSON


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Wire:
    """A form of chat API; `events` are by the moment, and by the kind of a part and its moment."""

    name: str
    request: RequestForm
    words: Mapping[str, Mapping[str, str]]
    write: Writer
    match: Match
    events: Mapping[tuple[str, str], Sequence[Event]]
    event_name: str | None = None  # the field of an event's data that names it
    paced: Literal["events", "pieces"] = "events"
    totals: bool = True  # its usage has a total
    places: Mapping[str, str] = field(default_factory=dict)  # where it says what
    details: Sequence[str] = ()  # of DETAILS, what it tells
    fresh: frozenset[str] = frozenset()  # the fields that hold an answer's id and time

    # Writing

    def whole(self, saying: AnswerValues) -> bytes:
        """Write a whole answer."""
        return self.write(self._scope(saying))

    def streamed(self, saying: AnswerValues, pieces: Sequence[Iterable[bytes]], usage: bool) -> list[tuple[bytes, str]]:
        """Write the events of a stream: the pieces of each part, as JSON, and `usage` where it is asked for.

        What waits for its time is `data`, what comes with the event before it `along`, and the end `done`.
        """
        scope = self._scope(saying)
        scope["usage.asked"] = usage or None
        along = "data" if self.paced == "events" else "along"
        events = self._written("start", "", scope, "data")
        for values, part, said in zip(scope[WRITTEN], saying.completion.parts, pieces, strict=True):
            scope |= values
            events += self._written("begin", part.kind, scope, along)
            events += self._pieces(part.kind, scope, said)
            events += self._written("end", part.kind, scope, along)
        events += self._written("finish", "", scope, along)
        if usage and saying.completion.usage:
            events += self._written("usage", "", scope, along)
        return events + self._written("stop", "", scope, "done")

    def _written(self, moment: str, kind: str, scope: Scope, named: str) -> list[tuple[bytes, str]]:
        return [
            (event.write({**scope, "choice": choice} if choice else scope), named)
            for event in self.events.get((moment, kind), ())
            for choice in (range(scope["choices"]) if event.by_choice else (0,))
        ]

    def _pieces(self, kind: str, scope: Scope, pieces: Iterable[bytes]) -> list[tuple[bytes, str]]:
        """Write a part's pieces, each between bytes that are the same for all."""
        events = self.events.get(("piece", kind), ())
        sides = [
            event.write.around({**scope, "choice": choice} if choice else scope)
            for event in events
            for choice in (range(scope["choices"]) if event.by_choice else (0,))
        ]
        if scope["echoes"] and kind == "text":
            begun = zip(sides, scope["echoes"], strict=False)
            echoed = [(before + orjson.dumps(text) + after, "data") for (before, after), text in begun]
            return echoed + [(before + piece + after, "data") for piece in pieces for before, after in sides]
        if len(sides) == 1:
            before, after = sides[0]
            return [(before + piece + after, "data") for piece in pieces]
        return [(before + piece + after, "data") for piece in pieces for before, after in sides]

    def _scope(self, saying: AnswerValues) -> dict[str, Json]:
        """Return the values of holes."""
        completion = saying.completion
        usage, finish = completion.usage, completion.finish
        counts = usage or _NO_USAGE
        scope = {
            "id": saying.id, "created": saying.created, "model": saying.model, "choices": saying.choices, "choice": 0,
            "text": completion.text(), "refusal": completion.text("refusal"), "finish": finish,
            WRITTEN: list(_values(completion)), "usage": usage, "usage.input": counts["input"],
            "usage.output": counts["output"], "usage.total": counts["total"], "usage.asked": None,
            "echoes": saying.echoes,
        }  # fmt: skip
        for name in self.details:
            scope[f"usage.{name}"] = counts.get(name, 0)
        for name, table in self.words.items():
            scope[name] = table.get(finish or "", finish)
        return scope

    # Events

    def event(self, data: bytes) -> bytes:
        """Write data as an event of this wire, named as its field says."""
        item = parsed(data) if self.event_name else None
        name = item.get(self.event_name) if isinstance(item, dict) else None
        return write_event(data, name.encode(errors="replace") if isinstance(name, str) and name.isprintable() else b"")

    @property
    def last(self) -> str:
        """The data of the last event, where it is always the same; else nothing."""
        for event in reversed(self.events.get(("stop", ""), ())):
            if event.write.constant:
                return payload(event.write({})).decode()
        return ""

    def ends(self, data: bytes) -> bool:
        """Tell whether an event's data is the last of a stream."""
        stop = self._stop
        return stop is not None and (self.ends_with(parsed(data)) if stop.match else stop.text.encode() == data)

    def ends_with(self, value: Json) -> bool:
        """Tell whether an event's data, as JSON, is the last of a stream."""
        return self._stop is not None and self._stop.match is not None and self._stop.match(value, {})

    @property
    def _stop(self) -> Event | None:
        stops = self.events.get(("stop", ""))
        return stops[-1] if stops else None

    @property
    def texts(self) -> list[str]:
        """The data of events that is no JSON."""
        return [event.text for events in self.events.values() for event in events if not event.match]

    # Reading

    def place(self, name: str, choice: str = "0") -> str:
        """Return where an answer says something, of one choice; `*` is each. Nothing, where it does not say it."""
        return self.places.get(name, "").replace("#", choice)

    def read(self, body: Json) -> Completion:
        """Read a whole answer."""
        found: Found = {}
        if not self.match(body, found):
            return Completion(unread=True)
        parts = [Part(kind, found[kind]) for kind in KINDS if kind in found]
        parts += [part_of(kind, part) for kind, part in found.get(PARTS, ())]
        return self._completion(found, parts, UNREAD in found)

    def read_events(self, values: Iterable[Json]) -> Completion:
        """Read the data of a stream's events, of the first choice; one may say several things at once."""
        hearing = StreamReader()
        looks = [(*key, event.match) for key, events in self.events.items() for event in events
                 if event.match and key[0] != "start"]  # fmt: skip
        starts = [event.match for event in self.events.get(("start", ""), ()) if event.match]
        for value in values:
            left = [look for look in starts if not hearing.take("start", "", look, value)]
            heard = [hearing.take(moment, kind, look, value) for moment, kind, look in looks]
            if len(left) == len(starts) and not any(heard) and not self._begins(value):
                hearing.unread = True
            starts = left
        return self._completion(hearing.said, hearing.parts(), hearing.unread)

    def _begins(self, value: Json) -> bool:
        """Tell whether an event says nothing but that an answer begins."""
        return any(event.match(value, {}) for event in self.events.get(("start", ""), ()) if event.match)

    def ending(self, value: Json) -> tuple[bool, bool]:
        """Tell whether an event's data says why its answer ended, and whether it says its usage."""
        hearing = StreamReader(every_choice=True)
        for moment in ("finish", "usage", "stop"):
            for event in self.events.get((moment, ""), ()):
                if event.match:
                    hearing.take(moment, "", event.match, value)
        return any(hearing.said.get(name) for name in ("finish", *self.words)), usage_of(hearing.said) is not None

    def _completion(self, found: Mapping[str, Json], parts: Sequence[Part], unread: bool) -> Completion:
        called = any(part.kind == "call" for part in parts)
        usage = usage_of(found)
        if usage and not self.totals and {"input", "output"} == usage.keys():
            usage["total"] = usage["input"] + usage["output"]
        return Completion(tuple(parts), self._reason(found, called), usage, found.get("model"), unread)

    def _reason(self, found: Mapping[str, Json], called: bool) -> str | None:
        """Return the neutral reason; of a word that stands for several, the one that fits."""
        for name in self.words or ("finish",):
            word = found.get(name)
            reasons = [reason for reason, one in self.words.get(name, {}).items() if one == word]
            if word:
                return "tool_calls" if called and "tool_calls" in reasons else reasons[0] if reasons else str(word)
        return None


def parsed(data: bytes) -> Json:
    """Return JSON; None for what is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


_NO_USAGE = dict.fromkeys(COUNTS)


def _values(completion: Completion) -> Iterator[dict[str, Json]]:
    """Yield the values of each part's holes, with its place among all and among the calls."""
    calls = 0
    broken: Json = {} if completion.finish == "length" else None
    for index, part in enumerate(completion.parts):
        yield {
            "kind": part.kind, "part.id": part.id, "part.name": part.name, "part.text": part.text,
            "part.arguments": part.text, "part.input": _object(part.text, broken) if part.kind == "call" else None,
            "part.index": index, "part.call": calls,
        }  # fmt: skip
        calls += part.kind == "call"


def _object(text: str, broken: Json) -> Json:
    """Return arguments as JSON; in the place of those that are none what is given, else their text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text if broken is None else broken
