"""The Emulator class: a server in a thread of its own, for use from Python."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from build import PROVIDERS, chat

from emulator import Emulator, SourceError
from emulator.core.scenario.session import Conflict
from emulator.core.schema.formats import data_folder
from emulator.core.values import Plan
from emulator.network.hosts import is_loopback
from emulator.server import setup
from emulator.server.setup import Setup, origin


def ask(url: str, key: str = "k", **given: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{url}/chat/completions", json=chat(**given), headers=headers, trust_env=False)


def write(folder: Path, text: str, name: str = "a.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_it_serves_while_it_is_entered_and_no_longer() -> None:
    threads = set(threading.enumerate())
    with Emulator() as emulator:
        assert emulator.base_urls == {
            name: f"{emulator.url}/{name}{item.base_path}" for name, item in PROVIDERS.items()
        }
        assert ask(emulator.base_urls["beatra"]).status_code == 200
    assert set(threading.enumerate()) == threads
    with pytest.raises(httpx2.ConnectError):
        ask(emulator.base_urls["beatra"])


def test_an_end_wakes_the_loop_where_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would come with the next tick, which never comes here."""
    monkeypatch.setattr(setup, "TICK_S", 1e6)

    def serve() -> None:
        with httpx2.Client(trust_env=False) as client, Emulator() as emulator:
            assert client.get(f"{emulator.url}/_emulator/health").status_code == 200  # the connection is kept
            served.set()

    served = threading.Event()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert served.wait(30)
    thread.join(30)
    assert not thread.is_alive()


def test_it_serves_a_scenario(tmp_path: Path) -> None:
    file = write(tmp_path, "emulator: 1\nprovider: beatra\nrules: [{reply: {text: Hi}}]")
    with Emulator(file) as emulator:
        assert list(emulator.base_urls) == ["beatra"]
        answers = [ask(emulator.base_urls["beatra"]), ask(f"{emulator.url}/v1")]
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["Hi", "Hi"]


def test_it_takes_options(tmp_path: Path) -> None:
    shutil.copytree(data_folder("schemas") / "beatra", tmp_path / "mine")
    file = tmp_path / "mine" / "provider.yaml"
    file.write_text(file.read_text().replace("name: beatra", "name: mine", 1))
    options: dict[str, Any] = {
        "provider": "mine", "seed": 7, "clock": "virtual", "plan": Plan("two", 2), "validation": "strict",
        "api_keys": ["k"], "schemas": tmp_path,
    }  # fmt: skip
    with Emulator(**options) as emulator:
        url = emulator.base_urls["mine"]
        statuses = [ask(url, key="other"), ask(url, n=1), ask(url), ask(url), ask(url)]
        session = httpx2.get(f"{emulator.url}/_emulator/sessions/default", trust_env=False).json()
    assert [answer.status_code for answer in statuses] == [401, 400, 200, 200, 429]
    assert (session["provider"], session["seed"], session["clock"]["kind"], session["plan"], session["validation"]) == (
        "mine", 7, "virtual", "two", "strict",
    )  # fmt: skip


def test_two_at_once_are_apart() -> None:
    with Emulator(plan=Plan("one", 1)) as one, Emulator(plan=Plan("one", 1)) as two:
        statuses = [ask(one.base_urls["beatra"]), ask(two.base_urls["beatra"]), ask(one.base_urls["beatra"])]
    assert one.url != two.url
    assert [answer.status_code for answer in statuses] == [200, 200, 429]


def test_one_can_be_entered_again() -> None:
    emulator = Emulator()
    for _ in range(2):
        with emulator:
            assert ask(emulator.base_urls["beatra"]).headers["x-emulator-exchange"] == "1"


def test_a_scenario_that_does_not_load_is_said_on_entering(tmp_path: Path) -> None:
    files = [write(tmp_path, "emulator: 2"), write(tmp_path, "emulator: 3", "b.yaml")]
    with pytest.raises(SourceError) as caught:
        Emulator(*files).__enter__()
    assert [problem.message for problem in caught.value.problems] == ["must be 1, not 2", "must be 1, not 3"]


def test_scenarios_that_disagree_are_a_conflict(tmp_path: Path) -> None:
    files = [write(tmp_path, f"emulator: 1\nseed: {seed}", f"{seed}.yaml") for seed in (1, 2)]
    with pytest.raises(Conflict):
        Emulator(*files).__enter__()
    with Emulator(*files, seed=3) as emulator:
        assert ask(emulator.base_urls["beatra"]).status_code == 200


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="Address already in use"):
            Emulator(port=taken.getsockname()[1]).__enter__()


def test_leaving_what_was_never_entered_does_nothing() -> None:
    emulator = Emulator()
    emulator.__exit__(None, None, None)
    assert emulator.url == ""


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_is_loopback(host: str, found: bool) -> None:
    assert is_loopback(host) is found


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:{}"), ("0.0.0.0", "http://127.0.0.1:{}"), ("localhost", "http://localhost:{}"),
     ("::", "http://[::1]:{}"), ("::1", "http://[::1]:{}")],
)  # fmt: skip
def test_origin(host: str, url: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert origin(Setup(host=host), sock) == url.format(sock.getsockname()[1])
