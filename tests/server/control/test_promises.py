"""What the README promises of who may do what, from the outside; each fails when its guard is gone."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from build import PROVIDERS, chat, make_session

from emulator import Emulator
from emulator.core.engine.load import parse_text
from emulator.core.errors import SourceError
from emulator.server.control.app import control_app
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession

SECRET = "sk-very-secret-0123456789"


def test_a_key_is_shown_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[-1]
            shown = use_everywhere(url)
            process.send_signal(signal.SIGTERM)
            shown += "".join(process.communicate(timeout=30))
        finally:
            process.kill()
    assert "beatra" in shown
    assert SECRET not in shown


def use_everywhere(url: str) -> str:
    """Send a secret in every place where a client can put one; return all that the server tells afterwards."""
    control = Control(url)
    session = EmulatedSession(control, provider="beatra")
    session.on(last_user="limited").reply(error="rate_limited")
    session.on().reply("Hello.")
    headers = {"x-api-key": SECRET, "cookie": f"session={SECRET}", "proxy-authorization": f"Basic {SECRET}"}
    with httpx2.Client(trust_env=False) as client:
        for key in (session.api_key, SECRET):
            for text in ("hi", "limited"):
                client.post(
                    f"{session.base_url}/chat/completions?api_key={SECRET}", json=chat(text=text),
                    headers={**headers, "authorization": f"Bearer {key}"},
                )  # fmt: skip
        client.get(f"{url}/nothing?api_key={SECRET}", headers={"authorization": f"Bearer {SECRET}"})
        client.post(f"{url}/beatra/v1/chat/completions", json=chat(), headers={"authorization": f"Bearer {SECRET}"})
    told = [
        control.ask("GET", path)
        for path in ("/sessions", "/sessions/default", "/sessions/default/journal", "/sessions/default/verdict")
    ]
    told += [session.read(), list(session.journal), session.verdict()]
    told.append(control.ask("POST", f"/sessions/{session.id}/verify", {"when": {"model": "x"}}))
    text = json.dumps(told) + session.journal.to_scenario() + session.report()
    control.close()
    return text


def test_where_others_can_reach_the_server_control_wants_the_token() -> None:
    with Emulator(host="0.0.0.0") as emulator, httpx2.Client(trust_env=False) as client:
        for method, path in (("GET", "providers"), ("GET", "sessions/default/journal"), ("POST", "sessions")):
            answer = client.request(method, f"{emulator.url}/_emulator/{path}", headers={"host": "localhost"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_at_a_sessions_address_only_its_own_key_is_good(emulator_url: str) -> None:
    control = Control(emulator_url)
    session = control.ask("POST", "/sessions", {})
    asked = [("", SECRET, 200), ("/s/default", SECRET, 401), (f"/s/{session['id']}", SECRET, 401),
             ("/s/default", session["api_key"], 401), (f"/s/{session['id']}", session["api_key"], 200)]  # fmt: skip
    with httpx2.Client(trust_env=False) as client:
        for prefix, key, status in asked:
            url = f"{emulator_url}{prefix}/beatra/v1/chat/completions"
            headers = {"authorization": f"Bearer {key}"}
            assert client.post(url, json=chat(), headers=headers).status_code == status, (prefix, key)
    control.close()


def test_the_admin_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def compare(given: bytes, good: bytes) -> bool:
        compared.append((given, good))
        return compare_digest(given, good)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    app = control_app(sessions=None, loopback=False, admin_token="good")  # type: ignore[arg-type]

    async def ask() -> int:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client:
            headers = {"authorization": "Bearer wrong"}
            return (await client.get("/_emulator/providers", headers=headers)).status_code

    assert (asyncio.run(ask()), compared) == (403, [(b"wrong", b"good")])


def test_no_page_of_another_origin_may_read_an_answer(emulator_url: str) -> None:
    headers = {"origin": "https://evil.test", "access-control-request-method": "POST"}
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/_emulator/health", "/_emulator/sessions", "/beatra/v1/chat/completions"):
            answer = httpx2.request(method, emulator_url + path, headers=headers, trust_env=False)
            assert [name for name in answer.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.system [ls]", "!include /etc/hostname", "!!python/name:os.environ", "!ENV HOME"],
)
def test_a_scenario_runs_no_code_and_reads_no_file(value: str) -> None:
    with pytest.raises(SourceError):
        parse_text(f"emulator: 1\nrules:\n  - reply:\n      text: {value}\n", "a", PROVIDERS)


def test_a_schema_reads_no_file_and_asks_no_host(tmp_path: Path) -> None:
    file = tmp_path / "text.json"
    file.write_text('{"type": "string"}')
    when = f"{{body: {{'$.x': {{schema: {{$ref: '{file.as_uri()}'}}}}}}}}"
    with pytest.raises(SourceError, match="only '#/…' is followed"):
        parse_text(f"emulator: 1\nrules: [{{when: {when}, reply: {{text: a}}}}]\n", "a", PROVIDERS)


@pytest.mark.parametrize(
    "path",
    ["env.HOME", "environ.HOME", "os.environ", "request.__class__", "request.headers.__init__.__globals__",
     "vars.__class__.__mro__", "request.headers.authorization", "request.headers.cookie"],
)  # fmt: skip
def test_a_template_sees_the_request_and_nothing_else(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", SECRET)
    text = f"emulator: 1\nprovider: beatra\nvars: {{a: 1}}\nrules: [{{reply: {{text: '[${{{path}}}]'}}}}]\n"
    try:
        live = make_session(text)
    except SourceError:
        return
    exchange = live.send(headers={"cookie": SECRET})
    assert b"[]" in b"".join(frame.data for frame in exchange.timeline.frames)
    assert os.environ["HOME"] == SECRET
