"""Commands whose standard streams are closed, full, or have no reader any more."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sockets.raw import Connection, request

WAIT_S = 30.0
NOT_TOLD = "The ready line could not be written: {}. Requests are answered all the same.\n"
FULL, GONE = "No space left on device", "Broken pipe"
SCENARIO = "emulator: 1\nprovider: beatra\nrules: [{reply: {text: Hi!}}]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own; Python buffers what it writes, unless told not to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "a.yaml").write_text(SCENARIO)
    return tmp_path


def shell(arguments: str, streams: str) -> list[str]:
    return ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m emulator {arguments} {streams}"]


def run(arguments: str, streams: str) -> tuple[int, str, str]:
    done = subprocess.run(shell(arguments, streams), capture_output=True, text=True, timeout=WAIT_S, check=False)
    return done.returncode, done.stdout, done.stderr


@contextmanager
def serving(arguments: str, streams: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a command that serves, with streams as a shell sets them; yield the process and its URL."""
    command = shell(f"{arguments} --port 0 --ready-file ready.json", streams)
    reader, unread = os.pipe()
    os.close(reader)
    with subprocess.Popen(command, stdout=unread, stderr=subprocess.PIPE, text=True) as process:
        os.close(unread)
        try:
            for _ in range(int(WAIT_S / 0.02)):
                if Path("ready.json").exists() or process.poll() is not None:
                    break
                threading.Event().wait(0.02)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield process, json.loads(Path("ready.json").read_text())["url"]
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=WAIT_S)
    return process.returncode, said


RECORD = "record --provider beatra --upstream http://127.0.0.1:9/v1 --out taped.yaml --quiet"


@pytest.mark.parametrize("command", ["serve --quiet", RECORD], ids=["serve", "record"])
@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ("", NOT_TOLD.format(GONE)),
        (">/dev/full", NOT_TOLD.format(FULL)),
        (">&-", ""),
        (">/dev/full 2>/dev/full", ""),
        ("2>&-", ""),
        ("<&- >&- 2>&-", ""),
    ],
    ids=["no reader", "full", "closed", "both full", "stderr closed", "all closed"],
)
def test_a_server_serves_whatever_becomes_of_its_streams(command: str, streams: str, said: str) -> None:
    with serving(command, streams) as (process, url):
        for number in range(3):
            named = os.readlink(f"/proc/{process.pid}/fd/{number}")
            assert not named.startswith("socket:"), f"what is written to {number} would go to a client"
        with Connection(url) as connection:
            for _ in range(2):
                connection.send(request(url, None, method="GET", path="/_emulator/health"))
                assert connection.answer().json["status"] == "ok"
        assert ended(process) == (0, said)


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"], ids=["closed", "full"])
def test_a_line_for_each_request_that_nobody_can_read_stops_nothing(streams: str) -> None:
    with serving("serve a.yaml --host 0.0.0.0 --admin-token t", streams) as (process, url):
        with Connection(url) as connection:
            for _ in range(3):
                connection.send(request(url))
                assert connection.answer().status == 200
        assert ended(process) == (0, "")


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-"], ids=["full", "closed"])
def test_a_warning_that_nobody_can_read_stops_nothing(streams: str) -> None:
    """`serve` warns of the address that others reach, and of a rule that is never asked."""
    Path("a.yaml").write_text("emulator: 1\nprovider: beatra\nrules: [{reply: {text: a}}, {reply: {text: b}}]\n")
    with serving("serve a.yaml --host 0.0.0.0", streams) as (process, _):
        assert ended(process) == (0, "")
    assert run("check a.yaml", streams)[:2] == (0, "a.yaml: ok, 2 rules\n")
    assert run("check nowhere.yaml", streams)[0] == 2


PRINTING = [
    "providers", "providers beatra", "check a.yaml", "check --schema", "new b.yaml", "--help", "serve --help",
    "--version", "contract --provider beatra --self --phase probe --report json=report.json",
]  # fmt: skip


def test_a_result_that_cannot_be_written_is_told_without_a_buffer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    assert run("providers", ">/dev/full") == (2, "", f"stdout cannot be written: {FULL}.\n")


@pytest.mark.parametrize("command", PRINTING)
def test_a_result_that_cannot_be_written_is_an_error_in_a_line(command: str) -> None:
    code, _, said = run(command, ">/dev/full")
    lines = [line for line in said.splitlines() if not re.match(r"\d+ cases, ", line)]
    assert (code, lines) == (2, [f"stdout cannot be written: {FULL}."])
    assert Path("b.yaml").exists() is (command == "new b.yaml")
    assert Path("report.json").exists() is command.startswith("contract")


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize(("streams", "code"), [("| true", 1), (">&-", 0)], ids=["no reader", "closed"])
def test_a_result_that_nobody_reads_is_no_crash(command: str, streams: str, code: int) -> None:
    """A shell that reads no more, as `head`, ends a command quietly; what is closed is meant."""
    reader, unread = os.pipe()
    os.close(reader)
    done = subprocess.run(shell(command, "" if code else streams), stdout=unread, stderr=subprocess.PIPE, text=True,
                          timeout=WAIT_S, check=False)  # fmt: skip
    os.close(unread)
    lines = [line for line in done.stderr.splitlines() if not re.match(r"\d+ cases, ", line)]
    assert (done.returncode, lines) == (code, [])


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_exec_runs_its_command_whatever_becomes_of_its_streams(streams: str) -> None:
    program = "import os; os.fstat(1); open('ran', 'w').write(os.environ['OPENAI_BASE_URL']); os._exit(7)"
    code, _, _ = run(f"exec a.yaml -- {shlex.quote(sys.executable)} -c {shlex.quote(program)}", streams)
    assert (code, Path("ran").read_text()[:7]) == (7, "http://")


def test_a_ready_file_that_cannot_be_written_is_told_before_anything_begins() -> None:
    Path("there").mkdir()
    assert run("serve --ready-file there", "") == (2, "", "there is a folder; name a file.\n")
    assert run(f"{RECORD} --ready-file there", "") == (2, "", "there is a folder; name a file.\n")
