"""The docs' table of faults says what the official SDKs make of each: measured here, row by row."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
import yaml
from google import genai
from google.genai import errors

from emulator.core.faults.faults import FAULTS

from .raw import control
from .test_sdk_node import FOLDER, missing

TABLE = Path(__file__).parent.parent.parent / "docs" / "pages" / "guides" / "faults.md"
TEXT = "Grüße, here is a text."
ASK: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
ROW = re.compile(r"^\| (\*whole\* )?`([a-z_]+: .+?)` \| .+? \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.M)
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": ASK["messages"]}


class Row(NamedTuple):
    whole: str
    fault: str
    python: str
    node: str
    anthropic: str
    google: str
    ollama: str


ROWS = [Row(*found) for found in ROW.findall(TABLE.read_text())]
NAMES = [row.whole.strip(" *") + row.fault for row in ROWS]


def open_session(url: str, row: Row, provider: str = "beatra") -> dict[str, Any]:
    reply = {"text": TEXT, "stream": {"itl": "1s"}, "faults": [yaml.safe_load(row.fault)]}
    scenario = {"emulator": 1, "clock": "virtual", "rules": [{"reply": reply}]}
    session: dict[str, Any] = control(url, "POST", "/sessions", {"provider": provider, "scenario": scenario})
    return session


def told(text: str | None, error: str | None) -> str:
    """Return an outcome in the table's words."""
    if error or not text:
        return error or "no text"
    return "all of the text" if text == TEXT else "part of the text" if TEXT.startswith(text) else "another text"


def by_python(url: str, key: str, stream: bool) -> str:
    text: str | None = ""
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as api:
        try:
            if stream:
                for chunk in api.chat.completions.create(**ASK, stream=True):
                    text = f"{text}{chunk.choices[0].delta.content or ''}"
            else:
                text = api.chat.completions.create(**ASK).choices[0].message.content
        except (openai.OpenAIError, ValueError) as error:
            return told(text, type(error).__name__)
    return told(text, None)


def by_anthropic(url: str, key: str, stream: bool) -> str:
    text = ""
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as api:
        try:
            if stream:
                for event in api.messages.create(**MESSAGE, stream=True):
                    if event.type == "content_block_delta" and event.delta.type == "text_delta":
                        text += event.delta.text
            else:
                text = "".join(block.text for block in api.messages.create(**MESSAGE).content if block.type == "text")
        except (anthropic.AnthropicError, ValueError, AttributeError, httpx2.HTTPError) as error:
            return told(text, type(error).__name__)
    return told(text, None)


def by_google(url: str, key: str, stream: bool) -> str:
    text: str | None = ""
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}
    with genai.Client(api_key=key, http_options={"base_url": url.rpartition("/")[0]}) as api:
        try:
            if stream:
                for chunk in api.models.generate_content_stream(**ask):
                    text = f"{text}{chunk.text or ''}"
            else:
                text = api.models.generate_content(**ask).text
        except (errors.APIError, ValueError, httpx2.HTTPError) as error:
            return told(text, type(error).__name__)
    return told(text, None)


def by_ollama(url: str, stream: bool) -> str:
    text: str | None = ""
    ask: dict[str, Any] = {"model": "llama3.2", "messages": ASK["messages"]}
    with ollama.Client(url, trust_env=False) as api:
        try:
            if stream:
                for part in api.chat(**ask, stream=True):
                    text = f"{text}{part.message.content or ''}"
            else:
                text = api.chat(**ask).message.content
        except (ollama.ResponseError, ValueError, httpx.HTTPError) as error:
            return told(text, type(error).__name__)
    return told(text, None)


def test_every_fault_has_its_row() -> None:
    assert {row.fault.partition(":")[0] for row in ROWS} == set(FAULTS)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_python_sdk(row: Row, emulator_url: str) -> None:
    session = open_session(emulator_url, row)
    assert by_python(session["base_urls"]["beatra"], session["api_key"], not row.whole) == row.python


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_python_sdk_of_anthropic(row: Row, emulator_url: str) -> None:
    session = open_session(emulator_url, row, "anthropic")
    assert by_anthropic(session["base_urls"]["anthropic"], session["api_key"], not row.whole) == row.anthropic


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_python_sdk_of_google(row: Row, emulator_url: str) -> None:
    session = open_session(emulator_url, row, "gemini")
    assert by_google(session["base_urls"]["gemini"], session["api_key"], not row.whole) == row.google


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_python_client_of_ollama(row: Row, emulator_url: str) -> None:
    session = open_session(emulator_url, row, "ollama")
    assert by_ollama(session["base_urls"]["ollama"], not row.whole) == row.ollama


def test_the_node_sdk(emulator_url: str) -> None:
    reason = missing("openai")
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    assert reason is None, reason
    sessions = [open_session(emulator_url, row) for row in ROWS]
    cases = [
        {"url": session["base_urls"]["beatra"], "key": session["api_key"], "stream": not row.whole}
        for session, row in zip(sessions, ROWS, strict=True)
    ]
    done = subprocess.run(
        ["node", "faults.mjs"], cwd=FOLDER, input=json.dumps(cases), capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    outcomes = [told(item["text"], item["error"]) for item in json.loads(done.stdout)]
    assert dict(zip(NAMES, outcomes, strict=True)) == {name: row.node for name, row in zip(NAMES, ROWS, strict=True)}
