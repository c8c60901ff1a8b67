"""What the model says in the end: a reply's content, stopped and capped, and its cost in tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emulator.core.answer.render import Turn, render_id, wire_of
from emulator.core.errors import Json
from emulator.core.scenario.scenario import Reply
from emulator.core.tokens import count, first
from emulator.core.tree import compact
from emulator.core.values import Note
from emulator.core.wires.completion import Completion, Part


def say(turn: Turn, content: Mapping[str, Json], reply: Reply) -> tuple[Completion, int, tuple[Note, ...]]:
    """Return what is said of a reply's content, up to a stop word and to the cap, its tokens, and notes."""
    text, refusal = content.get("text"), content.get("refusal")
    if text is not None and not isinstance(text, str):
        text = compact(text)
    calls = [_tool_call(turn, index, item) for index, item in enumerate(content.get("tool_calls", ()))]
    notes: list[Note] = []
    if text and not reply.verbatim:
        text = _stopped(text, turn.call.conversation.stop)
    reason = reply.finish_reason or ("tool_calls" if calls else "stop")
    tokens = _cost(text, calls, refusal)
    if turn.cap is not None and tokens > turn.cap and not reply.verbatim:
        text, calls, refusal = _capped(turn.cap, text, calls, refusal)
        name = wire_of(turn).request.path("cap")
        notes.append(Note(turn.cap_fact, name, f"the reply was cut at {turn.cap} of {tokens} tokens"))
        tokens, reason = _cost(text, calls, refusal), "length"
    texts = [Part("text", text)] if text is not None else []
    refused = [Part("refusal", refusal)] if refusal is not None else []
    return Completion((*texts, *refused, *calls), reason), tokens, tuple(notes)


def _tool_call(turn: Turn, index: int, item: Mapping[str, Json]) -> Part:
    arguments = item.get("arguments", {})
    arguments = arguments if isinstance(arguments, str) else compact(arguments)
    ident = item.get("id") or render_id(turn.operation, "tool_call", turn.draw, turn.at, str(index))
    return Part("call", arguments, ident, item["name"])


def _stopped(text: str, stop: Iterable[str]) -> str:
    for sequence in stop:
        text = text.partition(sequence)[0]
    return text


def _cost(text: str | None, calls: Iterable[Part], refusal: str | None) -> int:
    return count(text or "") + count(refusal or "") + sum(count(call.name) + count(call.text) for call in calls)


def _capped(
    cap: int, text: str | None, calls: Iterable[Part], refusal: str | None
) -> tuple[str | None, list[Part], str | None]:
    """Keep `cap` tokens: of the text, then of each call's arguments; a call whose name does not fit is left out."""
    left = cap
    if text is not None:
        text = first(text, left)
        left -= count(text)
    if refusal is not None:
        refusal = first(refusal, left)
        left -= count(refusal)
    kept = []
    for call in calls:
        left -= count(call.name)
        if left < 0:
            break
        arguments = first(call.text, left)
        left -= count(arguments)
        kept.append(Part("call", arguments, call.id, call.name))
    return text if text is not None or kept or refusal is not None else "", kept, refusal
