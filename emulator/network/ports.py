"""Who listens on a port of this machine, as far as /proc tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_LISTENS = "0A"
#: Words of a command that are shown: what follows an option may be a secret.
_SHOWN_WORDS = 3


def holder(port: int, proc: Path = PROC) -> str | None:
    """Return `pid 4711 (emulator serve)` for who listens on a TCP port; None where that cannot be seen."""
    inodes = set(_listening(port, proc))
    for folder in proc.glob("[0-9]*") if inodes else ():
        if inodes & set(_sockets(folder)):
            return f"pid {folder.name} ({_command(folder)})"
    return None


def _listening(port: int, proc: Path) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        for line in _read(proc / table).splitlines()[1:]:
            columns = line.split()
            if columns[3] == _LISTENS and int(columns[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{columns[9]}]"


def _sockets(folder: Path) -> Iterator[str]:
    try:
        for file in (folder / "fd").iterdir():
            yield os.readlink(file)
    except OSError:  # another user's process, or one that has just ended
        return


def _command(folder: Path) -> str:
    words = [word for word in _read(folder / "cmdline").split("\0") if word]
    shown = []
    for word in words[: _SHOWN_WORDS + 1]:
        if word.startswith("-") and word != "-m":
            break
        shown.append(Path(word).name)
    return " ".join(shown) or _read(folder / "comm").strip() or "unknown"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
