"""A server in the background: it runs in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from emulator.core.scenario.session import Options
from emulator.core.values import Plan
from emulator.server.setup import Server, Setup, ignore, listen, make_live_sessions, make_server, origin, run
from emulator.server.thread import SERVER_THREAD


@contextlib.contextmanager
def running(server: Server, sock: socket.socket) -> Iterator[None]:
    """Serve in a thread until it is left."""
    join = _start(functools.partial(run, server, sock))
    try:
        yield
    finally:
        server.stop()
        join()


def _start(serve: Callable[[], None]) -> Callable[[], None]:
    """Start a thread and return what waits for its end. Where gevent makes threads greenlets it gives a real one."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey and monkey.is_module_patched("threading"):
        return _start_beside_greenlets(serve)
    thread = threading.Thread(target=serve, name=SERVER_THREAD, daemon=True)
    thread.start()
    return thread.join


def _start_beside_greenlets(serve: Callable[[], None]) -> Callable[[], None]:
    """Start a thread of gevent's own: a loop in a greenlet never gives way, and would stop all others."""
    pool = importlib.import_module("gevent.threadpool").ThreadPool(1)

    def named() -> None:
        threading.current_thread().name = SERVER_THREAD
        serve()

    def join() -> None:
        result.get()
        pool.kill()

    result = pool.spawn(named)
    return join


class Emulator:
    """A server in a thread of its own, for use from Python.

        with Emulator("limits.yaml", provider=NAME) as emulator:
            client = OpenAI(base_url=emulator.base_urls[NAME], api_key="any")

    What is left out is decided by the scenarios; `schemas` is a folder of provider folders, port 0 picks a free one.
    Raises: SourceError, when entered, for a scenario or provider folder that does not load.
    """

    def __init__(
        self,
        *scenarios: str | Path,
        provider: str | None = None,
        seed: int | None = None,
        clock: str | None = None,
        plan: str | Plan | None = None,
        validation: str | None = None,
        api_keys: Sequence[str] = (),
        schemas: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        upstreams: Mapping[str, str] | None = None,
    ) -> None:
        options = Options(provider, seed, clock, plan, validation, tuple(api_keys))
        self.setup = Setup(
            tuple(map(Path, scenarios)), options, Path(schemas) if schemas else None, host, port,
            upstreams=upstreams or {},
        )  # fmt: skip
        self.url = ""
        self.base_urls: dict[str, str] = {}
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Emulator:
        sessions = make_live_sessions(self.setup)
        sock = listen(self.setup)
        server = make_server(self.setup, sessions, ignore, ignore)
        self.url = origin(self.setup, sock)
        self.base_urls = sessions.base_urls(sessions.by_id["default"].session, self.url)
        self._ending.enter_context(running(server, sock))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()
