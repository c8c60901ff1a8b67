"""What the model says in the end: a reply's content, stopped and capped, and its cost in tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emulator.core.answer.render import Turn, render_id
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.scenario.scenario import Reply
from emulator.core.tokens import count, first
from emulator.core.values import Note
from emulator.core.wires.chat import compact

#: How many stop sequences have an effect; OpenAI's API takes four.
MOST_STOPS = 1000


@frozen
class Said:
    """What the model says in the end; `calls` are id, name, arguments."""

    text: str | None
    calls: tuple[tuple[str, str, str], ...]
    refusal: str | None
    finish_reason: str
    tokens: int


def say(turn: Turn, content: Mapping[str, Json], reply: Reply) -> tuple[Said, tuple[Note, ...]]:
    """Return what is said of a reply's text, tool calls or refusal: up to a stop word, and to the cap in tokens."""
    text, refusal = content.get("text"), content.get("refusal")
    if text is not None and not isinstance(text, str):
        text = compact(text)
    calls = tuple(_tool_call(turn, index, item) for index, item in enumerate(content.get("tool_calls", ())))
    notes: list[Note] = []
    if text and not reply.verbatim:
        text = _stopped(text, turn.call.body.get("stop"))
    reason = reply.finish_reason or ("tool_calls" if calls else "stop")
    tokens = _cost(text, calls, refusal)
    if turn.cap is not None and tokens > turn.cap and not reply.verbatim:
        text, calls, refusal = _capped(turn.cap, text, calls, refusal)
        notes.append(Note(turn.cap_fact, "max_tokens", f"the reply was cut at {turn.cap} of {tokens} tokens"))
        tokens, reason = _cost(text, calls, refusal), "length"
    return Said(text, calls, refusal, reason, tokens), tuple(notes)


def _tool_call(turn: Turn, index: int, item: Mapping[str, Json]) -> tuple[str, str, str]:
    arguments = item.get("arguments", {})
    arguments = arguments if isinstance(arguments, str) else compact(arguments)
    ident = item.get("id") or render_id(turn.operation, "tool_call", turn.draw, turn.at, str(index))
    return ident, item["name"], arguments


def _stopped(text: str, stop: Json) -> str:
    sequences = stop if isinstance(stop, list) else [stop]
    for sequence in sequences[:MOST_STOPS]:
        if isinstance(sequence, str) and sequence:
            text = text.partition(sequence)[0]
    return text


def _cost(text: str | None, calls: Iterable[tuple[str, str, str]], refusal: str | None) -> int:
    return count(text or "") + count(refusal or "") + sum(count(name) + count(given) for _, name, given in calls)


def _capped(
    cap: int, text: str | None, calls: Iterable[tuple[str, str, str]], refusal: str | None
) -> tuple[str | None, tuple[tuple[str, str, str], ...], str | None]:
    """Keep `cap` tokens: of the text, then of each call's arguments; a call whose name does not fit is left out."""
    left = cap
    if text is not None:
        text = first(text, left)
        left -= count(text)
    if refusal is not None:
        refusal = first(refusal, left)
        left -= count(refusal)
    kept = []
    for ident, name, arguments in calls:
        left -= count(name)
        if left < 0:
            break
        arguments = first(arguments, left)
        left -= count(arguments)
        kept.append((ident, name, arguments))
    return text if text is not None or kept or refusal is not None else "", tuple(kept), refusal
