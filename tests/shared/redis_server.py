"""A Redis of one's own: on a free port, in a folder that goes away, without persistence; ended by its process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from types import TracebackType

import pytest


class RedisServer:
    """Begins on a free port and stays there, so that it can be killed and come back."""

    def __init__(self, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing = "redis-server is missing; on Debian it is in the package redis-server"
            pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
        self._command = [program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self._folder = tempfile.TemporaryDirectory()
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()

    def begin(self) -> None:
        command = [*self._command, "--port", str(self.port), "--dir", self._folder.name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self.answers():
            assert self._process.poll() is None, "redis-server did not begin"
            time.sleep(0.01)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let it answer nothing meanwhile."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING") == "+PONG"
        return False

    def ask(self, *words: str) -> str:
        """Send a command and return the line it is answered with."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock, sock.makefile("rwb") as stream:
            stream.write(" ".join(words).encode() + b"\r\n")
            stream.flush()
            return stream.readline().decode().strip()

    def ask_whole(self, *words: str) -> str:
        """Send a command and return the text it is answered with."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock, sock.makefile("rwb") as stream:
            stream.write(" ".join(words).encode() + b"\r\n")
            stream.flush()
            size = int(stream.readline()[1:])
            return stream.read(size).decode()

    def forget(self) -> None:
        """Forget all that is in it."""
        assert self.ask("FLUSHALL") == "+OK"

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
