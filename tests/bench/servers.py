"""The servers: ours, the floor and two other mocks, each a process of its own on a free port, ended by its pid."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """A running one; `command` as it was started, but for folders; `url` has no path."""

    name: str
    url: str
    pid: int
    command: str
    version: str = ""


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
        shown = shlex.join([Path(command[0]).name, *command[1:]])
        yield Server(name, f"http://127.0.0.1:{port}", process.pid, shown)
    finally:
        end(process)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a server: Python may keep its bytecode, which an installed package has from pip."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


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
    raise NotStarted(f"it did not start: {' '.join(log.read_text(errors='replace').split())[-300:]}")


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
    """Start the bare app, as lean as uvicorn goes; a reply is headers and a body, by its path."""
    port, file = free_port(), folder / "floor.json"
    file.write_text(json.dumps(replies))
    command = [sys.executable, "-m", "uvicorn", "tests.bench.floor:app", "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log", "--no-server-header"]
    command += ["--no-proxy-headers"]
    return running("floor", command, port, folder, {"FLOOR": str(file)})


@contextlib.contextmanager
def aimock(command: str, folder: Path) -> Iterator[Server]:
    """Start @copilotkit/aimock; its log is silent, its delays are its defaults: none."""
    port, words = free_port(), split(command)
    rule = {"match": {"userMessage": QUESTION}, "response": {"content": TEXT}}
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": [rule]}))
    config = json.dumps({"llm": {"fixtures": "fixtures.json", "chunkSize": PIECE, "logLevel": "silent"}})
    (folder / "aimock.json").write_text(config)
    with running("aimock", [*words, "--config", "aimock.json", "--port", str(port)], port, folder) as server:
        manifests = [parent / "package.json" for parent in Path(words[0]).resolve().parents]
        version = next((json.loads(file.read_text()).get("version", "") for file in manifests if file.exists()), "")
        yield replace(server, version=version, command=f"{server.command}, aimock.json being {config}")


@contextlib.contextmanager
def llmock(command: str, folder: Path) -> Iterator[Server]:
    """Start llmock of PyPI, its log off, its delays their defaults, none; a reply without end is told it."""
    port = free_port()
    words = [*split(command), "serve", "--port", str(port), "--log-level", "critical"]
    with running("llmock", words, port, folder) as server:
        reply = {"behaviors": [{"type": "reply", "text": TEXT, "times": None}]}
        with urllib.request.urlopen(f"{server.url}/_llmock/scenario", json.dumps(reply).encode(), START_S):
            pass
        with urllib.request.urlopen(f"{server.url}/health", timeout=START_S) as health:
            yield replace(server, version=json.load(health).get("version", ""))


def split(command: str) -> list[str]:
    """Split a command, which is run in another folder."""
    program, *words = shlex.split(command)
    found = shutil.which(program)
    return [os.path.abspath(found) if found else program, *words]
