"""Verification: how many requests of a journal fit a `when`, and which came nearest where the number is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

from emulator.core.errors import Json, Problem, SourceError, Violation, many, nearest
from emulator.core.frozen import frozen
from emulator.core.journal.describe import secrets_of
from emulator.core.scenario.candidates import why_of
from emulator.core.scenario.matchers import MatchError, compile_when, state_set
from emulator.core.schema.cost import TooCostly
from emulator.core.schema.formats import own_schema
from emulator.core.schema.schema import Schema
from emulator.core.schema.untrusted import Allowance
from emulator.core.secrets.redaction import redact_when
from emulator.core.secrets.repeated import without
from emulator.core.source import MAX_DEPTH
from emulator.core.tree import compact, deeper
from emulator.core.values import Call, Exchange

NEAREST = 3
#: What stands beside a `when` in a verification.
BOUNDS = ("count", "at_least", "at_most")
#: Steps of about 8 ns that the patterns and schemas of one verification may take, over all requests.
MOST_STEPS = 250_000_000


@frozen
class Verified:
    """Whether the number was right; `nearest` are the requests that fitted least badly, field by field.

    `exchanges` are the numbers of those that fit.
    """

    ok: bool
    count: int
    message: str
    nearest: tuple[Mapping[str, Json], ...] = ()
    exchanges: tuple[int, ...] = ()

    def body(self) -> dict[str, Json]:
        return {
            "ok": self.ok, "count": self.count, "message": self.message, "nearest": list(self.nearest),
            "exchanges": list(self.exchanges),
        }  # fmt: skip


@functools.cache
def _when_schema() -> Schema:
    whole = own_schema("scenario").document
    return Schema({"$ref": "#/$defs/when", "$defs": whole["$defs"]})


def verify(
    exchanges: Sequence[Exchange],
    when: Mapping[str, Json],
    count: int | None = None,
    at_least: int | None = None,
    at_most: int | None = None,
    dropped: int = 0,
) -> Verified:
    """Count the understood requests that fit a `when`; a `when` without an operation fits any.

    Where requests were `dropped` from the journal, only what is still there in plenty can be shown.
    Raises: SourceError, for a `when` that is none, or takes too long on these requests, and for bounds that all keep.
    """
    if (count, at_least, at_most) == (None, 0, None):
        raise SourceError([Problem("at_least", 1, 1, "", "0 holds whatever was asked; say count: 0 for none")])
    differ = _compile(when)
    try:
        rows = [(item, differ(item, item.claim.call)) for item in exchanges if item.claim.call]
    except TooCostly as error:
        raise SourceError([Problem("when", 1, 1, "", f"cannot be tried on all requests: {error}")]) from None
    fitting = tuple(item.grant.number for item, differences in rows if not differences)
    found = len(fitting)
    wanted = _wanted(count, at_least, at_most)
    ok = (count is None or found == count) and found >= (at_least or 0) and (at_most is None or found <= at_most)
    over = any(bound is not None and found > bound for bound in (count, at_most))
    if dropped and not over and (found < (at_least or 0) or count is not None or at_most is not None):
        message = f"{dropped} older requests are no longer in the journal, so that it cannot tell whether {wanted} fit"
        message += f" {_said(when)}; give it more room (--journal-size, 500 MB for all)"
        return Verified(False, found, message, exchanges=fitting)
    if ok:
        return Verified(True, found, f"{found} of {len(rows)} requests fit {_said(when)}.", exchanges=fitting)
    nearest = _nearest(rows) if found < max(count or 0, at_least or 0) else ()
    told = f": exchanges {', '.join(map(str, fitting))}" if fitting else ""
    first = f"expected {wanted} that fit {_said(when)}, got {found} of {len(rows)} requests{told}"
    return Verified(False, found, "\n".join([first, *_lines(nearest)]), nearest, fitting)


def _nearest(rows: Sequence[tuple[Exchange, Sequence[Mapping[str, Json]]]]) -> tuple[Mapping[str, Json], ...]:
    """Return the requests with the fewest differences, of those that have any."""
    misses = sorted((row for row in rows if row[1]), key=lambda row: len(row[1]))
    return tuple(
        {"exchange": item.grant.number, "differences": without(differences, secrets_of(item.request))}
        for item, differences in misses[:NEAREST]
    )


def _lines(nearest: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    for row in nearest:
        yield f"  exchange {row['exchange']}:"
        for item in row["differences"]:
            expected, actual = compact(item["expected"]), compact(item["actual"])
            yield f"    {item['field']}: expected {expected}, got {actual}{why_of(item)}"


def _wanted(count: int | None, at_least: int | None, at_most: int | None) -> str:
    parts = [
        f"{word}{many(number, 'request')}"
        for word, number in (("", count), ("at least ", at_least), ("at most ", at_most))
        if number is not None
    ]
    return " and ".join(parts)


def _said(when: Mapping[str, Json]) -> str:
    return compact(redact_when(when)) if when else "anything"


def _said_of(problem: Violation, when: Mapping[str, Json]) -> str:
    """Return what is wrong; a name that no `when` has may be meant for what stands beside it."""
    known = {*_when_schema().document["$defs"]["when"]["properties"], *BOUNDS}
    if problem.path in when and problem.path not in known:
        return f"is not known here; {nearest(problem.path, known)}"
    return problem.message


def _compile(when: Mapping[str, Json]) -> Callable[[Exchange, Call], list[dict[str, Json]]]:
    if deeper(when, MAX_DEPTH):
        raise SourceError([Problem("when", 1, 1, "", f"is nested deeper than {MAX_DEPTH} levels")])
    problems = _when_schema().violations(when) if not _when_schema().verdict(when) else ()
    if problems:
        raise SourceError([Problem("when", 1, 1, item.path, _said_of(item, when)) for item in problems])
    try:
        conditions = compile_when(when, Allowance(MOST_STEPS))
    except MatchError as error:
        raise SourceError([Problem("when", 1, 1, ".".join(map(str, error.path)), str(error))]) from None
    operation = when.get("operation", "any")
    states = state_set(when["state"]) if "state" in when else None

    def differences(exchange: Exchange, call: Call) -> list[dict[str, Json]]:
        found = [item.difference(call) for item in conditions if not item.test(item.read(call))]
        if operation not in ("any", call.operation):
            found.append({"field": "operation", "expected": operation, "actual": call.operation})
        if states and (exchange.grant.state in states[0]) is not states[1]:
            found.append({"field": "state", "expected": when["state"], "actual": exchange.grant.state})
        return found

    return differences
