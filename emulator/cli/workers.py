"""Several workers on one port: the parent holds their sockets, replaces who dies, and passes signals on.

    parent -- holds a listening socket for each worker (SO_REUSEPORT: the kernel spreads connections over them)
      |-- worker 1, worker 2, ...: whole servers, which share a store

A worker that takes the place of another gets its socket, with the connections that wait in it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from emulator.cli.serve import announcing, serve_until_stopped
from emulator.cli.store import forget_worker
from emulator.cli.streams import say
from emulator.server.reloading import watch
from emulator.server.sessions.live import LiveSessions
from emulator.server.setup import Setup, listen, make_live_sessions, origin

#: Seconds that workers have to end, and those that one must have lived to be replaced at once.
END_S, YOUNG_S = 5.0, 1.0


def serve_with_workers(
    setup: Setup, sessions: LiveSessions, sock: socket.socket, ready_file: Path | None, quiet: bool
) -> int | None:
    """Serve with worker processes until SIGINT or SIGTERM, and return its number; None where one could not begin."""
    url, port = origin(setup, sock), sock.getsockname()[1]
    sock.close()  # it showed that the port was free; those of the workers share theirs, which this one would not
    with announcing(setup, sessions, url, ready_file) as announce:
        return Workers(setup, port, quiet).serve(announce)


@dataclass(slots=True)
class Worker:
    """A worker's process, and when it began (seconds of a steady clock)."""

    name: str
    process: subprocess.Popen[bytes]
    sock: socket.socket
    began: float
    ready: bool = False

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its stdin and stdout, which are there because they were asked for."""
        return cast("tuple[IO[bytes], IO[bytes]]", (self.process.stdin, self.process.stdout))

    def tell(self, data: bytes) -> None:
        """Write to its stdin. Raises: BrokenPipeError, where it has ended; ValueError, where the pipe is closed."""
        self.pipes[0].write(data)
        self.pipes[0].flush()


class Workers:
    """The workers of one server."""

    def __init__(self, setup: Setup, port: int, quiet: bool) -> None:
        self._setup = setup
        self._quiet = quiet
        self._sockets = [listen(setup, port, shared=True) for _ in range(setup.workers)]
        self._living: list[Worker] = []
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def serve(self, announce: Callable[[], None]) -> int | None:
        """Serve until SIGINT or SIGTERM, and return its number; None where a worker could not begin."""
        self._watch_signals()
        for sock in self._sockets:
            self._begin(sock)
        announced, stop = False, threading.Event()
        while not self._signals:
            self._wait()
            if any(worker.process.poll() is not None for worker in self._living):
                if not announced:
                    break
                self._replace()
            if not announced and all(worker.ready for worker in self._living):
                announced = True
                announce()
                self._watch_files(stop)
        stop.set()
        self._end()
        return self._signals[0] if self._signals else None

    def _watch_signals(self) -> None:
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ)
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: self._signals.append(number))
        self._woken, self._wake = woken, wake

    def _watch_files(self, stop: threading.Event) -> None:
        """Tell one worker when a scenario file changes, if the setup says so; it changes for all."""
        if self._setup.reload:
            given = (self._setup.scenarios, self._tell_of_change, stop)
            threading.Thread(target=watch, args=given, daemon=True).start()

    def _tell_of_change(self) -> None:
        for worker in tuple(self._living):
            with contextlib.suppress(OSError, ValueError):
                worker.tell(b"c")
                return

    def _begin(self, sock: socket.socket) -> None:
        name = secrets.token_hex(4)
        process = subprocess.Popen(
            [sys.executable, "-m", "emulator.cli.workers"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[sock.fileno()],
            start_new_session=True,  # a terminal's Ctrl-C is for the parent, which passes it on
        )  # fmt: skip
        worker = Worker(name, process, sock, time.monotonic())
        given = pickle.dumps((replace(self._setup, worker=name), sock.fileno(), self._quiet))
        with contextlib.suppress(BrokenPipeError):
            worker.tell(given)
        self._selector.register(worker.pipes[1], selectors.EVENT_READ, worker)
        self._living.append(worker)

    def _wait(self, seconds: float | None = None) -> None:
        """Wait for a signal, or for a worker that is ready or ends."""
        for key, _ in self._selector.select(seconds):
            worker: Worker | None = key.data
            if worker is None:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
            elif os.read(worker.pipes[1].fileno(), 4096):
                worker.ready = True
            else:
                self._selector.unregister(worker.pipes[1])
                worker.process.wait()

    def _replace(self) -> None:
        for worker in [item for item in self._living if item.process.poll() is not None]:
            self._bury(worker)
            say(f"Worker {worker.process.pid} ended ({_told(worker)}); another takes its place.")
            if time.monotonic() - worker.began < YOUNG_S:
                time.sleep(YOUNG_S)
            self._begin(worker.sock)

    def _bury(self, worker: Worker) -> None:
        self._living.remove(worker)
        for pipe in worker.pipes:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if worker.process.returncode:  # others have said goodbye; the store may not answer now
            given = (self._setup.store, worker.name)
            threading.Thread(target=forget_worker, args=given, daemon=True).start()

    def _end(self) -> None:
        """End all workers, with as many signals as came; those that do not end in time are killed."""
        deadline, passed_on = time.monotonic() + END_S, 0
        while self._living:
            while passed_on < max(1, len(self._signals)):
                for worker in self._living:
                    worker.process.send_signal(signal.SIGTERM)
                passed_on += 1
            self._wait(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                for worker in self._living:
                    worker.process.kill()
                    worker.process.wait()
            for worker in [item for item in self._living if item.process.poll() is not None]:
                self._bury(worker)
        for sock in self._sockets:
            sock.close()


def _told(worker: Worker) -> str:
    code = worker.process.returncode
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


# One of them


def serve_as_worker() -> None:
    """Serve until told to stop, as one of several: what to serve comes on stdin, and a byte for each change of a file.

    It inherits its listening socket, says `ready` on stdout, and ends when its parent does: then stdin ends.
    """
    setup, descriptor, quiet = pickle.load(sys.stdin.buffer)  # written by our own parent
    threading.Thread(target=_listen, daemon=True).start()

    def ready() -> None:
        os.write(sys.stdout.fileno(), b"ready\n")

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
    serve_as_worker()
