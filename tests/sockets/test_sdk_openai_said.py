"""The official Python SDK on what OpenAI's answers say beside texts: probabilities, annotations, custom tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from sockets.clients import openai_client
from sockets.raw import make_session

SCENARIO = """
provider: openai
rules:
  - when: {last_user: sure}
    reply:
      text: Yes, sir
      logprobs:
        - {token: "Yes,", logprob: -0.02, top: [{token: "Yes,", logprob: -0.02}]}
        - {token: " sir", logprob: -1.5}
      annotations: [{url: "https://a.example", title: A, start: 0, end: 3}]
  - when: {last_user: by hand}
    reply: {tool_calls: [{name: run, input: SELECT 1}]}
  - when: {operation: responses, last_user: by hand}
    reply: {tool_calls: [{name: run, input: SELECT 1}]}
"""
ASK: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "sure"}], "logprobs": True, "top_logprobs": 1}
ASK_RESPONSES: Any = {
    "model": "gpt-4o",
    "input": "sure",
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 1,
}


@pytest.fixture
def api(emulator_url: str) -> Iterator[OpenAI]:
    with openai_client(make_session(emulator_url, SCENARIO)) as api:
        yield api


def test_probabilities_and_annotations_of_chat(api: OpenAI) -> None:
    choice = api.chat.completions.create(**ASK).choices[0]
    assert choice.logprobs
    assert [(item.token, item.logprob) for item in choice.logprobs.content or ()] == [("Yes,", -0.02), (" sir", -1.5)]
    assert [item.url_citation.title for item in choice.message.annotations or ()] == ["A"]
    with api.chat.completions.stream(**ASK) as stream:
        events = list(stream)
    told = [event for event in events if event.type == "logprobs.content.delta"]
    assert [item.token for event in told for item in event.content] == ["Yes,", " sir"]


def test_probabilities_and_annotations_of_responses(api: OpenAI) -> None:
    [message] = api.responses.create(**ASK_RESPONSES).output
    assert message.type == "message"
    [text] = message.content
    assert text.type == "output_text"
    assert [(item.token, len(item.top_logprobs)) for item in text.logprobs or ()] == [("Yes,", 1), (" sir", 0)]
    assert [item.to_dict()["url"] for item in text.annotations] == ["https://a.example"]
    with api.responses.stream(**ASK_RESPONSES) as stream:
        events = list(stream)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [item.token for event in deltas for item in event.logprobs] == ["Yes,", " sir"]
    assert [event.annotation_index for event in events if event.type == "response.output_text.annotation.added"] == [0]


def test_custom_tools(api: OpenAI) -> None:
    chat: Any = {
        "messages": [{"role": "user", "content": "by hand"}],
        "tools": [{"type": "custom", "custom": {"name": "run"}}],
    }
    [call] = api.chat.completions.create(model="gpt-4o", **chat).choices[0].message.tool_calls or ()
    assert call.type == "custom"
    assert (call.custom.name, call.custom.input) == ("run", "SELECT 1")
    with api.responses.stream(model="gpt-4o", input="by hand", tools=[{"type": "custom", "name": "run"}]) as stream:
        deltas = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
        [item] = stream.get_final_response().output
    assert item.type == "custom_tool_call"
    assert (item.input, "".join(deltas)) == ("SELECT 1", "SELECT 1")
    answer = {"type": "custom_tool_call_output", "call_id": item.call_id, "output": "1"}
    asked: Any = [{"role": "user", "content": "sure"}, item.to_dict(), answer]
    assert api.responses.create(model="gpt-4o", input=asked).output_text == "Yes, sir"
