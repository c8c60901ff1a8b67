"""The headers of a limit, read in the rendering in which provider.yaml shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from emulator.contract.case_client import Ask
from emulator.contract.client import Answer
from emulator.contract.expectations import Differs
from emulator.core.durations import read_duration, whole_number

_MOST_DIGITS = 15


def rate_number(ask: Ask, answer: Answer, header: str, now: float = 0.0, what: str = "a good request") -> float:
    """Demand a header of a limit, and return its number; of a time, whatever its rendering, its Unix seconds.

    Raises: Differs.
    """
    hole = ask.rates.get(header.lower(), "")
    told, read = next((item for end, item in _RENDERINGS.items() if hole.endswith(end)), _WHOLE)
    value = answer.header(header)
    number = None if value is None else read(value, now)
    if number is None:
        raise Differs(f"{header} is on the answer to {what}, {told}", told, value, answer, about=what)
    return number


def _whole(value: str, now: float) -> float | None:
    return whole_number(value, _MOST_DIGITS)


def _from_now(value: str, now: float) -> float | None:
    seconds = read_duration(value)
    return None if seconds is None else now + seconds


def _time(value: str, now: float) -> float | None:
    with suppress(ValueError, OverflowError):
        read = datetime.fromisoformat(value)
        return read.timestamp() if read.tzinfo and "T" in value else None
    return None


_Read = Callable[[str, float], float | None]
_WHOLE: tuple[str, _Read] = ("a whole number", _whole)
#: By how the names of the holes end.
_RENDERINGS: Mapping[str, tuple[str, _Read]] = {
    "_in": ("a duration such as 6m0s", _from_now), "_at": ("a time as RFC 3339 has it", _time),
}  # fmt: skip
