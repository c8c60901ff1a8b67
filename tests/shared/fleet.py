"""Servers in threads of this process that share a Redis: each on a port of its own, or all on one as workers are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sockets.raw import Answer

from emulator.core.scenario.session import Options
from emulator.server.sessions.live import LiveSessions
from emulator.server.sessions.sharing import Sharing
from emulator.server.setup import (
    Server,
    Setup,
    ignore,
    listen,
    make_live_sessions,
    make_server,
    origin,
    run,
)


@dataclass(frozen=True)
class Member:
    """One server, and what it holds."""

    url: str
    sessions: LiveSessions
    server: Server

    @property
    def sharing(self) -> Sharing:
        assert self.sessions.sharing
        return self.sessions.sharing


@contextmanager
def serving(store: str, *scenarios: Path, sock: Any = None, **setup: Any) -> Iterator[Member]:
    """Serve in a thread until it is ended."""
    options = Options(**{name: setup.pop(name) for name in list(setup) if name in Options.__slots__})
    made = Setup(scenarios, options, store=store, **setup)
    sessions = make_live_sessions(made)
    sock = sock or listen(made)
    server = make_server(made, sessions, ignore, ignore)
    thread = threading.Thread(target=run, args=(server, sock))
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.005)
        yield Member(origin(made, sock), sessions, server)
    finally:
        server.stop()
        thread.join()


@contextmanager
def together(store: str, **setup: Any) -> Iterator[str]:
    """Serve twice on one port, and return its URL."""
    free = listen(Setup())
    port = free.getsockname()[1]
    free.close()
    with ExitStack() as stack:
        for sock in [listen(Setup(), port, shared=True) for _ in range(2)]:
            member = stack.enter_context(serving(store, sock=sock, **setup))
        yield member.url


def text_of(answer: Answer) -> Any:
    """Return what an answer to a chat says."""
    return answer.json["choices"][0]["message"]["content"]
