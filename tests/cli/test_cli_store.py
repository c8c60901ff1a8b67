"""Stores and workers on the command line: what does not go together, and a store that is not there."""

from __future__ import annotations

import importlib.util
import socket
from typing import Any

import pytest
from click.testing import CliRunner

from emulator.cli.main import main


def serve(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["serve", "--port", "0", *options])
    return result.exit_code, result.stderr


NEEDS_STORE = (
    "--workers 2 needs a store that the workers share: add --store redis://HOST:PORT/DB. Without one, each would count "
    "limits, turns and states for itself.\n"
)
NO_STORE = "--store must be memory:// or redis://HOST:PORT/DB.\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2"], NEEDS_STORE),
        (["--workers", "2", "--store", "memory://"], NEEDS_STORE),
        (["--store", "memory"], NO_STORE),
        (["--store", "http://127.0.0.1:6379"], NO_STORE),
        (["--store", "redis://127.0.0.1:port/0"], NO_STORE),
        (["--store", "redis://127.0.0.1:6379/one"], NO_STORE),
        (["--store", "redis://127.0.0.1:66000/0"], NO_STORE),
        (["--store", "redis://"], NO_STORE),
    ],
    ids=["no-store", "memory", "no-url", "http", "port", "database", "port-too-large", "no-host"],
)
def test_what_cannot_be_a_store_is_exit_2(options: list[str], said: str) -> None:
    assert serve(*options) == (2, said)


def test_an_upstream_does_not_go_with_a_shared_store() -> None:
    options = ("--provider", "beatra", "--upstream", "beatra=http://127.0.0.1:1/v1")
    assert serve("--store", "redis://127.0.0.1:6379/0", *options) == (
        2,
        "--upstream does not go with a shared store: it concerns one process alone.\n",
    )


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def missing(name: str, package: str | None = None) -> Any:
        return None if name == "redis" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    assert serve("--store", "redis://127.0.0.1:6379/0") == (
        2,
        "--store redis://... needs: pip install 'llm-emulator[redis]'\n",
    )


def test_workers_are_for_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.cli.store.sys.platform", "darwin")
    code, said = serve("--workers", "2", "--store", "redis://127.0.0.1:6379/0")
    assert (code, said.split(",")[0]) == (2, "--workers above 1 needs Linux")


def test_a_store_that_is_not_there_is_exit_3_and_its_password_is_not_shown() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, said = serve("--store", f"redis://user:secret@127.0.0.1:{port}/0")
    assert (code, said.partition(": ")[0]) == (3, f"Redis at 127.0.0.1:{port}/0 cannot be used")
    assert "secret" not in said
