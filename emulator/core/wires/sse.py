"""Server-sent events: how one is written, and what data one holds."""

from __future__ import annotations


def event(data: bytes, name: bytes = b"") -> bytes:
    """Write one event; a line break inside the data begins another data line."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    head = b"event: %b\n" % name if name else b""
    return b"%bdata: %b\n\n" % (head, data)


def payload(event: bytes) -> bytes:
    """Return the data of an event: its data lines, joined."""
    lines = (line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:"))
    return b"\n".join(line.removeprefix(b" ") for line in lines)
