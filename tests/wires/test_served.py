"""The made-up APIs over sockets: served beside the four by the same scenario, recorded, verified and judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from emulator import Emulator
from emulator.cli.main import main
from emulator.core.wires.completion import Completion
from emulator.core.wires.sse import events_in, payload
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession
from tests.sockets.recording import recording
from tests.wires.asks import MADE_UP, MODELS, SCENARIO, asked
from tests.wires.build import PROVIDERS, SCHEMAS

KEY = "pl-the-clients-own-key"
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    file = tmp_path_factory.mktemp("served") / "one.yaml"
    file.write_text(SCENARIO)
    with Emulator(file, schemas=SCHEMAS, clock="virtual", plan="unlimited") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def session(server: Emulator) -> Iterator[EmulatedSession]:
    control = Control(server.url)
    session = EmulatedSession(control, SCENARIO, provider="parlance", clock="virtual", plan="open")
    yield session
    session.delete()
    control.close()


def ask(http: httpx2.Client, base_url: str, provider: str, text: str, key: str = KEY, **said: Any) -> httpx2.Response:
    path, headers, body = asked(provider, text, key=key, **said)
    return http.post(base_url + path, json=body, headers=headers)


def heard(provider: str, answer: httpx2.Response) -> Completion:
    """Return what a client hears."""
    wire = PROVIDERS[provider].operations["chat"].wire
    assert wire
    if answer.headers["content-type"] == "application/json":
        return wire.read(answer.json())
    data = [payload(event).decode() for event in events_in(answer.content) if event]
    return wire.read_events([httpx2.Response(200, text=item).json() for item in data if item not in wire.texts])


@pytest.mark.parametrize("provider", MODELS)
@WAYS
def test_one_scenario_is_served_in_every_form(
    provider: str, stream: bool, server: Emulator, http: httpx2.Client
) -> None:
    def said(text: str, **more: Any) -> list[tuple[str, str]]:
        answer = ask(http, server.base_urls[provider], provider, text, stream=stream, cap=50, **more)
        assert answer.status_code == 200
        wire = PROVIDERS[provider].operations["chat"].wire
        assert answer.headers["content-type"] == (wire.stream_type if wire and stream else "application/json")
        return [(part.kind, part.text) for part in heard(provider, answer).parts]

    assert said("hello") == [("text", "You said: hello")]
    assert said("hello", system="Talk like a pirate.") == [("text", "Arr.")]
    if PROVIDERS[provider].operations["chat"].takes_tools:
        assert said("the weather?") == [("text", "Let me look."), ("call", '{"city":"Oslo"}')]
        assert said("the weather?", result="21 degrees") == [("text", "It is 21 degrees in Oslo.")]
    assert ask(http, server.base_urls[provider], provider, "limit", stream=stream).status_code == 429


def without_new(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, re.sub(
        r'(ans|wish|req|call|msg|toolu)_\w+|chatcmpl-\w+|"(created|when)":\d+|"created_at":"[^"]+"', "NEW", answer.text
    )


def all_asked(http: httpx2.Client, base_url: str, provider: str) -> list[tuple[int, str]]:
    answers = [
        ask(http, base_url, provider, text, stream=stream)
        for stream in (False, True, False)
        for text in ("hello", "the weather?", "refuse", "limit")
    ]
    return [without_new(answer) for answer in answers]


@pytest.mark.parametrize("provider", ["anthropic", "brivionix", "ollama", *MADE_UP])
def test_what_is_recorded_answers_the_same(
    provider: str, server: Emulator, http: httpx2.Client, tmp_path: Path
) -> None:
    with recording(server.base_urls[provider], provider, schemas=SCHEMAS) as found:
        first = all_asked(http, found.base_url, provider)
        found.exchanges(len(first))
    file = tmp_path / "recorded.yaml"
    file.write_text(found.recorder.text())
    assert next(found.recorder.report()) == "Recorded 12 answers to 8 different requests."
    assert KEY not in file.read_text()
    checked = CliRunner().invoke(main, ["check", str(file), "--schemas", str(SCHEMAS)])
    assert checked.output.endswith("recorded.yaml: ok, 8 rules\n")
    with Emulator(file, schemas=SCHEMAS) as emulator:
        assert all_asked(http, emulator.base_urls[provider], provider) == first


def test_a_recording_tells_streams_apart_by_their_path(server: Emulator, http: httpx2.Client, tmp_path: Path) -> None:
    with recording(server.base_urls["parlance"], "parlance", schemas=SCHEMAS) as found:
        for stream in (False, True):
            ask(http, found.base_url, "parlance", "hello", stream=stream)
        found.exchanges(2)
    assert re.findall("stream: (true|false)", found.recorder.text()) == ["false", "true"]


def test_addresses_and_keys_are_its_own(server: Emulator, session: EmulatedSession, http: httpx2.Client) -> None:
    assert server.base_urls["parlance"] == f"{server.url}/parlance/talk/v2"
    assert session.api_key.startswith("pl-")
    assert session.env == {"PARLANCE_URL": session.base_url, "PARLANCE_KEY": session.api_key}
    assert ask(http, server.base_urls["parlance"], "parlance", "hello", key="").json() == {
        "kind": "error",
        "error": {"kind": "bad_key", "where": None, "message": "No API key: send it as 'x-parlance-key: KEY'."},
    }
    wrong = ask(http, f"{server.url}/parlance/v1", "parlance", "hello").json()["error"]
    assert (wrong["kind"], f"{server.url}/parlance/talk/v2/engines" in wrong["message"]) == ("nothing_here", True)
    # its key leads to the session, wherever it is asked
    assert ask(http, server.base_urls["parlance"], "parlance", "hello", session.api_key).status_code == 200
    [exchange] = session.journal
    assert session.api_key not in str(exchange)
    assert (exchange.params, exchange.model) == ({"model": "parlance-1"}, "parlance-1")


def test_limits_are_told_as_it_renders_them(session: EmulatedSession, http: httpx2.Client) -> None:
    ask(http, session.base_url, "parlance", "hello", session.api_key)
    session.clock.advance("20s")
    headers = ask(http, session.base_url, "parlance", "hello", session.api_key).headers
    assert (headers["parlance-turns-left"], headers["parlance-words-in"]) == ("28", "40s")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", headers["parlance-renewed-at"])


def test_a_model_of_a_path_is_known_where_the_request_is_refused(session: EmulatedSession, http: httpx2.Client) -> None:
    _, headers, _ = asked("parlance", "hello", key=session.api_key)
    for path in ("/engines/parlance-1:answer", "/engines/parlance-9:stream"):
        assert http.post(session.base_url + path, json={"turns": []}, headers=headers).status_code == 400
    assert [row.model for row in session.journal] == ["parlance-1", "parlance-9"]


def test_the_journal_is_verified_and_judged(session: EmulatedSession, http: httpx2.Client) -> None:
    for text, stream, wait in (("hello", False, 0), ("limit", True, 1000), ("limit", True, 10), ("limit", True, 0)):
        ask(http, session.base_url, "parlance", text, session.api_key, stream=stream)
        session.clock.advance(f"{wait}s")
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(http, session.base_url, "parlance", "cut", session.api_key, stream=True)
    session.verify(count=1, model="parlance-1", last_user="hello", stream=False, tools={"includes": "get_weather"})
    session.verify(count=4, stream=True)
    with pytest.raises(AssertionError, match="hello"):
        session.verify(count=1, last_user="goodbye")
    session.completed("One two three four.")
    found = {item["fact"]: item["status"] for item in session.verdict()["findings"]}
    assert (found["pa-wait"], found["pa-broken"]) == ("fail", "fail")


def test_the_journal_becomes_a_scenario(session: EmulatedSession, http: httpx2.Client) -> None:
    def texts() -> list[tuple[int, str]]:
        return [
            without_new(ask(http, session.base_url, "parlance", text, session.api_key, stream=stream))
            for text, stream in (("hello", True), ("the weather?", False), ("refuse", True), ("limit", False))
        ]

    first = texts()
    made = session.journal.to_scenario(SCHEMAS)
    assert "off_contract" not in made
    session.use(made)
    assert texts() == first


@pytest.mark.parametrize("provider", MADE_UP)
def test_built_in_answers_are_whole_and_streamed_by_turns(provider: str, http: httpx2.Client) -> None:
    with Emulator(schemas=SCHEMAS) as emulator:
        base_url = emulator.base_urls[provider]
        answers = [ask(http, base_url, provider, "hello", stream=way) for way in (False, False, True, False, True)]
    kinds = [answer.headers["content-type"].partition(";")[0] for answer in answers]
    assert kinds == ["application/json"] * 2 + ["text/event-stream", "application/json", "text/event-stream"]


def test_openapi_describes_its_paths_and_its_key(server: Emulator, http: httpx2.Client) -> None:
    document = http.get(f"{server.url}/_emulator/openapi/parlance.json").json()
    assert list(document["paths"]) == ["/engines/{model}:answer", "/engines/{model}:stream", "/engines/{model}"]
    assert document["security"] == [{"x-parlance-key": []}]
