"""What a body says: JSON, or the events of a stream. Whatever it is, taking it apart ends, and raises nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from emulator.core.errors import Json
from emulator.core.tree import deeper, parsed

#: How deep a JSON body may go: what reads it goes down by recursion.
MAX_DEPTH = 100

_LINE = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: its data (None: it has no `data:` line), whether an empty line ended it, and its name."""

    data: str | None
    whole: bool = True
    name: str | None = None

    @property
    def json(self) -> Json:
        """The data as JSON; None if it is none."""
        return parse_json(self.data) if self.data else None


def parse_json(text: str | bytes) -> Json:
    """Return the value of a JSON text; None if it is none, or goes too deep."""
    value = parsed(text)
    return None if deeper(value, MAX_DEPTH) else value


def parse_events(body: bytes) -> tuple[Event, ...]:
    """Split a stream into its events; comments, and a byte-order mark at its start, are left out."""
    events: list[Event] = []
    fields: list[tuple[str, str]] = []
    *lines, rest = _LINE.split(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    for line in lines:
        if line and not line.startswith(":"):
            fields.append(_field(line))
        elif not line and fields:
            events.append(_event(fields))
            fields = []
    if rest or fields:
        events.append(replace(_event([*fields, _field(rest)]), whole=False))
    return tuple(events)


def parse_lines(body: bytes) -> tuple[Event, ...]:
    """Split a stream of lines into its events; empty ones are events without data."""
    *lines, rest = body.decode("utf-8", "replace").split("\n")
    return (*(Event(line or None) for line in lines), *([Event(rest, whole=False)] if rest else []))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")


def _event(fields: list[tuple[str, str]]) -> Event:
    data, names = ([value for name, value in fields if name == wanted] for wanted in ("data", "event"))
    return Event("\n".join(data) if data else None, name=names[-1] if names else None)
