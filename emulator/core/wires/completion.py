"""What the model says, whatever the wire: parts in order, why it ended, and what it cost."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Literal, get_args

import orjson

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tokens import count, pieces

Kind = Literal["reasoning", "text", "refusal", "call", "custom"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Calls of tools: with arguments that are JSON, and with an input that is a text.
CALLS: tuple[Kind, ...] = ("call", "custom")
#: Finish reasons; others are passed on as they are.
REASONS = ("stop", "length", "tool_calls", "content_filter")
#: What a wire may call a stop more exactly: it came before a text that the request named, or the model refused.
CAUSES = ("stop_text", "refusal")
#: What usage is called here, and what the scenario and the journal call it.
COUNTS = {"input": "prompt_tokens", "output": "completion_tokens", "total": "total_tokens"}
#: What some wires tell beside them: of the input and of the output, how much is of a kind.
DETAILS = {"cached": "cached_tokens", "written": "cache_write_tokens", "reasoning": "reasoning_tokens"}
#: Of the input, what is neither read from a cache nor written to one; of the output, what is no reasoning.
FRESH, SAID = "fresh", "said"
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
    """What the model says; `usage` by the names of COUNTS, DETAILS. `unread`: it said more, in no known form.

    `stopped` is the text of the request before which it ended.
    """

    parts: tuple[Part, ...] = ()
    finish: str | None = None
    usage: Mapping[str, int] | None = None
    model: str | None = field(default=None, compare=False)
    unread: bool = field(default=False, compare=False)
    stopped: str | None = field(default=None, compare=False)

    def text(self, kind: Kind = "text") -> str | None:
        """Return the text of a kind; None where there is no part of it."""
        texts = [part.text for part in self.parts if part.kind == kind]
        return "".join(texts) if texts else None

    @property
    def cause(self) -> str:
        """Return which of CAUSES made it stop, if one did."""
        if self.finish != "stop":
            return ""
        refused = any(part.kind == "refusal" for part in self.parts)
        return "stop_text" if self.stopped is not None else "refusal" if refused else ""

    @property
    def untold(self) -> int:
        """Return how many tokens were reasoned that no part tells."""
        told = any(part.kind == "reasoning" for part in self.parts)
        return 0 if told else (self.usage or {}).get("reasoning", 0)

    def calls(self) -> list[Part]:
        return [part for part in self.parts if part.kind in CALLS]


def named_usage(usage: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return usage by the names of the scenario and the journal."""
    return {_NAMES[name]: number for name, number in usage.items()} if usage else None


def neutral_usage(usage: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return usage by the names used here."""
    return {name: usage[named] for name, named in _NAMES.items() if named in usage} if usage else None


#: How the signatures of what was reasoned begin here, so that those of others are told from them.
OURS = "EmulatorSignedAs"


def signature(text: str) -> str:
    """Return the signature of a text: always the same."""
    return OURS + b64encode(blake2b(text.encode(errors="replace"), digest_size=48).digest()).decode()


def is_broken(signed: str, text: str) -> bool:
    """Tell whether a signature is one of ours, but of another text."""
    return signed.startswith(OURS) and signed != signature(text)


# Usage as a stream tells it that counts on: in each event, what was said until then

#: What stands for a count in the event of a piece, until it is written.
_MARKS = {"usage.reasoning": 7_000_000_000_000_001, f"usage.{SAID}": 7_000_000_000_000_003,
          "usage.output": 7_000_000_000_000_007, "usage.total": 7_000_000_000_000_009}  # fmt: skip


def counts(usage: Mapping[str, int] | None) -> dict[str, Json]:
    """Return the values of the holes that usage fills."""
    if usage is None:
        return dict.fromkeys(("usage.input", "usage.total", "usage.output", "usage.reasoning", f"usage.{SAID}"))
    thought = usage.get("reasoning", 0)
    return {
        "usage.input": usage["input"], "usage.output": usage["output"], "usage.total": usage["total"],
        "usage.reasoning": thought, f"usage.{SAID}": usage["output"] - thought,
    }  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What of an answer's usage was said so far, in all of its choices."""

    usage: Mapping[str, int]
    choices: int
    said: int = 0
    thought: int = 0

    def add(self, kind: str, tokens: int) -> None:
        if kind == "reasoning":
            self.thought = min(self.thought + tokens * self.choices, self.usage.get("reasoning", 0))
        else:
            most = self.usage["output"] - self.usage.get("reasoning", 0)
            self.said = min(self.said + tokens * self.choices, most)

    def values(self) -> dict[str, Json]:
        output = self.said + self.thought
        so_far = {"output": output, "total": self.usage["input"] + output, "reasoning": self.thought}
        return counts({**self.usage, **so_far})

    def marked(self, kind: str) -> dict[str, Json]:
        """Return the values with marks for those that each piece of a kind changes."""
        same = f"usage.{SAID}" if kind == "reasoning" else "usage.reasoning"
        return self.values() | {name: mark for name, mark in _MARKS.items() if name != same}

    def fill(self, part: Part, said: Iterable[bytes], forms: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
        """Yield the events of a part's pieces, which stand between the two sides of each form."""
        compiled = [b"%(piece)b".join(map(_form, sides)) for sides in forms]
        told, given = 0, list(said)
        for tokens, piece in zip(_so_far(part.text, given), given, strict=True):
            self.add(part.kind, tokens - told)
            told = tokens
            values = {name.encode(): value for name, value in self.values().items()}
            for form in compiled:
                yield form % {**values, b"piece": piece}

    def add_call(self, part: Part) -> None:
        self.add(part.kind, count(part.name) + count(part.text))


def _form(side: bytes) -> bytes:
    side = side.replace(b"%", b"%%")
    for name, mark in _MARKS.items():
        side = side.replace(b"%d" % mark, b"%%(%b)d" % name.encode())
    return side


def _so_far(text: str, given: Iterable[bytes]) -> Iterator[int]:
    """Yield of each piece of a text how many tokens were begun by its end."""
    ends = list(accumulate(map(len, pieces(text))))
    for end in accumulate(len(orjson.loads(piece)) for piece in given):
        yield min(bisect_left(ends, end) + 1, len(ends))
