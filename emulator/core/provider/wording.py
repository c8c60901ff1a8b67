"""How a provider words what breaks a schema: by the keyword that is broken, in its own text, type, code and param.

What is said of one place (`exceptions`) goes before what is said of a keyword. Only the first violation is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from emulator.core.errors import Json, Violation
from emulator.core.provider.field_names import told_path
from emulator.core.provider.holes import fill_text
from emulator.core.tree import kind_of, listed, path_of

#: What of the envelope a wording has a say in.
SAID = ("type", "code", "param", "message", "more")

Wording: TypeAlias = Mapping[str, Json]
#: Tells a place of the body as the provider does.
PathOf: TypeAlias = Callable[[tuple[str | int, ...]], str]


def path_in(body: Json, told: Mapping[str, Json]) -> PathOf:
    """Return what tells places of a body: as they are, or in snake_case, entries of some fields by number."""
    if told.get("spelt") != "snake_case":
        return path_of
    return lambda steps: told_path(steps, body, told.get("maps", ()))


def _covers(place: Wording, violation: Violation) -> bool:
    """Tell whether a violation is of a place, and of its keywords and kinds of values; none listed are all."""
    by_keyword = not place.get("on") or violation.keyword in place["on"]
    by_kind = not place.get("given") or kind_of(violation.given) in place["given"]
    return _INDEX.sub("[]", violation.path) == place["at"] and by_keyword and by_kind


_INDEX = re.compile(r"\[[0-9]+\]")


def documented(
    violations: Sequence[Violation],
    keywords: Mapping[str, Wording],
    exceptions: Sequence[Wording],
    muted: frozenset[str],
    path_of: PathOf,
) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """Return the envelope's values for the first violation, and where its wording is for `each` what is told of all.

    Nothing, where the provider has no words of its own.
    """
    own = [next((place for place in exceptions if _covers(place, item)), None) for item in violations]
    worded = [(item, words or _usual(item, keywords)) for item, words in zip(violations, own, strict=True)]
    each = [(item, wording) for item, wording in worded if wording and wording.get("each")]
    first, wording = next(iter(each or worded), (None, None))
    if first is None or wording is None or wording.get("fact") in muted:
        return {}, []
    told = said(wording, _Values(first, path_of))
    if not each:
        return told, []
    values = [(wording, _Values(item, path_of)) for item, wording in each if wording.get("fact") not in muted]
    found = [{"field": item["within"], "message": said(wording, item)["message"]} for wording, item in values]
    return {**told, "message": "\n".join(item["message"] for item in found)}, found


def error_below(given: Mapping[str, Json], path: str) -> Mapping[str, Json]:
    """Return an error with what is otherwise at a path below the base URL."""
    other: Json = next((its for begin, its in given.get("below", {}).items() if path.startswith(begin)), {})
    return {**given, **other} if other else given


def said(wording: Wording, values: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a wording says of the envelope, its holes filled."""
    given = {name: wording[name] for name in SAID if name in wording}
    return {name: fill_text(text, values) if isinstance(text, str) else text for name, text in given.items()}


def _usual(violation: Violation, keywords: Mapping[str, Wording]) -> Wording | None:
    keyword = "enum" if violation.keyword == "const" else violation.keyword
    of_kind = f"{keyword}_top" if len(violation.steps) == 1 else f"{keyword}_{kind_of(violation.given)}"
    names = (of_kind, keyword, keyword.partition("_")[0], "other")
    return next((keywords[name] for name in names if name in keywords), None)


class _Values(dict[str, Json]):
    """The values of the holes, each found when a text has it."""

    def __init__(self, violation: Violation, path_of: PathOf) -> None:
        self._given = violation, path_of

    def __missing__(self, hole: str) -> Json:
        return _HOLES[hole](*self._given)


_A = {
    "string": "a string", "integer": "an integer", "number": "a decimal", "boolean": "a boolean", "array": "an array",
    "object": "an object", "null": "null",
}  # fmt: skip


def _expected(wanted: Sequence[Json]) -> str:
    kinds = [_A.get(str(kind), str(kind)) for kind in wanted if kind != "null" or len(wanted) == 1]
    return kinds[0] if len(kinds) == 1 else f"one of {' or '.join(kinds)}"


def _values_listed(wanted: Sequence[Json]) -> str:
    words = [_quoted(item) for item in wanted if item is not None]
    return f"{', '.join(words[:-1])}, and {words[-1]}" if len(words) > 2 else " and ".join(words)


def _quoted(value: Json) -> str:
    return f"'{value}'" if isinstance(value, str) else _plain(value)


def _plain(value: Json) -> str:
    """Show a value that is no text; what has parts by its kind alone."""
    if isinstance(value, bool | None):
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else _A[kind_of(value)]


def _given(violation: Violation) -> str:
    """Show the value that was given: where decimals are wanted as a decimal, a long text cut."""
    value = violation.given
    if violation.keyword in ("minimum", "maximum") and isinstance(value, int) and not isinstance(value, bool):
        return str(float(value)) if abs(value) < 2**53 else str(value)
    return _quoted(value[:200]) if isinstance(value, str) else _plain(value)


#: What a violation's text can name: the place, what was wanted, what was given, and the bound that it passes.
_HOLES: Mapping[str, Callable[[Violation, PathOf], Json]] = {
    "param": lambda violation, path_of: path_of(violation.steps),
    "within": lambda violation, path_of: path_of(violation.steps[:-1]),
    "dotted": lambda violation, path_of: ".".join(map(str, violation.steps)),  # messages.0.content
    "holder": lambda violation, path_of: ".".join(map(str, violation.steps[:-1])),
    "name": lambda violation, path_of: next((step for step in reversed(violation.steps) if isinstance(step, str)), ""),
    "expected": lambda violation, path_of: _expected(listed(violation.wanted)),
    "kind": lambda violation, path_of: _A[kind_of(violation.given)],
    "given": lambda violation, path_of: _given(violation),
    "bare": lambda violation, path_of: str(violation.given)[:200],
    "values": lambda violation, path_of: _values_listed(listed(violation.wanted)),
    "limit": lambda violation, path_of: violation.wanted,
    "length": lambda violation, path_of: len(violation.given) if isinstance(violation.given, str | list | dict) else 0,
}
HOLES = tuple(_HOLES)
