"""The two families of errors: the user's file (SourceError) and the provider's answer (Refusal)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from emulator.core.frozen import frozen

Json: TypeAlias = Any

#: The closed list of what a provider can refuse with, and the status of each.
STATUS: Mapping[str, int] = {
    "invalid_request": 400,
    "unauthorized": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "idempotency_in_progress": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_mismatch": 422,
    "rate_limited": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "model_unavailable": 503,
    "timeout": 504,
}


OPTIONS = "options"
#: After so many problems of a file the others are not looked for: explaining takes long.
MOST_PROBLEMS = 100
#: How many letters of a name say which was meant.
BEGUN = 3


@frozen
class Problem:
    """One thing wrong in a file of the user's: its place (from 1), what it concerns, and what would be right.

    The file OPTIONS stands for what was said on the command line or in a request: it has no place to show.
    """

    file: str
    line: int
    column: int
    where: str
    message: str

    def shown(self) -> Problem:
        """Return it with a file's name that can be shown: a name can be any bytes."""
        file = printable(self.file)
        return self if file == self.file else Problem(file, self.line, self.column, self.where, self.message)

    def __str__(self) -> str:
        where = f"{printable(self.where)}: " if self.where else ""
        if self.file == OPTIONS:
            return f"{where}{self.message}"
        return f"{printable(self.file)}:{self.line}:{self.column}: {where}{self.message}"


class SourceError(ValueError):
    """A file of the user's does not load; `problems` holds all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(item.shown() for item in problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems of a file in its order."""
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


@frozen
class Violation:
    """One value that breaks a schema: its path (`messages[0].content`), why, the fact it rests on, the path's steps.

    `keyword` is what it breaks, `wanted` what that asks for, `given` the value: for who says it in other words.
    """

    path: str
    message: str
    fact: str | None = None
    steps: tuple[str | int, ...] = ()
    keyword: str = field(default="", compare=False, repr=False)
    wanted: Json = field(default=None, compare=False, repr=False)
    given: Json = field(default=None, compare=False, repr=False)


class Refusal(Exception):
    """What the provider would refuse, by a name of STATUS; made an answer by the engine alone.

    `details` are the offending fields, `fact` the documented fact it rests on, `headers` what HTTP asks for beside it;
    `documented` has values of the envelope's holes that are the provider's own words, where `message` is in ours;
    `values` are figures that an error can tell besides.
    """

    def __init__(
        self,
        name: str,
        message: str | None = None,
        details: Sequence[Violation] = (),
        fact: str | None = None,
        headers: Mapping[str, str] | None = None,
        documented: Mapping[str, Json] | None = None,
        values: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(message or name)
        self.name = name
        self.message = message
        self.details = tuple(details)
        self.fact = fact or next((item.fact for item in details if item.fact), None)
        self.headers = dict(headers or {})
        self.documented = dict(documented or {})
        self.final = False  # no retry cures it
        self.values = dict(values or {})


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that one was meant to be: the shortest that goes on as it does, or a near one."""
    names = sorted(known)
    begun = [item for item in names if item.startswith(name)] if len(name) >= BEGUN else []
    if begun:
        return min(begun, key=len)
    import difflib  # only for what is wrong

    found = difflib.get_close_matches(name[:200], names, 1, 0.6)
    return found[0] if found else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for a misspelt name, or the list of what is known."""
    names = sorted(known)
    close = closest(name, names)
    if close:
        return f"did you mean '{close}'?"
    return "known: " + ", ".join(names) if names else "nothing is allowed here"


def many(number: int, noun: str) -> str:
    """Return a number of things in words: `1 case`, `2 cases`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def shown(value: Json, width: int = 80) -> str:
    """Return a value as a message shows it, cut at `width` characters."""
    text = repr(value) if isinstance(value, str) else _compact(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _compact(value: Json) -> str:
    if value is True or value is False or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item, 20) for item in value[:5]) + ("…]" if len(value) > 5 else "]")
    return str(value)


# What can be seen of a text

_DOUBTFUL = re.compile("[^ -~]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str, keep: str = "") -> str:
    r"""Return text whose characters can all be seen, others as `\u202e`; `keep` are those that stay as they are.

    Cursor movements, bidirectional overrides, zero-width marks and lone surrogates would act on who reads them: in a
    terminal, a log line or a header.
    """
    if text.isprintable():
        return text
    return _DOUBTFUL.sub(lambda found: found[0] if found[0] in keep else _seen(found[0]), text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each of them printable: its line feeds are ours."""
    return printable(text, "\n\t")


def _seen(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":  # other languages have spaces of their own
        return char
    return _SHORT.get(char) or (f"\\u{ord(char):04x}" if ord(char) < 1 << 16 else f"\\U{ord(char):08x}")
