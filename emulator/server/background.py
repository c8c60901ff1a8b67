"""A server in the background: it runs in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from emulator.server.real_time import SERVER_THREAD
from emulator.server.setup import Server, run


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
