"""What the model says, whatever the wire: parts in order, why it ended, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, get_args

from emulator.core.frozen import frozen

Kind = Literal["reasoning", "text", "refusal", "call", "custom"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Calls of tools: with arguments that are JSON, and with an input that is a text.
CALLS: tuple[Kind, ...] = ("call", "custom")
#: Finish reasons; others are passed on as they are.
REASONS = ("stop", "length", "tool_calls", "content_filter")
#: What usage is called here, and what the scenario and the journal call it.
COUNTS = {"input": "prompt_tokens", "output": "completion_tokens", "total": "total_tokens"}
#: What some wires tell beside them: of the input and of the output, how much is of a kind.
DETAILS = {"cached": "cached_tokens", "reasoning": "reasoning_tokens"}
_NAMES = {**COUNTS, **DETAILS}


@frozen
class Token:
    """A token of a text, how probable it was (the natural logarithm), and what was most likely in its place."""

    text: str
    logprob: float
    likely: tuple[Token, ...] = ()


@frozen
class Annotation:
    """A source that a text cites, from one of its characters to another."""

    url: str
    title: str
    start: int = 0
    end: int = 0


@frozen
class Part:
    """A part of what is said; the text of a call is its arguments. `pieces` are those that a stream had.

    `tokens` are told where a request asks for their probabilities.
    """

    kind: Kind
    text: str
    id: str = ""
    name: str = ""
    tokens: tuple[Token, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    pieces: tuple[str, ...] = field(default=(), compare=False)


@frozen
class Completion:
    """What the model says; `usage` by the names of COUNTS, DETAILS. `unread`: it said more, in no known form."""

    parts: tuple[Part, ...] = ()
    finish: str | None = None
    usage: Mapping[str, int] | None = None
    model: str | None = field(default=None, compare=False)
    unread: bool = field(default=False, compare=False)

    def text(self, kind: Kind = "text") -> str | None:
        """Return the text of a kind; None where there is no part of it."""
        texts = [part.text for part in self.parts if part.kind == kind]
        return "".join(texts) if texts else None

    def calls(self) -> list[Part]:
        return [part for part in self.parts if part.kind in CALLS]


def named_usage(usage: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return usage by the names of the scenario and the journal."""
    return {_NAMES[name]: number for name, number in usage.items()} if usage else None


def neutral_usage(usage: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return usage by the names used here."""
    return {name: usage[named] for name, named in _NAMES.items() if named in usage} if usage else None
