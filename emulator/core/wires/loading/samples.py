"""Samples of what a model can say: written in a wire, held against the schemas of an operation, and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import orjson

from emulator.core.errors import Json, Violation
from emulator.core.tree import path_of, walk
from emulator.core.wires.completion import Annotation, Completion, Part, Token
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import payload
from emulator.core.wires.template import ANNOTATIONS, TOKENS
from emulator.core.wires.wire import Wire

_USAGE = {"input": 3, "output": 5, "total": 8}
_CALLS = (Part("call", '{"city":"Oslo"}', "call-1", "get_weather"), Part("call", "{}", "call-2", "get_time"))
_TOKENS = (
    Token("Hello", -0.5, (Token("Hello", -0.5), Token("Hi", -1.5))),
    Token(" there.", -0.25, (Token(" there.", -0.25),)),
)
#: By what they show.
SAMPLES = {
    "a text": Completion((Part("text", "Hello there."),), "stop", _USAGE),
    "a text that was cut": Completion((Part("text", "Hello"),), "length", _USAGE),
    "calls": Completion(_CALLS, "tool_calls", _USAGE),
    "a text with a call": Completion((Part("text", "Let me see."), _CALLS[0]), "tool_calls", _USAGE),
    "a call with a text": Completion((Part("custom", "Oslo, now", "call-1", "look"),), "tool_calls", _USAGE),
    "a text with probabilities": Completion(
        (Part("text", "Hello there.", tokens=_TOKENS, annotations=(Annotation("a:b", "A", 0, 5),)),), "stop", _USAGE
    ),
    "a refusal": Completion((Part("refusal", "I cannot."),), "stop", _USAGE),
}

Violations = Callable[[Json], Sequence[Violation]]


def sample_values(sample: Completion) -> AnswerValues:
    """Return a sample as it is written where ids look like nothing in particular, and nothing is repeated."""
    return AnswerValues(sample, "answer-1", 1_800_000_000, "a-model")


def differences(
    wire: Wire,
    response: Violations,
    chunk: Violations,
    tools: bool = True,
    written: Callable[[Completion], AnswerValues] = sample_values,
) -> Iterator[str]:
    """Yield where a sample breaks a schema, or is not read as it was written; calls are tried where there are tools."""
    for what, sample in _tried(wire, tools):
        saying = written(sample)
        body, values = orjson.loads(wire.whole(saying)), stream_of(wire, saying)
        if what != "a refusal":  # many docs know none
            yield from (f"{what}, whole: {_told(item)}" for item in response(body)[:1])
            yield from (f"{what}, streamed: {_told(item)}" for value in values for item in chunk(value)[:1])
        for how, read in (("whole", wire.read(body)), ("streamed", wire.read_events(values))):
            if not _same(read, sample, wire):
                yield f"{what}, {how}, is not read as it was written: {_shown(read)} instead of {_shown(sample)}"


def _tried(wire: Wire, tools: bool) -> Iterator[tuple[str, Completion]]:
    for what, sample in SAMPLES.items():
        if (tools or not sample.calls()) and all(part.kind in wire.request.kinds for part in sample.parts):
            yield what, sample


def unmarked(
    wire: Wire, shown: Callable[[Json], Json], tools: bool, written: Callable[[Completion], AnswerValues]
) -> Iterator[str]:
    """Yield which fields `shown` leaves out of pieces, so that nobody can tell them from other events."""
    told: set[str] = set()
    for what, sample in _tried(wire, tools):
        said = {text for part in sample.parts for text in _pieces(part)}
        for value in stream_of(wire, written(sample)):
            left = shown(value)
            leaves = dict(walk(left))
            known = [wire.is_piece(orjson.dumps(item)) for item in (value, left)]
            lost = ", ".join(path_of(path) for path, _ in walk(value) if path not in leaves)
            if known == [True, False] and lost not in told and not said.isdisjoint(map(str, leaves.values())):
                told.add(lost)
                yield f"leaves out {lost}, without which the pieces of {what} are not told from other events"


def _pieces(part: Part) -> list[str]:
    return list(filter(None, (part.text[:2], part.text[2:])))


def stream_of(wire: Wire, saying: AnswerValues) -> list[Json]:
    """Return the data of a stream's events, each part in two pieces."""
    pieces = [list(map(orjson.dumps, _pieces(part))) for part in saying.completion.parts]
    data = [payload(event) for event, _ in wire.streamed(saying, pieces, True)]
    return [orjson.loads(item) for item in data if item.decode() not in wire.texts]


def _same(read: Completion, sample: Completion, wire: Wire) -> bool:
    """Tell whether what was read is the sample; a wire may have one form for a text and a refusal."""
    texts = [_told_of(part, wire) for part in read.parts]
    wanted = [_told_of(part, wire) for part in sample.parts]
    none = dict.fromkeys(wire.details, 0)
    usage, told = {**(sample.usage or {}), **none}, {**none, **(read.usage or {})}
    return (texts, read.finish, told, read.unread) == (wanted, sample.finish, usage, False)


def _told_of(part: Part, wire: Wire) -> tuple[Json, ...]:
    """Return of a part what the wire tells."""
    beside = [part.tokens if TOKENS in wire.rows else (), part.annotations if ANNOTATIONS in wire.rows else ()]
    return part.kind.replace("refusal", "text"), part.text, part.id, part.name, *beside


def _told(violation: Violation) -> str:
    return f"{violation.path} {violation.message}".strip()


def _shown(completion: Completion) -> str:
    parts = ", ".join(f"{part.kind} {part.text!r}" for part in completion.parts)
    return f"{parts or 'nothing'} ({completion.finish}, {completion.usage})"
