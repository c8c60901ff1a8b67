"""Numbers, durations and times as texts write them.

Scenarios: `200ms`, `1.5s`, `1m`, `forever`, and distributions with an optional `max`. APIs: `6m0s`, `20ms`,
`2027-01-15T08:00:00Z`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from emulator.core.errors import Json, shown
from emulator.core.frozen import frozen
from emulator.core.seeded_random import Draw

FOREVER = math.inf
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|)$")
#: Longer waits are a slip, not a test: seconds.
LONGEST_S = 10 * 365 * 86400.0


def parse_duration(value: Json) -> float:
    """Return seconds.

    Raises: ValueError, with the forms that are good.
    """
    if value == "forever":
        return FOREVER
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DURATION.match(value)):
        seconds = float(match[1]) * _UNITS[match[2]]
    if 0 <= seconds <= LONGEST_S:
        return seconds
    raise ValueError(f"must be seconds from 0, or a duration such as 200ms, 1.5s, 1m; not {shown(value)}")


Kind: TypeAlias = Literal["fixed", "uniform", "normal", "lognormal"]


@frozen
class Wait:
    """A duration: fixed, or drawn from a distribution of two parameters, never below 0 nor above `most`."""

    kind: Kind
    first: float
    second: float = 0.0
    most: float = math.inf

    def draw(self, draw: Draw, label: str) -> float:
        if self.kind == "fixed":
            return self.first
        if self.kind == "uniform":
            seconds = self.first + (self.second - self.first) * draw.uniform(label)
        elif self.kind == "normal":
            seconds = self.first + self.second * draw.normal(label)
        else:
            seconds = self.first * math.exp(min(self.second * draw.normal(label), 50))
        return min(max(0.0, seconds), self.most, LONGEST_S)


NO_WAIT = Wait("fixed", 0.0)


def parse_wait(value: Json) -> Wait:
    """Read a duration or a distribution.

    Raises: ValueError, with the forms that are good.
    """
    if not isinstance(value, Mapping):
        return Wait("fixed", parse_duration(value))
    for kind, (first, second) in _PARAMETERS.items():
        if kind in value:
            given = value[kind]
            most = parse_duration(given["max"]) if "max" in given and kind != "uniform" else math.inf
            spread = given[second] if kind == "lognormal" else parse_duration(given[second])
            wait = Wait(kind, parse_duration(given[first]), float(spread), most)
            if kind == "uniform" and wait.first > wait.second:
                raise ValueError(f"min is {given['min']} and max is {given['max']}: nothing is between them")
            if math.isinf(wait.first) or math.isinf(wait.second):
                raise ValueError("a distribution has no forever in it")
            return wait
    raise ValueError(f"must be a duration, or one of {', '.join(_PARAMETERS)}")


_PARAMETERS: Mapping[Kind, tuple[str, str]] = {
    "uniform": ("min", "max"),
    "normal": ("mean", "sd"),
    "lognormal": ("median", "sigma"),
}


# As APIs write them

_WRITTEN = re.compile(
    r"(?=[0-9])(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
#: Seconds of what _WRITTEN finds.
_PARTS = (3600.0, 60.0, 1.0, 0.001)

#: The last second that has a date.
_LAST = 253_402_300_799


def duration_text(seconds: float) -> str:
    """Write a duration as Go does, rounded up to milliseconds: 6m0s, 1.5s, 20ms."""
    total = max(0, math.ceil(round(seconds * 1000, 3)))
    if total < 1000:
        return f"{total}ms" if total else "0s"
    minutes, rest = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{rest / 1000:g}s"


def read_duration(text: str) -> float | None:
    """Read a duration as Go writes it; None for what is none."""
    match = _WRITTEN.fullmatch(text)
    return sum(float(count) * unit for count, unit in zip(match.groups("0"), _PARTS, strict=True)) if match else None


def time_text(at: float) -> str:
    """Write a time, rounded up to seconds, as RFC 3339 has it."""
    return datetime.fromtimestamp(min(math.ceil(at), _LAST), UTC).isoformat().replace("+00:00", "Z")


def whole_number(text: str, most: int = 9) -> int | None:
    """Return the number that ASCII digits write, `most` of them at the most; None for any other text.

    Other alphabets have digits of their own, which no API takes.
    """
    return int(text) if len(text) <= most and text.isascii() and text.isdigit() else None
