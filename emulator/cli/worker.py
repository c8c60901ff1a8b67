"""One of several workers: `python -m emulator.cli.worker`, started by `emulator.cli.workers` and by nobody else.

It reads from stdin what it serves, inherits its listening socket, and says `ready` on stdout. Each byte that comes then
says that a scenario file has changed. It ends when its parent does: then stdin ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.cli.serve import serve_until_stopped
from emulator.server.setup import make_live_sessions

READY = b"ready\n"


def main() -> None:
    """Serve until told to stop."""
    setup, descriptor, quiet = pickle.load(sys.stdin.buffer)  # written by our own parent
    threading.Thread(target=_listen, daemon=True).start()

    def ready() -> None:
        os.write(sys.stdout.fileno(), READY)

    serve_until_stopped(setup, make_live_sessions(setup), socket.socket(fileno=descriptor), ready, quiet, _watch)


def _watch(paths: Sequence[Path], on_change: Callable[[], None], stop: threading.Event) -> None:
    """Let the parent do the watching."""
    _on_change.append(on_change)
    stop.wait()


_on_change: list[Callable[[], None]] = []


def _listen() -> None:
    """Hear of changes until the parent ends."""
    while os.read(0, 1):  # not of `sys.stdin`: its lock must not be held when the interpreter ends
        for act in _on_change:
            act()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
