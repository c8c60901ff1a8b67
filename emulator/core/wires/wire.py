"""A wire: one form of chat API, compiled. It reads requests, writes answers whole or streamed, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from emulator.core.errors import Json
from emulator.core.stored_answers import Kept
from emulator.core.tokens import count
from emulator.core.tree import parsed
from emulator.core.wires import sse, template
from emulator.core.wires.completion import CALLS, FRESH, KINDS, Completion, Part, Words, counts
from emulator.core.wires.padding import Padding
from emulator.core.wires.reader import PARTS, UNREAD, Found, Match, rows
from emulator.core.wires.request.form import RequestForm
from emulator.core.wires.scope import AnswerValues, values_of
from emulator.core.wires.sse import COMMENT, TYPES, Framing, as_line, payload
from emulator.core.wires.stream_reader import StreamReader, part_of, usage_of, whole_of
from emulator.core.wires.stream_writer import Event, Sent, Tally, part_written, written
from emulator.core.wires.template import ECHO, ERROR, NUMBER, PIECE
from emulator.core.wires.writer import Writer

#: How a stream fails that says so in the provider's envelope, and not as an event; or says nothing.
AS_ENVELOPE, SILENT = "plain", "none"
#: What a stream says beside its parts, and of each of them.
MOMENTS = ("start", "later", "finish", "usage", "stop", "ping", "error")
OF_PART = ("begin", "piece", "end")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Wire:
    """A form of chat API; `events` are by the moment, and by the kind of a part and its moment."""

    name: str
    request: RequestForm
    words: Words
    write: Writer
    match: Match
    events: Mapping[tuple[str, str], Sequence[Event]]
    event_name: str | None = None  # the field of an event's data that names it
    paced: Literal["events", "pieces"] = "events"
    tells: frozenset[str] = frozenset()  # the holes of a whole answer
    spared: frozenset[str] = frozenset()  # kinds of parts that it does not say where they are empty
    places: Mapping[str, str] = field(default_factory=dict)  # where it says what
    details: Sequence[str] = ()  # of DETAILS, what it tells
    fresh: frozenset[str] = frozenset()  # the fields that hold an answer's id and time, and its items' ids
    echoes: Sequence[str] = ()  # paths of fields of the request that an answer repeats
    items: bool = False  # parts have ids
    numbered: bool = False  # events are
    kept: Kept | None = None  # how answers are kept for later requests
    rows: frozenset[str] = frozenset()  # of what has rows, what it tells
    depends_on: Sequence[str] = ()  # the fields of the request that an answer repeats, or by which it is kept
    framings: Mapping[Framing, Mapping[str, Json]] = field(default_factory=dict)  # by how, what the query has then
    failing_as: str = "event"  # what ends a stream that fails: an event, the envelope `plain`, which is none, or `none`
    counts_so_far: bool = False  # usage in events is of what was said until then
    padding: Padding | None = None  # what levels the length of events
    named: Sequence[Event] = ()  # events whose name stands in none of their data's fields

    # Writing

    def whole(self, saying: AnswerValues) -> bytes:
        """Write a whole answer."""
        return self.write(self._scope(self._without_empty(saying)))

    def streamed(self, saying: AnswerValues, pieces: Sequence[Iterable[bytes]], usage: bool) -> list[Sent]:
        """Write the events of a stream: the pieces of each part, as JSON, and `usage` where it is asked for."""
        if self.spared:
            said_of = zip(pieces, saying.completion.parts, strict=True)
            pieces = [said for said, part in said_of if not self._is_spared(part)]
            saying = self._without_empty(saying)
        scope = self._scope(saying)
        scope["usage.asked"] = usage or None
        along = "data" if self.paced == "events" else "along"
        completion, counted = saying.completion, saying.completion.usage if usage and self.counts_so_far else None
        tally = Tally(counted, saying.choices, thought=completion.untold) if counted else None

        def said(moment: str, kind: str = "", when: str = along) -> list[Sent]:
            return written(self.events.get((moment, kind), ()), scope, when)

        events = said("later" if saying.later and ("later", "") in self.events else "start", when="data")
        for values, part, pieces_of in zip(scope[template.PARTS], completion.parts, pieces, strict=True):
            scope |= values
            if tally and part.kind in CALLS:
                tally.add(part.kind, count(part.name) + count(part.text))
            scope |= tally.values() if tally else {}
            events += said("begin", part.kind)
            forms = self.events.get((PIECE, part.kind), ())
            pieced = part_written(forms, scope, pieces_of, part, tally, self.numbered)
            events += self._padded(pieced, saying, len(events), pieces=True)
            events += said("end", part.kind)
        scope |= counts(completion.usage) if tally else {}
        events += said("finish")
        if usage and completion.usage:
            events += said("usage")
        return self._padded(events + said("stop", when="done"), saying)

    def _padded(self, events: list[Sent], saying: AnswerValues, first: int = 0, pieces: bool = False) -> list[Sent]:
        """Pad events where they are those that this wire pads, and the request does not ask for others."""
        if self.padding is None or self.padding.pieces is not pieces or saying.padded_by is None:
            return events
        return self.padding.padded(events, saying.padded_by, first)

    def _is_spared(self, part: Part) -> bool:
        return not part.text and part.kind in self.spared

    def _without_empty(self, saying: AnswerValues) -> AnswerValues:
        """Leave out parts that say nothing, where they are not said then."""
        kept = tuple([part for part in saying.completion.parts if not self._is_spared(part)])
        all_kept = len(kept) == len(saying.completion.parts)
        return saying if all_kept else replace(saying, completion=replace(saying.completion, parts=kept))

    def failing(self, saying: AnswerValues, error: Mapping[str, Json], number: int) -> list[bytes]:
        """Write what ends a stream that fails after so many events; `error` has the values of FAILURE's holes."""
        scope = self._scope(saying) | {**error, ERROR: error, NUMBER: number}
        return [data for data, _ in written(self.errors, scope, "data")]

    def _scope(self, saying: AnswerValues) -> dict[str, Json]:
        """Return the values of holes."""
        usage, scope = saying.completion.usage, values_of(saying)
        for name in self.details:
            scope[f"usage.{name}"] = (usage or {}).get(name, 0)
        if usage and f"usage.{FRESH}" in self.tells:
            scope[f"usage.{FRESH}"] = max(0, usage["input"] - usage.get("cached", 0) - usage.get("written", 0))
        scope |= self.words.of(saying.completion)
        for path in self.echoes:
            scope[ECHO + path] = saying.echo.get(path)
        return scope

    # Events

    def framing(self, query: str) -> Framing:
        """Return how the events of a stream follow one another, by what the query asks for."""
        if not self.framings:
            return "sse"
        asked = dict(parse_qsl(query))
        return next((how for how, wanted in self.framings.items() if wanted.items() <= asked.items()), "sse")

    @property
    def stream_type(self) -> str:
        """The content type of a stream, of server-sent events where they can be asked for."""
        return TYPES[self.framing(urlencode(self.asks_sse))]

    @property
    def asks_sse(self) -> Mapping[str, Json]:
        """What the query asks for where a stream is to be server-sent events."""
        return self.framings.get("sse", {})

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
        return sse.event(data, names[0].encode(errors="replace") if names else b"")

    @property
    def errors(self) -> Sequence[Event]:
        """What ends a stream that fails; where there is nothing, the provider's envelope does."""
        return self._of("error")

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
        fits = [event for event in self.named if event.match(value, {})]
        apart = [len(event.fields ^ value.keys()) for event in fits]
        return [event.name for event, far in zip(fits, apart, strict=True) if event.name and far == min(apart)]

    def is_piece(self, event: bytes) -> bool:
        """Tell whether an event has a piece of what is said."""
        value = parsed(payload(event))
        for look in [one.match for (moment, _), events in self.events.items() if moment == PIECE for one in events]:
            found: Found = {}
            if look(value, found) and any(row.get("piece") for row in rows(found)):
                return True
        return False

    def keep_alive(self, query: str) -> bytes:
        """What is sent so that a connection is kept while nothing is said; nothing, where no event may be a comment."""
        if self.framing(query) != "sse":
            return b""
        return b"".join([event.write({}) for event in self._of("ping")]) or COMMENT

    @property
    def last(self) -> str:
        """The data of the last event, where it is always the same; else nothing."""
        for event in reversed(self._of("stop")):
            if event.write.constant:
                return payload(event.write({})).decode()
        return ""

    def ends(self, data: bytes) -> bool:
        """Tell whether an event's data is the last of a stream."""
        value = None if all(event.text for event in self._last) else parsed(data)
        return self.ends_with(value) or any(event.text.encode() == data for event in self._last if event.text)

    def ends_with(self, value: Json) -> bool:
        """Tell whether an event's data, as JSON, is the last of a stream."""
        return any(event.match(value, {}) for event in self._last)

    @property
    def _last(self) -> Sequence[Event]:
        """What can be the last event of a stream, of one that fails too."""
        return (*self._of("stop")[-1:], *self.errors[-1:])

    @property
    def texts(self) -> list[str]:
        """The data of events that is no JSON."""
        return [event.text for events in self.events.values() for event in events if event.text]

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
        return whole_of(reversed(data), self._of("stop", "error"))

    @property
    def begins_whole(self) -> bool:
        """Tell whether a stream's first event has the answer as it is then."""
        return any(event.whole for event in self._of("start", "later"))

    def begun_in(self, data: Sequence[bytes]) -> dict[str, Json] | None:
        """Return the answer as it was when a stream had begun it."""
        return whole_of(data, self._of("start", "later"))

    def _of(self, *moments: str) -> Sequence[Event]:
        """Return the events of some moments that are not about one part."""
        return [event for moment in moments for event in self.events.get((moment, ""), ())]

    def read_events(self, values: Iterable[Json]) -> Completion:
        """Read the data of a stream's events, of the first choice; one may say several things at once."""
        hearing = StreamReader()
        looks = [(*key, event.match) for key, events in self.events.items() for event in events
                 if key[0] not in ("start", "later", "error")]  # fmt: skip
        starts = left = [event.match for event in self._of("start", "later")]
        for value in values:
            others = [look for look in left if not hearing.take("start", "", look, value)]
            heard = [hearing.take(moment, kind, look, value) for moment, kind, look in looks]
            if len(others) == len(left) and not any(heard) and not any(look(value, {}) for look in starts):
                hearing.unread = True
            left = others
        return self._completion(hearing.said, hearing.parts(), hearing.unread)

    def ending(self, value: Json) -> tuple[bool, bool]:
        """Tell whether an event's data says why its answer ended, and whether it says its usage."""
        hearing = StreamReader(every_choice=True)
        for event in self._of("finish", "usage", "stop"):
            hearing.take("", "", event.match, value)
        why = any(hearing.said.get(name) for name in ("finish", *self.words.tables))
        return why, usage_of(hearing.said) is not None

    def _completion(self, found: Mapping[str, Json], parts: Sequence[Part], unread: bool) -> Completion:
        if self.words.refuses and "refusal" in self.words.reasons(found):
            parts = [replace(part, kind="refusal") if part.kind == "text" else part for part in parts]
        kinds = {part.kind for part in parts}
        outside = (kind for kind in KINDS if kind in found and kind not in kinds)
        apart = {kind: part_of(kind, {**found, "part.text": found[kind]}) for kind in outside}
        refused = [apart.pop("refusal")] if "refusal" in apart else []
        last = refused if "text" in kinds else []  # a text that was refused from some point on
        parts = [*apart.values(), *([] if last else refused), *parts, *last]
        usage = usage_of(found)
        if usage and "usage.total" not in self.tells and {"input", "output"} <= usage.keys():
            usage["total"] = usage["input"] + usage["output"]
        reason = self.words.reason(found, {part.kind for part in parts})
        return Completion(tuple(parts), reason, usage, found.get("model"), unread, found.get("stopped"))
