"""Durations in seconds, fixed or drawn: `200ms`, `1.5s`, `1m`, `forever`, and distributions with an optional `max`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from emulator.core.errors import Json, shown
from emulator.core.frozen import frozen
from emulator.core.seeded_random import Draw
from emulator.core.values import FOREVER

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
