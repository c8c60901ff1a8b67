"""Files of our own, read past whoever fakes files in a test: pyfakefs changes `open` and `os` in every module."""

from __future__ import annotations

import os
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
