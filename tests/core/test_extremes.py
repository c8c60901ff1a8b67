"""Input at the edge of what JSON and YAML carry gets a defined answer, and nothing breaks later on."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

KEY = {"authorization": "Bearer any", "content-type": "application/json"}


def test_a_body_too_deep_is_refused_and_the_journal_can_still_be_read(emulator_url: str) -> None:
    session = httpx2.post(f"{emulator_url}/_emulator/sessions", json={"provider": "beatra"}).json()
    body = '{"a":' + "[" * 252 + "]" * 252 + "}"
    headers = {**KEY, "authorization": f"Bearer {session['api_key']}"}
    answer = httpx2.post(f"{session['base_urls']['beatra']}/chat/completions", headers=headers, content=body)
    journal = httpx2.get(f"{emulator_url}/_emulator/sessions/{session['id']}/journal")
    assert (answer.status_code, journal.status_code) == (400, 200)
    assert journal.json()["exchanges"][0]["body_text"] == body


def test_aliases_do_not_nest_deeper_than_text_may(emulator_url: str) -> None:
    nested = [f"  a{n}: &a{n} {'[' * 50}{f'*a{n - 1}' if n else 1}{']' * 50}\n" for n in range(30)]
    scenario = "emulator: 1\nvars:\n" + "".join(nested) + "rules:\n  - reply: {json: *a29}\n"
    answer = httpx2.post(f"{emulator_url}/_emulator/sessions", json={"scenario": scenario})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].endswith("is nested deeper than 60 levels")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "exclusiveMinimum": 18446744073709551615},
        {"type": "integer", "minimum": 1.7e308, "multipleOf": 1e308},
    ],
    ids=["over-64-bits", "over-a-double"],
)
def test_numbers_beyond_json_in_a_schema_asked_for(emulator_url: str, schema: Any) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "hi"}], "response_format": asked}
    answer = httpx2.post(f"{emulator_url}/brivionix/v1/chat/completions", headers=KEY, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "emulator_cannot_conform")


def test_tasks_that_are_no_list_without_validation(emulator_url: str) -> None:
    given = {"validation": "off", "provider": "brainstormrouter"}
    session = httpx2.post(f"{emulator_url}/_emulator/sessions", json=given).json()
    headers = {"authorization": f"Bearer {session['api_key']}"}
    url = f"{session['base_urls']['brainstormrouter']}/intelligence/cost-forecast"
    assert httpx2.post(url, headers=headers, json={"tasks": None}).json()["tasks"] == []
