"""`--reload`: a changed file is served at once, a broken one leaves the old in place and is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import IO, Any

import httpx2
import pytest
import watchfiles
from build import KEY, chat
from click.testing import CliRunner

from emulator.cli.main import main
from emulator.server.reloading import watch
from emulator.testing.client import Control

RULES = "emulator: 1\nprovider: beatra\nrules:\n- id: %s\n  replies: [{text: first}, {text: second}]\n"
BAD = "emulator: 1\nrules:\n- reply: {txt: a}\n"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, IO[str]]]:
    """Serve a.yaml; yield the URL and what is told on stderr."""
    with serving("a.yaml", tmp_path) as found:
        yield found


@pytest.fixture
def served_from_folder(tmp_path: Path) -> Iterator[tuple[str, IO[str]]]:
    """Serve in/a.yaml."""
    (tmp_path / "in").mkdir()
    with serving("in/a.yaml", tmp_path) as found:
        yield found


@contextmanager
def serving(name: str, tmp_path: Path) -> Iterator[tuple[str, IO[str]]]:
    (tmp_path / name).write_text(RULES % "begin")
    command = [sys.executable, "-m", "emulator", "serve", name, "--port", "0", "--reload", "--ready-file", "r.json"]
    process = subprocess.Popen(
        [*command, "--quiet"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        yield json.loads((tmp_path / "r.json").read_text())["url"], process.stderr
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def said(url: str) -> str:
    answer = httpx2.post(
        f"{url}/v1/chat/completions", json=chat(), headers={"authorization": f"Bearer {KEY}"}, trust_env=False
    )
    return str(answer.json()["choices"][0]["message"]["content"])


def change(file: Path, text: str) -> None:
    """Write another file and rename it into place, as editors do."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


def served_after(control: Control, file: Path, id: str) -> None:
    """Change the file until it is served: the first changes may come before the watch has begun."""
    for _ in range(100):
        change(file, RULES % id)
        for _ in range(20):
            if [rule["id"] for rule in control.ask("GET", "/sessions/default")["rules"]] == [id]:
                return
            time.sleep(0.05)
    raise AssertionError(f"{id} was never served")


def told_next(told: IO[str]) -> str:
    """Return the next line that tells of no success."""
    return next(line for line in told if line != "Reloaded a.yaml.\n")


def test_a_changed_file_is_served_and_a_broken_one_is_told(served: tuple[str, IO[str]], tmp_path: Path) -> None:
    (url, told), file = served, tmp_path / "a.yaml"
    control = Control(url)
    served_after(control, file, "one")
    assert told.readline() == "Reloaded a.yaml.\n"
    assert [said(url), said(url), said(url)] == ["first", "second", "second"]
    change(file, BAD)
    lines = [told_next(told) for _ in range(3)]
    assert [line.partition(": ")[0] for line in lines[:2]] == ["a.yaml:3:3", "a.yaml:3:11"]
    assert lines[2] == "This does not load; what was loaded before stays.\n"
    assert said(url) == "second"
    served_after(control, file, "two")
    assert [said(url), said(url)] == ["first", "second"]  # its turns began anew
    assert control.ask("GET", "/sessions/default")["exchanges"] == 6  # the journal stayed
    control.ask("POST", "/sessions/default/rules", {"rule": {"id": "mine", "reply": {"text": "mine"}}})
    change(file, RULES % "mine")
    assert told_next(told) == "The scenario has a rule with the id 'mine' already.\n"
    assert told_next(told) == "This cannot be served; what was loaded before stays.\n"
    assert said(url) == "mine"
    control.close()


def test_a_change_is_noticed_by_the_name_of_a_link_and_behind_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "a.yaml", tmp_path / "a.yaml"
    file.write_text("0")
    link.symlink_to(file)
    changes: Queue[None] = Queue()
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=([link], lambda: changes.put(None), stop))
    thread.start()
    try:
        while changes.empty():  # also until the watch has begun
            file.write_text("1")
            thread.join(0.05)
    finally:
        stop.set()
        thread.join()


def test_a_folder_that_was_removed_is_told_and_watched_again_when_it_is_back(
    served_from_folder: tuple[str, IO[str]], tmp_path: Path
) -> None:
    (url, told), file = served_from_folder, tmp_path / "in" / "a.yaml"
    control = Control(url)
    served_after(control, file, "one")
    shutil.rmtree(file.parent)
    lines = [next(line for line in told if not line.startswith("Reloaded ")), told.readline()]
    assert lines == [
        "in/a.yaml:1:1: cannot be read: No such file or directory\n",
        "This does not load; what was loaded before stays.\n",
    ]
    assert said(url) == "first"
    file.parent.mkdir()
    served_after(control, file, "two")
    served_after(control, file, "three")
    control.close()


def test_only_the_files_themselves_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    file, link, other = tmp_path / "real" / "a.yaml", tmp_path / "a.yaml", tmp_path / "b.yaml"
    for path in (file, other):
        path.write_text("0")
    link.symlink_to(file)
    asked: dict[str, Any] = {}
    monkeypatch.setattr("watchfiles.watch", lambda *folders, **options: asked.update(options, folders=folders) or ())
    watch([link], lambda: None, threading.Event())
    assert set(asked["folders"]) == {tmp_path, tmp_path / "real"}
    counts = [path for path in (file, link, other) if asked["watch_filter"](watchfiles.Change.modified, str(path))]
    assert counts == [file, link]


@pytest.mark.parametrize(
    ("arguments", "missing", "message"),
    [
        ([], False, "--reload watches scenario files: name at least one.\n"),
        (["beatra/chat.yaml"], True,
         "--reload needs the package watchfiles; install it with: pip install 'llm-emulator[reload]'\n"),
    ],
    ids=["no-file", "no-package"],
)  # fmt: skip
def test_what_is_missing_is_said(
    arguments: list[str], missing: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["serve", "--reload", "--port", "0", *arguments])
    assert (result.exit_code, result.stderr) == (2, message)
