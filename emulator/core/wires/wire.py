"""A wire: one form of chat API, compiled. It reads requests, writes answers whole or streamed, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, urlencode

import orjson

from emulator.core.errors import Json
from emulator.core.kept import Kept
from emulator.core.wires.completion import CALLS, CAUSES, FRESH, KINDS, REASONS, Completion, Kind, Part, Tally, counts
from emulator.core.wires.padding import Padding
from emulator.core.wires.reader import PARTS, UNREAD, Found, Match, rows
from emulator.core.wires.request.form import RequestForm
from emulator.core.wires.scope import AnswerValues, values_of
from emulator.core.wires.sse import COMMENT, TYPES, Framing, as_line, payload
from emulator.core.wires.sse import event as write_event
from emulator.core.wires.stream_reader import StreamReader, annotations_of, part_of, tokens_of, usage_of
from emulator.core.wires.stream_writer import (
    Event,
    Sent,
    counted_written,
    numbered_written,
    pieces_written,
    tokens_written,
    written,
)
from emulator.core.wires.template import ECHO, ERROR, NUMBER, PIECE, TOKENS
from emulator.core.wires.template import PARTS as WRITTEN
from emulator.core.wires.writer import Writer

#: How a stream fails that says so in the provider's envelope, and not as an event; or says nothing.
AS_ENVELOPE, SILENT = "plain", "none"
#: What a stream says beside its parts, and of each of them.
MOMENTS = ("start", "later", "finish", "usage", "stop", "ping")
OF_PART = ("begin", "piece", "end")


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
    parted: bool = False  # it tells the input without what a cache has of it
    spared: frozenset[str] = frozenset()  # kinds of parts that it does not say where they are empty
    places: Mapping[str, str] = field(default_factory=dict)  # where it says what
    details: Sequence[str] = ()  # of DETAILS, what it tells
    fresh: frozenset[str] = frozenset()  # the fields that hold an answer's id and time, and its items' ids
    errors: Sequence[Event] = ()  # what ends a stream that fails; where there are none, the provider's envelope does
    echoes: Sequence[str] = ()  # paths of fields of the request that an answer repeats
    items: bool = False  # parts have ids
    numbered: bool = False  # events are
    kept: Kept | None = None  # how answers are kept for later requests
    rows: frozenset[str] = frozenset()  # of what has rows, what it tells
    depends_on: Sequence[str] = ()  # the fields of the request that an answer repeats, or by which it is kept
    framings: Sequence[tuple[Framing, Mapping[str, Json]]] = ()  # how events follow one another, by what the query has
    failing_as: str = "event"  # what ends a stream that fails: an event, the envelope `plain`, which is none, or `none`
    counts_so_far: bool = False  # usage in events is of what was said until then
    padding: Padding | None = None  # what levels the length of events
    refuses_by_word: bool = False  # a refusal looks like a text but for why it ended
    named: Sequence[Event] = ()  # events whose name stands in none of their data's fields

    # Writing

    def whole(self, saying: AnswerValues) -> bytes:
        """Write a whole answer."""
        return self.write(self._scope(self._without_empty(saying)))

    def streamed(self, saying: AnswerValues, pieces: Sequence[Iterable[bytes]], usage: bool) -> list[Sent]:
        """Write the events of a stream: the pieces of each part, as JSON, and `usage` where it is asked for.

        What waits for its time is `data`, what comes with the event before it `along`, and the end `done`.
        """
        if self.spared:
            told = [
                item for item, part in zip(pieces, saying.completion.parts, strict=True) if not self._is_spared(part)
            ]
            saying, pieces = self._without_empty(saying), told
        scope = self._scope(saying)
        scope["usage.asked"] = usage or None
        along = "data" if self.paced == "events" else "along"
        completion, tally = saying.completion, self._tally(saying) if usage else None
        begin = "later" if saying.later and ("later", "") in self.events else "start"
        events = self._written(begin, "", scope, "data")
        for values, part, said in zip(scope[WRITTEN], completion.parts, pieces, strict=True):
            scope |= values
            if tally and part.kind in CALLS:
                tally.add_call(part)
            scope |= tally.values() if tally else {}
            events += self._written("begin", part.kind, scope, along)
            events += self._padded(self._pieces(part, scope, said, tally), saying, len(events), pieces=True)
            events += self._written("end", part.kind, scope, along)
        scope |= counts(completion.usage) if tally else {}
        events += self._written("finish", "", scope, along)
        if usage and completion.usage:
            events += self._written("usage", "", scope, along)
        return self._padded(events + self._written("stop", "", scope, "done"), saying)

    def _padded(self, events: list[Sent], saying: AnswerValues, first: int = 0, pieces: bool = False) -> list[Sent]:
        """Pad events where they are those that this wire pads, and the request does not ask for others."""
        if self.padding is None or self.padding.pieces is not pieces or saying.padded_by is None:
            return events
        return self.padding.padded(events, saying.padded_by, first)

    def _is_spared(self, part: Part) -> bool:
        return not part.text and part.kind in self.spared

    def _without_empty(self, saying: AnswerValues) -> AnswerValues:
        """Leave out parts that say nothing, where they are not said then."""
        parts = saying.completion.parts
        if not self.spared or not any(map(self._is_spared, parts)):
            return saying
        kept = tuple(part for part in parts if not self._is_spared(part))
        return replace(saying, completion=replace(saying.completion, parts=kept))

    def failing(self, saying: AnswerValues, error: Mapping[str, Json], number: int) -> list[bytes]:
        """Write what ends a stream that fails after so many events; `error` has the values of FAILURE's holes."""
        scope = self._scope(saying) | {**error, ERROR: error, NUMBER: number}
        return [data for data, _ in written(self.errors, scope, "data")]

    def _written(self, moment: str, kind: str, scope: dict[str, Json], when: str) -> list[Sent]:
        return written(self.events.get((moment, kind), ()), scope, when)

    def _pieces(self, part: Part, scope: dict[str, Json], pieces: Iterable[bytes], tally: Tally | None) -> list[Sent]:
        events = self.events.get((PIECE, part.kind), ())
        if tally:
            return counted_written(events, scope, pieces, part, tally)
        if scope[TOKENS]:
            return tokens_written(events, scope, pieces)
        if self.numbered:
            return numbered_written(events, scope, pieces)
        return pieces_written(events, scope, pieces, scope["echoes"] if part.kind == "text" else ())

    def _tally(self, saying: AnswerValues) -> Tally | None:
        """Return what counts on from event to event; what was thought and is not told comes before all."""
        usage = saying.completion.usage if self.counts_so_far else None
        if usage is None:
            return None
        told = any(part.kind == "reasoning" for part in saying.completion.parts)
        return Tally(usage, saying.choices, thought=0 if told else usage.get("reasoning", 0))

    def _scope(self, saying: AnswerValues) -> dict[str, Json]:
        """Return the values of holes."""
        completion, scope = saying.completion, values_of(saying)
        usage, finish = completion.usage, completion.finish
        for name in self.details:
            scope[f"usage.{name}"] = (usage or {}).get(name, 0)
        if usage and self.parted:
            scope[f"usage.{FRESH}"] = max(0, usage["input"] - usage.get("cached", 0) - usage.get("written", 0))
        cause = completion.cause
        for name, table in self.words.items():
            scope[name] = table[cause] if cause in table else table.get(finish or "", finish)
        for path in self.echoes:
            scope[ECHO + path] = saying.echo.get(path)
        return scope

    # Events

    def framing(self, query: str) -> Framing:
        """Return how the events of a stream follow one another, by what the query asks for."""
        if not self.framings:
            return "sse"
        asked = dict(parse_qsl(query))
        return next((how for how, wanted in self.framings if wanted.items() <= asked.items()), "sse")

    @property
    def stream_type(self) -> str:
        """The content type of a stream, of server-sent events where they can be asked for."""
        return TYPES[self.framing(urlencode(self.asks_sse))]

    @property
    def asks_sse(self) -> Mapping[str, Json]:
        """What the query asks for where a stream is to be server-sent events."""
        return dict(self.framings).get("sse", {})

    def framed(self, events: Sequence[bytes], query: str) -> list[bytes]:
        """Return events that come beside others of a stream as its framing has them; those of an array stay."""
        return [as_line(payload(item)) for item in events] if self.framing(query) == "ndjson" else list(events)

    @property
    def has_end(self) -> bool:
        """Tell whether a stream ends with an event of its own."""
        return ("stop", "") in self.events

    def event(self, data: bytes) -> bytes:
        """Write data as an event of this wire, named as its field says; an error that is none as it is."""
        if self.failing_as == AS_ENVELOPE and b"\n" in data:
            return data.rstrip(b"\n") + b"\n"
        names = self.event_names(parsed(data)) if self.names_events else []
        return write_event(data, names[0].encode(errors="replace") if names else b"")

    @property
    def names_events(self) -> bool:
        return self.event_name is not None or bool(self.named)

    def event_names(self, value: Json) -> list[str]:
        """Return the names that an event with such data may have: of its field, or of the templates that fit best."""
        if not isinstance(value, dict):
            return []
        name = value.get(self.event_name)
        if isinstance(name, str) and name.isprintable():
            return [name]
        fits = [event for event in self.named if event.match and event.match(value, {})]
        apart = [len(event.fields ^ value.keys()) for event in fits]
        return [event.name for event, far in zip(fits, apart, strict=True) if event.name and far == min(apart)]

    def is_piece(self, event: bytes) -> bool:
        """Tell whether an event has a piece of what is said."""
        value = parsed(payload(event))
        for (moment, _), events in self.events.items():
            for template in events if moment == "piece" else ():
                found: Found = {}
                if template.match and template.match(value, found) and any(row.get("piece") for row in rows(found)):
                    return True
        return False

    def keep_alive(self, query: str) -> bytes:
        """What is sent so that a connection is kept while nothing is said; nothing, where no event may be a comment."""
        if self.framing(query) != "sse":
            return b""
        pings = self.events.get(("ping", ""), ())
        return b"".join([event.write({}) for event in pings]) or COMMENT

    @property
    def last(self) -> str:
        """The data of the last event, where it is always the same; else nothing."""
        for event in reversed(self.events.get(("stop", ""), ())):
            if event.write.constant:
                return payload(event.write({})).decode()
        return ""

    def ends(self, data: bytes) -> bool:
        """Tell whether an event's data is the last of a stream."""
        value = parsed(data) if any(event.match for event in self._last) else None
        return self.ends_with(value) or any(event.text.encode() == data for event in self._last if not event.match)

    def ends_with(self, value: Json) -> bool:
        """Tell whether an event's data, as JSON, is the last of a stream."""
        return any(event.match(value, {}) for event in self._last if event.match)

    @property
    def _last(self) -> Sequence[Event]:
        """What can be the last event of a stream, of one that fails too."""
        return (*self.events.get(("stop", ""), ())[-1:], *self.errors[-1:])

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
        return self._completion(found, [part_of(kind, part) for kind, part in found.get(PARTS, ())], UNREAD in found)

    def whole_in(self, data: Sequence[bytes], stream: bool) -> dict[str, Json] | None:
        """Return the whole answer of a body, or of the last event of a stream that has one."""
        if not stream:
            body = parsed(b"".join(data))
            return body if isinstance(body, dict) else None
        last = [event for event in (*self.events.get(("stop", ""), ()), *self.errors) if event.match and event.whole]
        for value in map(parsed, map(payload, reversed(data))):
            for event in last:
                if event.match and event.match(value, {}):
                    body = value.get(event.whole)
                    return body if isinstance(body, dict) else None
        return None

    @property
    def begins_whole(self) -> bool:
        """Tell whether a stream's first event has the answer as it is then."""
        return any(event.whole for event in self._starts)

    def begun_in(self, data: Sequence[bytes]) -> dict[str, Json] | None:
        """Return the answer as it was when a stream had begun it."""
        for value in map(parsed, map(payload, data)):
            for event in self._starts:
                if event.whole and event.match and event.match(value, {}):
                    body = value.get(event.whole)
                    return body if isinstance(body, dict) else None
        return None

    @property
    def _starts(self) -> Sequence[Event]:
        return (*self.events.get(("start", ""), ()), *self.events.get(("later", ""), ()))

    def read_events(self, values: Iterable[Json]) -> Completion:
        """Read the data of a stream's events, of the first choice; one may say several things at once."""
        hearing = StreamReader()
        looks = [(*key, event.match) for key, events in self.events.items() for event in events
                 if event.match and key[0] not in ("start", "later")]  # fmt: skip
        starts = [event.match for event in self._starts if event.match]
        for value in values:
            left = [look for look in starts if not hearing.take("start", "", look, value)]
            heard = [hearing.take(moment, kind, look, value) for moment, kind, look in looks]
            if len(left) == len(starts) and not any(heard) and not self._begins(value):
                hearing.unread = True
            starts = left
        return self._completion(hearing.said, hearing.parts(), hearing.unread)

    def _begins(self, value: Json) -> bool:
        """Tell whether an event says nothing but that an answer begins."""
        return any(event.match(value, {}) for event in self._starts if event.match)

    def ending(self, value: Json) -> tuple[bool, bool]:
        """Tell whether an event's data says why its answer ended, and whether it says its usage."""
        hearing = StreamReader(every_choice=True)
        for moment in ("finish", "usage", "stop"):
            for event in self.events.get((moment, ""), ()):
                if event.match:
                    hearing.take(moment, "", event.match, value)
        return any(hearing.said.get(name) for name in ("finish", *self.words)), usage_of(hearing.said) is not None

    def _completion(self, found: Mapping[str, Json], parts: Sequence[Part], unread: bool) -> Completion:
        if self.refuses_by_word and "refusal" in self._reasons(found):
            parts = [replace(part, kind="refusal") if part.kind == "text" else part for part in parts]
        kinds = {part.kind for part in parts}
        apart = {kind: _apart(kind, found) for kind in KINDS if kind in found and kind not in kinds}
        refused = [apart.pop("refusal")] if "refusal" in apart else []
        last = refused if "text" in kinds else []  # a text that was refused from some point on
        parts = [*apart.values(), *([] if last else refused), *parts, *last]
        usage = usage_of(found)
        if usage and not self.totals and {"input", "output"} <= usage.keys():
            usage["total"] = usage["input"] + usage["output"]
        reason = self._reason(found, {part.kind for part in parts})
        return Completion(tuple(parts), reason, usage, found.get("model"), unread, found.get("stopped"))

    def _reason(self, found: Mapping[str, Json], kinds: Set[str]) -> str | None:
        """Return the neutral reason that all words fit; of several, the one that fits what was said."""
        if not self.words:
            return found.get("finish") or None
        words, reasons = self._said_words(found), self._reasons(found)
        if not words:
            return None
        for of_kinds, reason in ((CALLS, "tool_calls"), (("refusal",), "refusal")):
            if not kinds.isdisjoint(of_kinds) and reason in reasons:
                return reason if reason in REASONS else "stop"
        first = [*(reason for reason in reasons if reason != "refusal"), *words.values()][0]
        return "stop" if first in CAUSES else first

    def _reasons(self, found: Mapping[str, Json]) -> list[str]:
        """Return the neutral reasons that all words fit; none where there is no word."""
        words = self._said_words(found)
        return [
            reason
            for reason in (next(iter(self.words.values())) if words else ())
            if all(self.words[name].get(reason) == word for name, word in words.items())
        ]

    def _said_words(self, found: Mapping[str, Json]) -> dict[str, str]:
        """Return the words for why an answer ended, of the tables that have more than one."""
        telling = [name for name, table in self.words.items() if len(set(table.values())) > 1]
        return {name: found[name] for name in telling if found.get(name)}


def _apart(kind: Kind, found: Mapping[str, Json]) -> Part:
    """Return what stands outside of the parts."""
    return Part(kind, found[kind], tokens=tuple(tokens_of(found)), annotations=annotations_of(found))


def parsed(data: bytes) -> Json:
    """Return JSON; None for what is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
