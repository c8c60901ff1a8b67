"""Compiling a wire: its data, and every unknown hole, word and moment with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, product
from typing import Any

from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.source import Source
from emulator.core.stored_answers import STATES, Kept
from emulator.core.tree import Path as Steps
from emulator.core.tree import at
from emulator.core.wires import template
from emulator.core.wires.completion import CALLS, CAUSES, DETAILS, KINDS, REASONS, Words
from emulator.core.wires.loading.parser import Parser
from emulator.core.wires.loading.places import places
from emulator.core.wires.padding import Padding
from emulator.core.wires.reader import Found, Match, reader
from emulator.core.wires.request.form import RequestForm
from emulator.core.wires.sse import event
from emulator.core.wires.stream_writer import Event
from emulator.core.wires.template import ALOUD, ECHO, ITEM, NUMBER, PART, PIECE, Node, fields_of, holes, nodes
from emulator.core.wires.wire import MOMENTS, OF_PART, Wire
from emulator.core.wires.writer import Writer, event_writer, writer


class Compiler:
    """Compiles one wire, and collects every problem before it gives up."""

    def __init__(self, name: str, sources: Sequence[Source], data: Any) -> None:
        self.name = name
        self.sources = sources
        self.data = data
        self.problems: list[Problem] = []

    def report(self, path: Steps, message: str) -> None:
        """Put a problem where it was written: in the change, or in what it is a change of."""
        source = next((item for item in self.sources if at(item.data, path, ...) is not ...), self.sources[-1])
        self.problems.append(source.problem(path, message))

    def compile(self) -> Wire:
        self.check_shape()
        self.fail()
        words, stream = self.data.get("words", {}), self.data["stream"]
        self.check_words(words)
        parser = Parser(self.report, words)
        whole = parser.parse(self.data["response"], ("response",), parser.of_answers)
        parser = Parser(self.report, words, whole)
        events = self.events(parser)
        parts, items = list(self.asked(parser, "parts")), list(self.asked(parser, "items"))
        self.fail()
        form = RequestForm(self.data["request"], parts, items)
        self.check_kinds(form.kinds, whole, events)
        self.fail()
        all_nodes = [node for one in (whole, *chain.from_iterable(events.values())) for node in nodes(one)]
        holding = frozenset[str]().union(*map(template.own_holes, all_nodes))
        echoes = sorted(name.removeprefix(ECHO) for name in holding if name.startswith(ECHO))
        compiled = self.compiled(events)
        return Wire(
            name=self.name,
            request=form,
            words=Words(words, _refuses_by_word(whole, words)),
            write=writer(whole),
            match=look(whole),
            events=compiled,
            event_name=stream.get("event"),
            paced=stream.get("pace", "events"),
            tells=holes(whole),
            spared=frozenset[str]().union(*(node.spared for node in nodes(whole) if isinstance(node, template.Each))),
            places=places(whole, {key: found for key, found in events.items() if key[0] != "error"}),
            details=tuple(name for name in DETAILS if f"usage.{name}" in holes(whole)),
            fresh=frozenset(
                item.name
                for node in all_nodes
                for item in fields_of(node)
                if isinstance(item.node, template.Hole) and item.node.name in _NEW
            ),
            echoes=tuple(echoes),
            items=ITEM in holding,
            numbered=NUMBER in holding,
            kept=self.kept(whole),
            rows=frozenset(node.name for node in all_nodes if isinstance(node, template.Rows)),
            depends_on=tuple(sorted({path.partition(".")[0] for path in echoes} | {*form.fields(*_KEPT_BY)})),
            framings=stream.get("framing", {}),
            failing_as=failing if isinstance(failing := stream.get("error"), str) else "event",
            counts_so_far=stream.get("counts") == "so_far",
            padding=Padding(pads["field"], pads["of"] == "pieces") if (pads := stream.get("padding")) else None,
            named=tuple(event for event in chain.from_iterable(compiled.values()) if event.name),
        )

    def check_shape(self) -> None:
        """Check that the wire has each of its parts, and that its request has what the others need."""
        for part in ("request", "response", "stream"):
            if part not in self.data:
                self.report((), f"lacks '{part}'")
        asked = self.data.get("request", {})
        if "prompt" in asked and "messages" in asked:
            self.report(("request", "prompt"), "is for an API that has no messages; leave one of them out")
        for part in ("at", "role", "content") if "prompt" not in asked else ():
            if part not in asked.get("messages", {}):
                self.report(("request", "messages"), f"lacks '{part}'")

    def check_words(self, words: Mapping[str, Mapping[str, str]]) -> None:
        """Check that words stand for finish reasons."""
        known = (*REASONS, *CAUSES)
        for table, reasons in words.items():
            for reason in reasons:
                if reason not in known:
                    self.report(("words", table, reason), f"is no finish reason; {nearest(reason, known)}")

    def compiled(self, events: Mapping[tuple[str, str], Sequence[Node]]) -> dict[tuple[str, str], tuple[Event, ...]]:
        """Compile events; of two kinds of parts that look the same, only the first is read."""
        found, seen = {}, list[tuple[str, Node]]()
        for key, nodes_of in events.items():
            made = [self.event(node, self.needed(key[0])) for node in nodes_of]
            again = [bool(key[1]) and (key[0], node) in seen for node in nodes_of]
            pairs = zip(made, again, strict=True)
            found[key] = tuple(replace(event, match=_nothing) if twice else event for event, twice in pairs)
            seen += [(key[0], node) for node in nodes_of]
        return found

    def asked(self, parser: Parser, among: str) -> Iterator[tuple[str, Match]]:
        """Parse the templates of a message's parts, or of the items among messages; of a kind there may be several."""
        for kind, given in self.data["request"].get("messages", {}).get(among, {}).items():
            path = ("request", "messages", among, kind)
            for index, shape in enumerate(given) if isinstance(given, list) else ((None, given),):
                yield kind, look(parser.parse(shape, path if index is None else (*path, index), PART))

    def kept(self, whole: Node) -> Kept | None:
        """Return how answers are kept, where they are."""
        data = self.data.get("kept")
        if data is None:
            return None
        output = [item.name for item in fields_of(whole)
                  if any(isinstance(inner, template.Each) for inner in nodes(item.node))]  # fmt: skip
        states = {name: data[name] for name in STATES if name in data}
        return Kept(output[0] if output else "", states, *(data.get(name, {}) for name in _OF_KEPT))

    def fail(self) -> None:
        if self.problems:
            raise SourceError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))

    def events(self, parser: Parser) -> dict[tuple[str, str], list[Node]]:
        """Parse the templates of events, by moment and kind."""
        stream = self.data["stream"]
        known = parser.of_events
        found = {
            (moment, ""): [parser.parse(shape, ("stream", moment, n), known) for n, shape in enumerate(stream[moment])]
            for moment in MOMENTS
            if isinstance(stream.get(moment), list)
        }
        for kind, moment in product(KINDS, OF_PART):
            for index, shape in enumerate(stream.get(kind, {}).get(moment, ())):
                path = ("stream", kind, moment, index)
                node = parser.parse(shape, path, (*known, *PART, *((PIECE,) if moment == PIECE else ())))
                found.setdefault((moment, kind), []).append(node)
                if moment == PIECE and not _has_piece(node):
                    self.report(path, "must have ${piece} once, where nothing is left out")
        return found

    def check_kinds(self, needed: Sequence[str], whole: Node, events: Mapping[tuple[str, str], list[Node]]) -> None:
        """Check that an answer can say each kind of part, whole and streamed."""
        kinds = {kind for node in nodes(whole) for kind in getattr(node, "kinds", ())} | holes(whole)
        kinds |= {"text", "refusal"} if ALOUD in kinds else set()
        at_end = frozenset[str]().union(*map(holes, events.get(("finish", ""), ())))
        for kind in needed:
            if kind not in kinds:
                self.report(("response",), f"has no template for a part that is a {kind}")
            begun = kind in CALLS and ("begin", kind) in events
            if (PIECE, kind) not in events and kind not in at_end and not begun:
                self.report(("stream",), f"has no template for a part that is a {kind}")

    def needed(self, moment: str) -> tuple[str, ...]:
        """Return the holes without which an event is not of its moment."""
        finish = ("finish", *self.data.get("words", ()))
        of_all = {PIECE: (PIECE,), "finish": finish, "usage": (template.USAGE,), "error": ("error.message",)}
        return of_all.get(moment, ())

    def event(self, node: Node, needed: tuple[str, ...]) -> Event:
        if isinstance(node, template.Literal) and isinstance(node.value, str):  # [DONE]
            return Event(Writer([event(node.value.encode())]), _nothing, False, node.value)
        condition = rows = None
        if isinstance(node, template.If) and node.other is None:
            condition, node = node.name, node.node
        elif isinstance(node, template.Rows):
            rows, node = node.name, node.node
        fields = {item.name: item.node for item in fields_of(node)}
        name = node.event if isinstance(node, template.Object) else None
        named = template.Literal(name) if name else fields.get(self.data["stream"].get("event", ""))
        whole = next((name for name, inner in fields.items() if isinstance(inner, template.Whole)), None)
        write, by_choice = event_writer(node, named), "choice" in holes(node)
        return Event(write, look(node, needed), by_choice, "", whole, condition, rows, name, frozenset(fields))


def _refuses_by_word(whole: Node, words: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether a refusal looks like a text, and only the word for why it ended tells it from one."""
    alike = any(
        "refusal" in node.kinds and node.kinds["refusal"] == node.kinds.get("text")
        for node in nodes(whole)
        if isinstance(node, template.Each)
    )
    return alike and any(table.get("refusal") != table.get("stop") for table in words.values())


def _nothing(value: Json, found: Found) -> bool:
    return False


def look(node: Node, needed: Sequence[str] = ()) -> Match:
    """Look only at what has one of a template's own fields: all else is of another form, if nothing has to be there."""
    names, match = frozenset(field.name for field in fields_of(node)), reader(node, needed)
    return lambda value, found: isinstance(value, dict) and not names.isdisjoint(value) and match(value, found)


#: What is said of kept answers beside their states.
_OF_KEPT = ("item", "texts", "shown", "compacted")
#: What of a request decides how its answer is made and kept.
_KEPT_BY = ("store", "later", "conversation", "thinks", "hides", "unpadded")
#: What is new in every answer.
_NEW = frozenset(("id", "created", ITEM, *template.DERIVED)) - {ALOUD}


def _has_piece(node: Node) -> bool:
    """Tell whether the template of a piece has its hole once, and in every event."""
    return sum(item == template.Hole(PIECE) for item in nodes(node)) == len(list(_pieces(node))) == 1


def _pieces(node: Node) -> Iterator[Node]:
    """Yield the holes for a piece that stand in every event, once."""
    if node == template.Hole(PIECE):
        yield node
    inner = [item.node for item in fields_of(node) if not item.optional]
    for part in node.items if isinstance(node, template.Array) else inner:
        yield from _pieces(part)
