"""Small schemas that would be visited for ever: wherever one comes in, an answer comes out and the server goes on.

The server is a process of its own and is asked with a timeout, so that a hang fails a test and does not end them all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sockets.raw import chat

PATIENCE_S = 30
TOO_LARGE = "is too large: its references and unions lead on too often"
CHAT = "/brainstormrouter/v1/chat/completions"


def led(step: Callable[[dict[str, str]], Any], pointer: str = "#/$defs/d") -> dict[str, Any]:
    """40 definitions of which each leads twice to the next; the fields are those that every request has."""
    definitions = {f"d{n}": step({"$ref": f"{pointer}{n + 1}"}) for n in range(40)}
    fields = {"type": "object", "required": ["model", "messages"], "properties": {"model": {}, "messages": {}}}
    return {**fields, "$ref": f"{pointer}0", "$defs": {**definitions, "d40": {"minProperties": 1}}}


SCHEMAS = {
    "any-of": led(lambda to: {"allOf": [{"anyOf": [{"not": to}, to]}]}),
    "all-of": led(lambda to: {"allOf": [to, to]}),
    "percent": led(lambda to: {"allOf": [to, to]}, "#/%24defs/d"),
    "dependencies": led(lambda to: {"dependencies": {"model": to, "messages": to}}),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--plan", "unlimited"]
    folder = tmp_path_factory.mktemp("serve")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) as process:
        assert process.stdout
        yield process.stdout.readline().split()[-1]
        process.kill()


def ask(url: str, method: str, path: str, body: Any, key: str = "k") -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.request(method, url + path, json=body, headers=headers, timeout=PATIENCE_S, trust_env=False)


def session(url: str) -> tuple[str, str]:
    made = ask(url, "POST", "/_emulator/sessions", {}).json()
    return f"/_emulator/sessions/{made['id']}", made["api_key"]


def when(schema: Any) -> dict[str, Any]:
    return {"body": {"$": {"schema": schema}}}


def scenario(schema: Any) -> dict[str, Any]:
    return {"emulator": 1, "rules": [{"when": when(schema), "reply": {"text": "a"}}]}


def verified(url: str, schema: Any) -> httpx2.Response:
    path, key = session(url)
    assert ask(url, "POST", CHAT, chat(), key).status_code == 200
    return ask(url, "POST", f"{path}/verify", {"when": when(schema)})


CONTROL: dict[str, Callable[[str, Any], httpx2.Response]] = {
    "verify": verified,
    "session": lambda url, schema: ask(url, "POST", "/_emulator/sessions", {"scenario": scenario(schema)}),
    "text": lambda url, schema: ask(url, "POST", "/_emulator/sessions", {"scenario": json.dumps(scenario(schema))}),
    "put": lambda url, schema: ask(url, "PUT", f"{session(url)[0]}/scenario", {"scenario": scenario(schema)}),
    "rule": lambda url, schema: ask(
        url, "POST", f"{session(url)[0]}/rules", {"rule": {"when": when(schema), "reply": {"text": "a"}}}
    ),
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("send", CONTROL.values(), ids=CONTROL)
def test_the_control_api_refuses_it(url: str, send: Callable[[str, Any], httpx2.Response], schema: Any) -> None:
    answer = send(url, schema)
    assert (answer.status_code, answer.json()["error"]["problems"][0]["message"]) == (422, TOO_LARGE)
    assert answer.json()["error"]["problems"][0]["where"].endswith("body.$.schema")


ASKED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "response_format": lambda schema: {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    },
    "tools": lambda schema: {
        "tools": [{"type": "function", "function": {"name": "x", "parameters": schema}}], "tool_choice": "required"
    },
}  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_request_with_it_is_told_why_no_answer_conforms(url: str, asked: Callable[[Any], Any], schema: Any) -> None:
    path, key = session(url)
    answer = ask(url, "POST", CHAT, chat(**asked(schema)), key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "emulator_cannot_conform")
    [exchange] = ask(url, "GET", f"{path}/journal", None).json()["exchanges"]
    assert f"the schema asked for {TOO_LARGE}" in exchange["notes"][-1]["message"]


def test_check_says_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps(scenario(SCHEMAS["any-of"])))
    command = [sys.executable, "-m", "emulator", "check", "s.yaml"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert told.returncode == 1
    assert f"rules[0].when.body.$.schema: {TOO_LARGE}" in told.stderr + told.stdout
