"""Files: our own, read past whoever fakes files in a test (pyfakefs changes `open` everywhere), or replaced whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class _Real:
    """Functions that nobody changes: they stand in no module."""

    open, read, close = os.open, os.read, os.close
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def read_own(file: Path) -> bytes:
    """Return what a file holds. Raises: OSError."""
    number = _Real.open(str(file), _Real.flags)
    try:
        parts = []
        while part := _Real.read(number, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        _Real.close(number)


def replace_whole(file: Path, data: bytes) -> None:
    """Write a file, or what a link leads to: a reader sees the old one or the new one. Raises: OSError."""
    file = file.resolve()
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(file)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
