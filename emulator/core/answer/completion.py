"""What the model says in the end: a reply's content, stopped and capped, and its cost in tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from emulator.core.answer.render import Turn, render_id, wire_of
from emulator.core.errors import Json
from emulator.core.scenario.scenario import Reply
from emulator.core.tokens import count, first
from emulator.core.tree import compact
from emulator.core.values import Note
from emulator.core.wires.completion import Completion, Kind, Part


def say(turn: Turn, content: Mapping[str, Json], reply: Reply) -> tuple[Completion, int, tuple[Note, ...]]:
    """Return what is said of a reply's content, up to a stop word and to the cap, its tokens, and notes."""
    parts = list(parts_of(turn, content))
    notes: list[Note] = []
    if not reply.verbatim:
        parts = [_stopped(part, turn.call.conversation.stop) for part in parts]
    called = any(part.kind == "call" for part in parts)
    reason = reply.finish_reason or ("tool_calls" if called else "stop")
    tokens = _cost(parts)
    if turn.cap is not None and tokens > turn.cap and not reply.verbatim:
        parts = _capped(turn.cap, parts)
        name = wire_of(turn).request.path("cap")
        notes.append(Note(turn.cap_fact, name, f"the reply was cut at {turn.cap} of {tokens} tokens"))
        tokens, reason = _cost(parts), "length"
    return Completion(tuple(parts), reason), tokens, tuple(notes)


def parts_of(turn: Turn, content: Mapping[str, Json]) -> Iterator[Part]:
    """Yield the parts of a reply: those of `outputs` in their order, else reasoning, text, refusal and calls."""
    given = content.get("outputs", (content,))
    number = 0
    for item in given:
        for kind in _TEXTS:
            text = item.get(kind)
            if text is not None:
                yield Part(kind, text if isinstance(text, str) else compact(text))
        for call in item.get("tool_calls", ()):
            yield _tool_call(turn, number, call)
            number += 1


#: Kinds of parts that are texts, in the order in which they are said.
_TEXTS: tuple[Kind, ...] = ("reasoning", "text", "refusal")


def _tool_call(turn: Turn, index: int, item: Mapping[str, Json]) -> Part:
    arguments = item.get("arguments", {})
    arguments = arguments if isinstance(arguments, str) else compact(arguments)
    ident = item.get("id") or render_id(turn.operation, "tool_call", turn.draw, turn.at, str(index))
    return Part("call", arguments, ident, item["name"])


def _stopped(part: Part, stop: Iterable[str]) -> Part:
    text = part.text
    for sequence in stop if part.kind == "text" else ():
        text = text.partition(sequence)[0]
    return part if text == part.text else Part(part.kind, text)


def _cost(parts: Iterable[Part]) -> int:
    return sum(count(part.name) + count(part.text) for part in parts)


def reasoning_cost(completion: Completion) -> int:
    """Return how many tokens of what is said are reasoning."""
    return _cost(part for part in completion.parts if part.kind == "reasoning")


def _capped(cap: int, parts: Iterable[Part]) -> list[Part]:
    """Keep `cap` tokens, part by part; a call whose name does not fit is left out, and all after it."""
    left = cap
    kept = []
    for part in parts:
        left -= count(part.name)
        if left < 0:
            break
        text = first(part.text, left)
        left -= count(text)
        kept.append(Part(part.kind, text, part.id, part.name))
    return kept or [Part("text", "")]
