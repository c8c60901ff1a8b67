"""What varies from run to run, and how it is left out of the record.

Sessions have a fixed seed and a virtual clock that begins at NOON, so that ids and times are the same by themselves.
What remains: the Date header, which id and key a session got, real seconds, ports, and folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

#: When each session's clock begins: Unix seconds that every run can be advanced to.
NOON = 2_000_000_000.0
#: Journal fields, and those of reports, that are real time.
_REAL = {"silent", "seconds", "started_at", "uptime"}
_PORT = re.compile(r"(127\.0\.0\.1|localhost):\d+")
_DATE = re.compile(r"(?im)^date: .*$")
_REAL_SECONDS = re.compile(r"\b\d+\.\d s\b")


def normal(value: Any, names: Mapping[str, str] | None = None) -> Any:
    """Return JSON without what varies; `names` are texts to replace, such as a session's id."""
    if isinstance(value, str):
        for text, name in (names or {}).items():
            value = value.replace(text, name)
        return _PORT.sub(r"\1:PORT", value) if ":" in value else value
    if isinstance(value, Mapping):
        return {
            normal(key, names): bool(item) if key in _REAL and isinstance(item, int | float) else normal(item, names)
            for key, item in value.items()
        }
    return [normal(item, names) for item in value] if isinstance(value, list | tuple) else value


def normal_head(head: str) -> list[str]:
    """Return the lines of a head."""
    return _DATE.sub("date: DATE", head.replace("\r\n", "\n")).split("\n")


def normal_output(text: str, names: Mapping[str, str] | None = None) -> str:
    """Return what a command printed, without the seconds that it took."""
    return str(normal(_REAL_SECONDS.sub("SECONDS s", text), names))


def canonical(value: Any) -> str:
    """Return what a case's digest is made of; the order of keys counts."""
    return json.dumps(value, ensure_ascii=False)


def shown(value: Any) -> str:
    """Return a case's value as people read it."""
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
