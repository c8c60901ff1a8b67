"""What the model says, whatever the wire: parts in order, why it ended (and the words for it), and what it cost."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Set
from dataclasses import field
from hashlib import blake2b
from typing import Literal, get_args

from emulator.core.errors import Json
from emulator.core.frozen import frozen

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


@frozen
class Words:
    """Tables of words, by the names of the holes for them; in each the words stand by reasons and causes.

    Where it `refuses` a refusal looks like a text, and only the word for why it ended tells it from one.
    """

    tables: Mapping[str, Mapping[str, str]]
    refuses: bool = False

    def of(self, completion: Completion) -> dict[str, Json]:
        """Return the words for why a completion ended; a reason that has none is passed on."""
        cause, finish = completion.cause, completion.finish
        return {
            name: table[cause] if cause in table else table.get(finish or "", finish)
            for name, table in self.tables.items()
        }

    def reason(self, found: Mapping[str, Json], kinds: Set[str]) -> str | None:
        """Return the neutral reason that all words fit; of several, the one that fits what was said."""
        if not self.tables:
            return found.get("finish") or None
        words, reasons = self._said(found), self.reasons(found)
        if not words:
            return None
        for of_kinds, reason in ((CALLS, "tool_calls"), (("refusal",), "refusal")):
            if not kinds.isdisjoint(of_kinds) and reason in reasons:
                return reason if reason in REASONS else "stop"
        first = [*(reason for reason in reasons if reason != "refusal"), *words.values()][0]
        return "stop" if first in CAUSES else first

    def reasons(self, found: Mapping[str, Json]) -> list[str]:
        """Return the neutral reasons that all words fit; none where there is no word."""
        words = self._said(found)
        known = next(iter(self.tables.values())) if words else ()
        return [reason for reason in known if all(self.tables[of].get(reason) == word for of, word in words.items())]

    def _said(self, found: Mapping[str, Json]) -> dict[str, str]:
        """Return the words for why an answer ended, of the tables that have more than one."""
        telling = [name for name, table in self.tables.items() if len(set(table.values())) > 1]
        return {name: found[name] for name in telling if found.get(name)}


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


def counts(usage: Mapping[str, int] | None) -> dict[str, Json]:
    """Return the values of the holes that usage fills."""
    if usage is None:
        return dict.fromkeys(("usage.input", "usage.total", "usage.output", "usage.reasoning", f"usage.{SAID}"))
    thought = usage.get("reasoning", 0)
    return {
        "usage.input": usage["input"], "usage.output": usage["output"], "usage.total": usage["total"],
        "usage.reasoning": thought, f"usage.{SAID}": usage["output"] - thought,
    }  # fmt: skip
