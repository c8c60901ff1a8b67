"""Answers as bytes of HTTP/1.1: heads, chunks, and a whole answer in one piece where nothing of it waits."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from emulator.core.values import Headers, Timeline

#: What ends a chunked body.
LAST_CHUNK = b"0\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {status: f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n".encode() for status in range(100, 600)}


def fields(headers: Headers, length: int | None, chunked: bool) -> bytes:
    """Return the header lines of an answer, but for those of the connection."""
    lines = [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in headers]
    if length is not None:
        lines.append(b"content-length: %d\r\n" % length)
    elif chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    return b"".join(lines)


def head(status: int, lines: Iterable[bytes], keep_alive: bool, http_10: bool) -> bytes:
    """Return a whole head: what its lines do not say is what becomes of the connection."""
    usual = b"connection: keep-alive\r\n" if http_10 else b""
    return b"".join([STATUS_LINES[status], *lines, usual if keep_alive else b"connection: close\r\n", b"\r\n"])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def undelivered(pieces: Iterable[bytes], chunked: bool, lost: int) -> tuple[int, int]:
    """Return how many pieces did not arrive whole, and how many bytes of them did not.

    `pieces` are what was written of a body, the last first; `lost` bytes of the wire, at its end, did not arrive.
    """
    count = size = 0
    for data in pieces:
        if lost <= 0:
            break
        before, after = (len(b"%x\r\n" % len(data)), 2) if chunked and data else (0, 0)
        arrived = before + len(data) + after - lost
        count += 1
        size += len(data) - min(len(data), max(0, arrived - before))
        lost = -arrived
    return count, size


def in_one_piece(timeline: Timeline) -> tuple[bytes, bytes] | None:
    """Return the header lines and the body of an answer that goes out whole at once; None where something waits."""
    if timeline.end != "complete" or timeline.end_at or timeline.head_at or timeline.head_s or timeline.apart:
        return None
    if any(frame.at or frame.kind == "hold" for frame in timeline.frames):
        return None
    parts = [frame.data for frame in timeline.frames if frame.data]
    if timeline.stream:
        parts = [*map(chunk, parts), LAST_CHUNK]
    return fields(timeline.headers, timeline.length, timeline.stream), b"".join(parts)
