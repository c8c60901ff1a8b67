"""What a check demands of an answer, and how it is told where the answer differs.

A difference is named twice: by a message, for one request, and by words that are the same for whatever shows it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from emulator.contract.client import Answer
from emulator.core.durations import whole_number
from emulator.core.errors import Json
from emulator.core.provider.fact import Fact
from emulator.core.schema.schema import Schema
from emulator.core.wires.wire import Wire

_LONG = 300
_KINDS: Mapping[type, str] = {
    str: "a string", int: "an integer", float: "a number", list: "an array", dict: "an object",
}  # fmt: skip
_INDEX = re.compile(r"\[\d+\]|\.(?:\d+|\*)(?![^.])")
#: In an error's words: what is another for another request.
_OWN = re.compile(r"\"[^\"]*\"|'[^']*'|[\w.-]*\d[\w.-]*")


@dataclass(eq=False)
class Differs(Exception):
    """An answer that a fact rules out; `assumed`: only what we assumed does, not what the docs say.

    `difference` are the words for it whatever was asked: the message without `about`, unless they are given. `fact` is
    the one that it rests on, where that is not the one that its case is about.
    """

    message: str
    expected: Json
    actual: Json
    answer: Answer | None
    assumed: bool = False
    _: KW_ONLY
    about: str = ""
    difference: str = ""
    fact: Fact | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        told = self.message.replace(self.about, "…") if self.about else self.message
        self.difference = self.difference or told


#: Begins a difference that is another one for each fact.
OF_FACT = "of this fact: "


def status_differs(
    answer: Answer, wanted: str, message: str, expected: Json, assumed: bool = False, field: str = ""
) -> Differs:
    """Return the difference of an answer that has another status than is wanted; `field`: what it is about, if one."""
    told = str(answer.status or "no answer") + (f" ({answer.ended})" if answer.ended != "complete" else "")
    if answer.status >= 500 or answer.ended != "complete":
        difference = f"the answer is {told}"
    elif answer.status < 300:
        difference = ignored(field) if field else f"{OF_FACT}gets {wanted}, not {told}"
    else:
        said = _OWN.sub("…", answer.text[:_LONG]) if wanted == "200" else ""
        difference = f"gets {wanted}, not {told} {said}"
    return Differs(message, expected, outcome(answer), answer, assumed, difference=difference)


def ignored(field: str) -> str:
    """Return the words for a field of requests that does nothing, whatever it says."""
    return f"{field} of requests has no effect"


def whole(answer: Answer, what: str = "a good request") -> dict[str, Json]:
    """Demand a whole answer of 200 in JSON, and return its object. Raises: Differs."""
    accepted(answer, what)
    if answer.media_type != "application/json":
        raise Differs(f"{what} is answered in JSON", "application/json", answer.media_type, answer, about=what)
    value = answer.json
    if not isinstance(value, dict):
        raise Differs(f"{what} is answered with a JSON object", "object", answer.text[:200], answer, about=what)
    return value


def accepted(answer: Answer, what: str, promised: bool = True) -> Answer:
    """Demand a 200, whole or streamed, and return it; where no doc promises it, a refusal is only not as assumed.

    Raises: Differs.
    """
    if answer.status != 200 or answer.ended != "complete":
        refusal = 400 <= answer.status < 500
        raise status_differs(answer, "200", f"{what} gets 200", 200, assumed=refusal and not promised)
    return answer


def demand(answer: Answer, value: Json, path: str, kind: type | tuple[type, ...]) -> Json:
    """Demand a value of a kind at a path, and return it. Raises: Differs."""
    found = pick(value, path)
    good = bool(found) and isinstance(found[0], kind) and not isinstance(found[0], bool)
    if not good:
        expected = _KINDS[kind if isinstance(kind, type) else float]
        difference = at_path(path if found else _first_gap(value, path), "type" if found else "required")
        actual = found[0] if found else None
        raise Differs(f"{path} is there, {expected}", expected, actual, answer, difference=difference)
    return found[0]


def counted(answer: Answer, value: Json, wire: Wire, name: str) -> int:
    """Demand a number of tokens: at its place, or where it is told in parts, of those. Raises: Differs."""
    place = wire.place(f"usage.{name}")
    if place:
        return int(demand(answer, value, place, int))
    found = (wire.read(value).usage or {}).get(name)
    if found is None:
        raise Differs(f"the usage tells the {name}", "integer", None, answer)
    return found


def conform(answer: Answer, value: Json, schema: Json, what: str) -> None:
    """Demand that a value conforms to a JSON Schema. Raises: Differs, with the first place that does not."""
    for violation in _compiled(json.dumps(schema)).violations(value):
        place = f"{what} {violation.path}" if violation.path else what
        actual = pick(value, violation.path.replace("[", ".").replace("]", "")) if violation.path else [value]
        message, difference = f"{place} {violation.message}"[:_LONG], at_path(violation.path, violation.keyword)
        raise Differs(message, schema, actual[0] if actual else None, answer, difference=difference)


def _first_gap(value: Json, path: str) -> str:
    """Return the beginning of a path at which there is nothing."""
    steps = path.split(".")
    parts = (".".join(steps[:size]) for size in range(1, len(steps)))
    return next((part for part in parts if not pick(value, part)), path)


def at_path(path: str, keyword: str) -> str:
    """Return the words for what breaks a keyword of a schema, at whichever item of a list."""
    return f"{at_any(path)}: {keyword}"


def at_any(path: str) -> str:
    """Return a path without the numbers of items."""
    return _INDEX.sub("", path)


@functools.lru_cache(maxsize=256)
def _compiled(schema: str) -> Schema:
    return Schema(json.loads(schema))


def equal(answer: Answer, what: str, expected: Json, actual: Json, assumed: bool = False, **words: str) -> None:
    """Demand that two values are equal; `words` are those of Differs. Raises: Differs."""
    hold(answer, what, expected == actual, expected, actual, assumed, **words)


def hold(
    answer: Answer, what: str, holds: bool, expected: Json, actual: Json, assumed: bool = False, **words: str
) -> None:
    """Demand that something holds; `words` are those of Differs. Raises: Differs."""
    if not holds:
        raise Differs(what, expected, actual, answer, assumed, **words)


def outcome(answer: Answer) -> Json:
    """Return an answer's status, or how the exchange broke before one came."""
    if answer.status == 0 or answer.ended != "complete":
        why = f": {answer.why}" if answer.why else ""
        return f"{answer.status or 'no answer'} ({answer.ended}{why})"
    return answer.status


def pick(value: Json, path: str) -> list[Json]:
    """Return the values at a dotted path; a number is an index, `*` every item or value."""
    found = [value]
    for step in path.split("."):
        found = [inner for item in found for inner in _step(item, step)]
    return found


def first(value: Json, path: str) -> Json:
    """Return the first value at a dotted path; None where there is none."""
    return next(iter(pick(value, path)), None)


def _step(value: Json, step: str) -> list[Json]:
    if isinstance(value, list):
        if step == "*":
            return value
        number = whole_number(step)
        return [] if number is None else value[number:][:1]
    if isinstance(value, Mapping):
        return list(value.values()) if step == "*" else [value[step]] if step in value else []
    return []
