"""Times and durations as APIs write them: 6m0s, 20ms, 2027-01-15T08:00:00Z."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

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
