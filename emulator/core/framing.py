"""Answers as bytes of HTTP/1.1: heads, chunks, and a whole answer in one piece where nothing of it waits."""

from __future__ import annotations

from http import HTTPStatus

from emulator.core.wire import Timeline

#: What ends a chunked body.
LAST_CHUNK = b"0\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {status: f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n".encode() for status in range(100, 600)}


def fields(timeline: Timeline, chunked: bool) -> bytes:
    """Return the header lines of an answer, but for those of the connection."""
    lines = [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in timeline.headers]
    if timeline.length is not None:
        lines.append(b"content-length: %d\r\n" % timeline.length)
    elif chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    return b"".join(lines)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def in_one_piece(timeline: Timeline) -> tuple[bytes, bytes] | None:
    """Return the header lines and the body of an answer that goes out whole at once; None where something waits."""
    if timeline.end != "complete" or timeline.end_at or timeline.head_at or timeline.head_s or timeline.apart:
        return None
    if any(frame.at or frame.kind == "hold" for frame in timeline.frames):
        return None
    parts = [frame.data for frame in timeline.frames if frame.data]
    if timeline.stream:
        parts = [*map(chunk, parts), LAST_CHUNK]
    return fields(timeline, timeline.stream), b"".join(parts)
