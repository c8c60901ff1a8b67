"""The servers: ours, the floor and two other mocks, each a process of its own on a free port, ended by its pid."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
START_S = 20
END_S = 10
QUESTION = "Which words come next?"
#: Pieces of one length, so that servers that split by words and by characters send the same 60 chunks.
WORDS = [f"word{number:02}" for number in range(1, 59)]
TEXT = " ".join(WORDS)
PIECE = len(WORDS[0]) + 1
ITL_S = 0.05
PACED = "Slowly, please."


class NotStarted(Exception):
    """A server that ended, or did not open its port in time; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running one; `command` as it was started, `url` without a path."""

    name: str
    url: str
    pid: int
    command: str


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], port: int, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server, wait until its port is open, and end it.

    Raises: NotStarted.
    """
    log = folder / f"{name}-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(more), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for_port(process, port, log)
        yield Server(name, f"http://127.0.0.1:{port}", process.pid, shlex.join(command))
    finally:
        end(process)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(more or {})}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, which is in its own group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            return


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise NotStarted(log.read_text(errors="replace").strip()[-500:])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# Ours


def write_scenario(file: Path, chunks: int = 1, others: int = 0) -> Path:
    """Write a scenario: so many rules that don't match, the one that does, and one with so many paced chunks."""
    slowly = " ".join(["word"] * chunks)
    rules: list[dict[str, Any]] = [
        {"when": {"last_user": f"Question {number}"}, "reply": {"text": "No."}} for number in range(others)
    ]
    rules += [
        {"when": {"last_user": QUESTION}, "reply": {"text": TEXT, "stream": {"split": "words"}}},
        {"when": {"last_user": PACED}, "reply": {"text": slowly, "stream": {"split": "words", "itl": ITL_S}}},
    ]
    file.write_text(json.dumps({"emulator": 1, "rules": rules}))
    return file


def ours(folder: Path, scenario: Path, *options: str) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    return running("ours", [*our_command(scenario, port), *options], port, folder)


def our_command(scenario: Path, port: int) -> list[str]:
    serve = [sys.executable, "-m", "emulator", "serve", scenario.name, "--port", str(port)]
    return [*serve, "--quiet", "--plan", "unlimited"]


# The others


Replies = Mapping[str, tuple[Iterable[tuple[str, str]], str]]


def floor(folder: Path, replies: Replies) -> contextlib.AbstractContextManager[Server]:
    """Start the bare app on the same uvicorn, loop and parser; a reply is headers and a body, by its path."""
    port, file = free_port(), folder / "floor.json"
    file.write_text(json.dumps(replies))
    command = [sys.executable, "-m", "uvicorn", "tests.bench.floor:app", "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--lifespan", "off", "--no-access-log", "--no-server-header"]
    return running("floor", command, port, folder, {"FLOOR": str(file)})


def aimock(command: str, folder: Path) -> contextlib.AbstractContextManager[Server]:
    """Start @copilotkit/aimock; its log is silent, its delays are its defaults: none."""
    port, fixtures, config = free_port(), folder / "fixtures.json", folder / "aimock.json"
    rule = {"match": {"userMessage": QUESTION}, "response": {"content": TEXT}}
    fixtures.write_text(json.dumps({"fixtures": [rule]}))
    config.write_text(json.dumps({"llm": {"fixtures": str(fixtures), "chunkSize": PIECE, "logLevel": "silent"}}))
    return running("aimock", [*shlex.split(command), "--config", str(config), "--port", str(port)], port, folder)


@contextlib.contextmanager
def llmock(command: str, folder: Path) -> Iterator[Server]:
    """Start llmock of PyPI, its log off and its delays at their default, none; a permanent reply is told it."""
    port = free_port()
    whole = [*shlex.split(command), "serve", "--port", str(port), "--log-level", "critical"]
    with running("llmock", whole, port, folder) as server:
        reply = {"behaviors": [{"type": "reply", "text": TEXT, "times": None}]}
        with urllib.request.urlopen(f"{server.url}/_llmock/scenario", json.dumps(reply).encode(), START_S):
            yield server
