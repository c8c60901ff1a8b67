"""A session of a running emulator (EMULATOR_URL) for each test, with one scenario for all frameworks."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest

MODEL = "gpt-5.4-mini"
ROOT = os.environ.get("EMULATOR_URL", "http://127.0.0.1:4010")
SCENARIO = """
emulator: 1
provider: openai
rules:
  - when: {last_user: {contains: limit}}
    replies: [{error: rate_limited, retry_after: 0.01}, {text: The second try.}]
  - {when: {last_user: {contains: quota}}, reply: {error: quota_exhausted}}
  - {when: {last_user: {contains: too long}}, reply: {error: context_exceeded}}
  - {when: {tool_result: {name: get_weather, content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: Hello}}, reply: {text: "Hi there, my friend!", stream: {split: words}}}
unmatched: built-in
"""


@dataclass(frozen=True)
class Session:
    """One isolated world: where it is, its key, and what was asked of it."""

    id: str
    base_url: str
    api_key: str

    def journal(self) -> list[Any]:
        """Return what was asked so far, and answered."""
        return list(control("GET", f"/sessions/{self.id}/journal")["exchanges"])

    def statuses(self) -> list[int]:
        """Return the status of each answer so far."""
        return [exchange["response"]["status"] for exchange in self.journal()]


def control(method: str, path: str, body: Any = None) -> Any:
    """Ask the control API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{ROOT}/_emulator{path}", data, headers, method=method)) as answer:
        return json.load(answer)


def make_session(monkeypatch: pytest.MonkeyPatch, scenario: str) -> Session:
    """Make a session with a scenario, to which the environment leads."""
    made = control("POST", "/sessions", {"scenario": scenario})
    base_url = f"{ROOT}/s/{made['id']}/openai/v1"  # one that differs: LangChain keeps a client for each
    live = Session(made["id"], base_url, made["api_key"])
    monkeypatch.setenv("OPENAI_BASE_URL", live.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", live.api_key)
    return live


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    return make_session(monkeypatch, SCENARIO)
