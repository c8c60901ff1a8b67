"""Streams that are one JSON array, and calls with signatures: relayed, and answered again as they were recorded."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from build import KEY, PROVIDERS, EngineSession, make_session
from relaying import answered, heard, heard_from

from emulator.core.journal.describe import describe
from emulator.core.recording.to_scenario import scenario_text
from emulator.core.values import Exchange

CALL = {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
BODY: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
}


def request(name: str, query: str | None) -> dict[str, Any]:
    method = "generateContent" if query is None else "streamGenerateContent"
    path = f"/models/{name}:{method}"
    return {"path": path, "query": query or "", "key": None, "headers": {"x-goog-api-key": KEY}}


def said(exchange: Exchange) -> tuple[int, str, str]:
    data = b"".join(frame.data for frame in exchange.timeline.frames).decode()
    kind = dict(exchange.timeline.headers)["content-type"]
    return exchange.timeline.status, kind, re.sub(r'"(responseId|id)":"[^"]*"', "", data)


def written(live: EngineSession) -> str:
    rows = [describe(item) for item in live.store.journal("default", 0)[0]]
    return scenario_text(orjson.loads(orjson.dumps(rows)), PROVIDERS)


@pytest.mark.parametrize("name", ["gemini-2.5-flash", "gemini-3.8-flash"])
@pytest.mark.parametrize("query", [None, "", "alt=sse"], ids=["whole", "array", "sse"])
@pytest.mark.parametrize(
    "reply",
    [
        {"text": "One two three.", "stream": {"split": "words"}},
        {"reasoning": "Hm hm.", "text": "Yes."},
        CALL,
        {"error": "rate_limited"},
        {"error": "rate_limited", "retry_after": 7},
        {"error": {"name": "quota_exhausted", "message": "Later."}, "retry_after": 3600},
        {"error": "server_error"},
    ],
    ids=["text", "thoughts", "call", "limit", "limit-that-waits", "quota-that-waits", "error"],
)
def test_what_is_written_answers_the_same(reply: dict[str, Any], query: str | None, name: str) -> None:
    first = make_session({"rules": [{"reply": reply}]}, plan="unlimited")
    expected = said(first.send("gemini", BODY, **request(name, query)))
    second = make_session(written(first), plan="unlimited")
    assert said(second.send("gemini", BODY, **request(name, query))) == expected


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_items_are_frames_however_they_come(size: int) -> None:
    live = make_session(
        {"rules": [{"reply": {"text": "One two three.", "stream": {"split": "words"}}}]}, plan="unlimited"
    )
    asked = request("gemini-2.5-flash", "")
    exchange = live.send("gemini", BODY, **asked)
    data = b"".join(frame.data for frame in exchange.timeline.frames)
    pieces = [(0.0, data[start : start + size]) for start in range(0, len(data), size)]
    relayed = answered(heard(body=pieces), "gemini", BODY, **asked)
    kinds = [frame.kind for frame in relayed.timeline.frames]
    assert (kinds, relayed.timeline.stream) == (["data"] * 4 + ["done"], True)
    assert b"".join(frame.data for frame in relayed.timeline.frames) == data
    assert relayed.notes == answered(heard_from(exchange), "gemini", BODY, **asked).notes == ()
