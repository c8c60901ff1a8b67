"""What the model says in the end: a content, stopped and capped, how probable it was, and its cost in tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from emulator.core.answer.render import Turn, render_id, wire_of
from emulator.core.errors import Json
from emulator.core.scenario.scenario import Reply
from emulator.core.schema.defaults import with_defaults
from emulator.core.seeded_random import Draw
from emulator.core.tokens import count, first, pieces
from emulator.core.tree import compact
from emulator.core.values import Note
from emulator.core.wires.completion import CALLS, Annotation, Completion, Kind, Part, Token

#: What a model might have said instead.
_OTHERS = (
    " the", " a", " and", ",", ".", " it", " is", " that", " of", " to", " in", "\n", " not", " one", " I", " you",
    " for", " as", " with", " there", " this",
)  # fmt: skip


def say(turn: Turn, content: Mapping[str, Json], reply: Reply) -> tuple[Completion, int, tuple[Note, ...]]:
    """Return what is said of a reply's content, up to a stop word and to the cap, its tokens, and notes."""
    notes: list[Note] = []
    parts = list(parts_of(turn, content))
    kinds = {part.kind for part in parts}
    if "reasoning" in kinds:
        parts = _reasoned(turn, parts, notes)
    if not kinds.isdisjoint(CALLS):
        parts = _asked_for(turn, parts, notes)
    stopped: str | None = None
    if turn.call.conversation.stop and not reply.verbatim:
        parts, stopped = _up_to(parts, turn.call.conversation.stop)
    called = any(part.kind in CALLS for part in parts)
    reason = reply.finish_reason or ("tool_calls" if called else "stop")
    tokens = _cost(parts)
    if turn.cap is not None and tokens > turn.cap and not reply.verbatim:
        parts = _capped(turn.cap, parts)
        name = wire_of(turn).request.path("cap")
        notes.append(Note(turn.cap_fact, name, f"the reply was cut at {turn.cap} of {tokens} tokens"))
        tokens, reason, stopped = _cost(parts), "length", None
    likely = turn.call.conversation.logprobs
    said = tuple([_probable(part, likely) for part in parts])
    return Completion(said, reason, stopped=stopped), tokens, tuple(notes)


def parts_of(turn: Turn, content: Mapping[str, Json]) -> Iterator[Part]:
    """Yield the parts of a reply: those of `outputs` in their order, else reasoning, text, refusal and calls."""
    given = content.get("outputs", (content,))
    number = 0
    for item in given:
        for kind in _TEXTS:
            text = item.get(kind)
            if text is not None:
                yield _text(kind, text if isinstance(text, str) else compact(text), item)
        for call in item.get("tool_calls", ()):
            yield _tool_call(turn, number, call)
            number += 1


#: Kinds of parts that are texts, in the order in which they are said.
_TEXTS: tuple[Kind, ...] = ("reasoning", "text", "refusal")


def _text(kind: Kind, text: str, item: Mapping[str, Json]) -> Part:
    """Return a text with the sources that it cites; of its tokens, what the reply says."""
    if kind == "reasoning":
        return Part(kind, text)
    cited = tuple(Annotation(**given) for given in item.get("annotations", ()))
    return Part(kind, text, tokens=tuple(map(_token, item.get("logprobs", ()))), annotations=cited)


def _token(given: Mapping[str, Json]) -> Token:
    return Token(given["token"], given["logprob"], tuple(map(_token, given.get("top", ()))))


def _probable(part: Part, likely: int | None) -> Part:
    """Tell how probable the tokens of a text were, where that is asked for."""
    if part.kind not in ("text", "refusal") or (likely is None and not part.tokens):
        return part
    return replace(part, tokens=() if likely is None else probable_tokens(part.text, part.tokens, likely))


def _reasoned(turn: Turn, parts: list[Part], notes: list[Note]) -> list[Part]:
    """Leave reasoning out where the model, as it was asked, does none."""
    form = wire_of(turn).request
    if form.reasons(asked(turn)):
        return parts
    notes.append(Note(None, form.fields("thinks")[0], "the reply's reasoning is left out: the request asks for none"))
    return [part for part in parts if part.kind != "reasoning"]


def _asked_for(turn: Turn, parts: list[Part], notes: list[Note]) -> list[Part]:
    """Leave out what the tool choice rules out: a second call, and a text beside a call that had to be."""
    said, form = turn.call.conversation, wire_of(turn).request
    calls = [part for part in parts if part.kind in CALLS]
    left = calls[1:] if said.one_call else []
    if calls and form.calls_alone and said.tool_choice in ("required", "named"):
        left += [part for part in parts if part.kind == "text"]
    if not left:
        return parts
    name = form.fields("tool_choice")[0]
    notes.append(Note(None, name, f"{len(left)} of the reply's parts were left out: the tool choice rules them out"))
    return [part for part in parts if part not in left]


def told(turn: Turn, completion: Completion) -> tuple[Completion, tuple[Note, ...]]:
    """Return a completion as it is told: without reasoning that the request does not ask for, which is noted.

    It is counted all the same. Of reasoning that the request wants hidden it is told that there was some.
    """
    form, parts = wire_of(turn).request, completion.parts
    if not turn.call.conversation.reasoning:
        why = "the reasoning is counted and not told: the request does not ask for it"
        said = tuple([part for part in parts if part.kind != "reasoning"])
        return replace(completion, parts=said), (Note(None, form.path("reasoning"), why),)
    if not form.hides(asked(turn)):
        return completion, ()
    hidden = [replace(part, text="", pieces=()) if part.kind == "reasoning" else part for part in parts]
    return replace(completion, parts=tuple(hidden)), ()


def asked(turn: Turn) -> Mapping[str, Json]:
    """Return the body with what its model does unasked."""
    model = turn.provider.models.get(turn.call.model)
    return with_defaults(turn.call.body, model.defaults if model else {})


def _tool_call(turn: Turn, index: int, item: Mapping[str, Json]) -> Part:
    arguments = item.get("input", item.get("arguments", {}))
    arguments = arguments if isinstance(arguments, str) else compact(arguments)
    ident = item.get("id") or render_id(turn.operation, "tool_call", turn.draw, turn.at, str(index))
    custom = "input" in item or any(tool.custom and tool.name == item["name"] for tool in turn.call.conversation.tools)
    kind: Kind = "custom" if custom and "custom" in wire_of(turn).request.kinds else "call"
    return Part(kind, arguments, ident, item["name"])


def _up_to(parts: Sequence[Part], stop: Iterable[str]) -> tuple[list[Part], str | None]:
    """Return what is said before the first of some texts, and which it was; nothing follows it."""
    for index, part in enumerate(parts):
        found = [(part.text.find(text), text) for text in stop if part.kind == "text" and text in part.text]
        if found:
            end, text = min(found)
            return [*parts[:index], replace(part, text=part.text[:end])], text
    return list(parts), None


def _cost(parts: Iterable[Part]) -> int:
    return sum([count(part.name) + count(part.text) for part in parts])


def reasoning_cost(completion: Completion) -> int:
    """Return how many tokens of what is said are reasoning."""
    return _cost(part for part in completion.parts if part.kind == "reasoning")


def _capped(cap: int, parts: Iterable[Part]) -> list[Part]:
    """Keep `cap` tokens, part by part; of a call with its name at least, and nothing after what takes the last."""
    left = cap
    kept: list[Part] = []
    for part in parts:
        left -= count(part.name)
        if left < 0 or (left == 0 and kept and not part.name):
            break
        text = first(part.text, left)
        left -= count(text)
        kept.append(replace(part, text=text))
    return kept or [Part("text", "")]


# How probable tokens are


def probable_tokens(text: str, given: Sequence[Token], likely: int) -> tuple[Token, ...]:
    """Return the tokens of a text, `likely` of the most likely ones beside each.

    `given` are those of a reply, which may be longer than what is left of its text. The others are drawn: each was more
    probable than not, and what is left is shared by what might have been said instead.
    """
    if given:
        return tuple(Token(item.text, item.logprob, item.likely[:likely]) for item in _within(text, given))
    draw = Draw("logprobs", text)
    return tuple(_drawn(draw, index, piece, likely) for index, piece in enumerate(pieces(text)))


def _within(text: str, given: Sequence[Token]) -> Iterator[Token]:
    left = len(text)
    for item in given:
        left -= len(item.text)
        if left < 0:
            return
        yield item


def _drawn(draw: Draw, index: int, piece: str, likely: int) -> Token:
    first, number = divmod(draw.below(f"token/{index}", len(_OTHERS) * 4999), 4999)
    probability = 0.5 + number / 10_000
    others = [text for text in (*_OTHERS[first:], *_OTHERS[:first]) if text != piece]
    left = 1 - probability
    shares = [Token(text, _log(left / 2 ** (place + 1))) for place, text in enumerate(others[: max(0, likely - 1)])]
    own = Token(piece, _log(probability))
    return Token(piece, own.logprob, (own, *shares) if likely else ())


def _log(probability: float) -> float:
    return round(math.log(probability), 6)
