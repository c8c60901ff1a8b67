"""The values of holes: what a template may say of a completion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tree import parsed
from emulator.core.wires import template
from emulator.core.wires.completion import CALLS, REASONS, Annotation, Completion, Part, Token, counts, signature


@frozen
class AnswerValues:
    """What is written: a completion, so many times, with the id, the time and the model of its answer."""

    completion: Completion
    id: str = ""
    created: int = 0
    model: str = ""
    choices: int = 1
    echoes: Sequence[str] = ()  # what is said before the text of each choice
    items: Sequence[str] = ()  # an id for each part, where the wire tells them
    echo: Mapping[str, Json] = field(default_factory=dict)  # what the holes for the request's fields hold
    later: bool = False  # it is made afterwards
    conversation: str | None = None  # the id of the conversation that it is part of
    signs: bool = False  # the model signs the first call of an answer
    padded_by: int | None = None  # the seed of what pads events; None: nothing does
    prices: tuple[float, float] | None = None  # of a million tokens of input, and of output


def values_of(saying: AnswerValues) -> dict[str, Json]:
    """Return the values of the holes that every wire has; those of parts, each part's by itself, are `PARTS`."""
    completion, usage, text = saying.completion, saying.completion.usage, saying.completion.text()
    kind = "refusal" if text is None else "text"  # the one that has rows
    said = [part for part in completion.parts if part.kind == kind and (part.tokens or part.annotations)]
    return {
        "id": saying.id, "created": saying.created, "model": saying.model, "choices": saying.choices, "choice": 0,
        "text": text, "refusal": completion.text("refusal"), "finish": completion.finish,
        "reasoning": completion.text("reasoning"), "stopped": completion.stopped,
        template.PARTS: list(_parts(completion, saying.items, saying.signs)), template.NUMBER: 0,
        template.ERROR: None, **_NO_FAILURE,
        "usage": usage, "usage.asked": None, "usage.cost": _cost(saying), **counts(usage),
        template.FILTERED: completion.finish == REASONS[-1] or None,
        "echoes": saying.echoes, "conversation": saying.conversation,
        template.TOKENS: _tokens([token for part in said for token in part.tokens]),
        template.ANNOTATIONS: _annotations([item for part in said for item in part.annotations]),
    }  # fmt: skip


_NO_FAILURE = dict.fromkeys(template.FAILURE)


def _cost(saying: AnswerValues) -> float | None:
    """Return what an answer costs; nothing, where no prices are known, or no usage is told."""
    usage, prices = saying.completion.usage, saying.prices
    if usage is None or prices is None:
        return None
    return round((usage["input"] * prices[0] + usage["output"] * prices[1]) / 1_000_000, 10)


def _signature(part: Part, calls: int, signs: bool) -> str | None:
    """Return the signature of reasoning, and where the model signs them of the first call."""
    if part.kind == "reasoning":
        return signature(part.text)
    return signature(part.name + part.text) if signs and part.kind == "call" and not calls else None


def _parts(completion: Completion, items: Sequence[str], signs: bool) -> Iterator[dict[str, Json]]:
    """Yield the values of each part's holes, with its place among all and among the calls."""
    calls = 0
    cut = completion.finish == "length"
    for index, part in enumerate(completion.parts):
        yield {
            "kind": part.kind, "part.id": part.id, "part.name": part.name, "part.text": part.text,
            "part.arguments": part.text,
            "part.input": parsed(part.text, {} if cut else part.text) if part.kind == "call" else None,
            "part.signature": _signature(part, calls, signs),
            "part.index": index, "part.call": calls, template.ITEM: items[index] if index < len(items) else "",
            template.TOKENS: _tokens(part.tokens), template.ANNOTATIONS: _annotations(part.annotations),
            template.THOUGHTS: [{"part.text": part.text}] if part.kind == "reasoning" and part.text else None,
        }  # fmt: skip
        calls += part.kind in CALLS


def _tokens(tokens: Sequence[Token]) -> list[Json] | None:
    """Return the rows of tokens; nothing where there are none."""
    return [
        {"token.text": token.text, "token.logprob": token.logprob,
         "token.bytes": list(token.text.encode(errors="surrogatepass")), template.LIKELY: _tokens(token.likely)}
        for token in tokens
    ] or None  # fmt: skip


def _annotations(annotations: Sequence[Annotation]) -> list[Json] | None:
    return [
        {"annotation.url": item.url, "annotation.title": item.title, "annotation.start": item.start,
         "annotation.end": item.end, "annotation.index": index}
        for index, item in enumerate(annotations)
    ] or None  # fmt: skip
