"""A server in a process of its own, so that its stderr can be read, and its processor's time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from . import cases


def pytest_configure(config: pytest.Config) -> None:
    if number := config.getoption("--fuzz-examples"):
        cases.asked[:] = [number]


@dataclass(frozen=True)
class Server:
    """A running emulator: its host and port, and the seconds that its processor has worked."""

    address: str
    pid: int

    def spent(self) -> float:
        return cases.processor_time(self.pid)

    def connect(self) -> HTTPConnection:
        return HTTPConnection(self.address, timeout=cases.TIMEOUT_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running emulator; when it ends, nothing of a crash may stand on its stderr."""
    log = tmp_path_factory.mktemp("fuzz") / "stderr"
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--plan", "unlimited"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("Emulator ready at "), line
            yield Server(urlsplit(line.split()[-1]).netloc, process.pid)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=cases.TIMEOUT_S)
    said = log.read_text("utf-8", "replace")
    assert "Traceback" not in said, said[-4000:]
    assert "the emulator failed" not in said, said[-4000:]
