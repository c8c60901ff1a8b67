"""The events of a stream: server-sent ones, how one is written and what it holds; or items of one JSON array, or lines.

Events are written as server-sent ones; for an array, and for lines, what they hold is taken out of them. `payload`
reads all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

Framing: TypeAlias = Literal["sse", "array", "ndjson"]
TYPES: Mapping[Framing, str] = {
    "sse": "text/event-stream",
    "array": "application/json",
    "ndjson": "application/x-ndjson",
}

#: A line that keeps a connection, and says nothing.
COMMENT = b": keep-alive\n\n"


def event(data: bytes, name: bytes = b"") -> bytes:
    """Write one event; a line break inside the data begins another data line."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    head = b"event: %b\n" % name if name else b""
    return b"%bdata: %b\n\n" % (head, data)


def payload(event: bytes) -> bytes:
    """Return the data of an event: its data lines, joined; of an item of an array, or a line, the item."""
    if event[:1] in _OF_ARRAYS:
        return event.strip(b"[], \r\n")
    lines = (line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:"))
    return b"\n".join(line.removeprefix(b" ") for line in lines)


#: With what an item begins that is no event.
_OF_ARRAYS = (b"[", b",", b"]", b"{")


#: What begins an array's first item, what begins each other, and what ends it.
_FIRST, _NEXT, _END = b"[", b",\r\n", b"]"


def framed(events: Sequence[tuple[bytes, str]], framing: Framing) -> Sequence[tuple[bytes, str]]:
    """Return the events of a stream, with their kinds, as a framing has them; an array's end is what is done."""
    if framing == "sse":
        return events
    if framing == "ndjson":
        return [(as_line(payload(event)), kind) for event, kind in events]
    items = [(as_item(payload(event), index), kind) for index, (event, kind) in enumerate(events)]
    return [*items, (_END if items else _FIRST + _END, "done")]


def as_item(data: bytes, number: int) -> bytes:
    """Return data as the item of an array after a number of others."""
    return (_NEXT if number else _FIRST) + data


def as_line(data: bytes) -> bytes:
    """Return data as a line of its own; JSON has no line break."""
    return data + b"\n"


def failure(data: bytes, number: int, framing: Framing) -> bytes:
    """Return an error that is no event, and ends a stream after a number of events: as it is, or the last item."""
    return as_item(data, number) + _END if framing == "array" else as_line(data)


def framing_of(stream: bytes) -> Framing:
    """Tell by the bytes of a stream how its events follow one another: of lines, the first is an object as a whole."""
    begin = stream.lstrip()
    if begin[:1] == b"{" and begin.partition(b"\n")[0].rstrip().endswith(b"}"):
        return "ndjson"
    return "array" if begin[:1] == b"[" else "sse"


def events_in(stream: bytes) -> list[bytes]:
    """Split the bytes of a stream into what `payload` reads, whatever the framing."""
    framing = framing_of(stream)
    if framing == "array":
        return items_of(stream)
    return stream.split(b"\n") if framing == "ndjson" else _EVENT_END.split(stream)


_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")


class Items:
    """Splits an array into its items, however its bytes come: each with what stands before it."""

    def __init__(self) -> None:
        self.left = bytearray()  # what no item has ended in yet
        self._at = self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the items that more bytes end; each byte is looked at once."""
        self.left += data
        begin = 0
        for sign in _SIGN.finditer(self.left, self._at):
            self._at, char = sign.end(), sign[0]
            if char == b'"':
                self._quoted = not self._quoted
            elif char == b"\\":  # what follows has not come
                self._at -= 1
            elif self._quoted or len(char) > 1:
                continue
            elif char in b"[{":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    yield bytes(self.left[begin : self._at])
                    begin = self._at
        del self.left[:begin]
        self._at -= begin


_SIGN = re.compile(rb'\\.|["\\\[\]{}]', re.DOTALL)


def items_of(stream: bytes) -> list[bytes]:
    """Return the data of an array's items, and of what is left."""
    items = Items()
    found = list(items.feed(stream))
    return [payload(item) for item in (*found, bytes(items.left)) if payload(item)]
