"""LiteLLM."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest
from pydantic import BaseModel

from .conftest import MODEL, Session

NAME = f"openai/{MODEL}"
HI = "Hi there, my friend!"
PARAMETERS = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
TOOL = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}


class Place(BaseModel):
    city: str
    people: int


def chat(text: str, **more: Any) -> Any:
    return litellm.completion(model=NAME, messages=[{"role": "user", "content": text}], **more)


def test_create(session: Session) -> None:
    answer = chat("Hello")
    assert answer.choices[0].message.content == HI
    assert answer.usage.total_tokens
    told: Any = litellm.responses(model=NAME, input="Hello")
    assert told.output_text == HI
    assert [exchange["operation"] for exchange in session.journal()] == ["chat", "responses"]


def test_stream(session: Session) -> None:
    texts = [chunk.choices[0].delta.content for chunk in chat("Hello", stream=True)]
    assert "".join(text or "" for text in texts) == HI
    events: Any = litellm.responses(model=NAME, input="Hello", stream=True)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == HI


def test_a_tool_loop(session: Session) -> None:
    asked = chat("What is the weather?", tools=[CHAT_TOOL]).choices[0].message
    [call] = asked.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    said = [
        {"role": "user", "content": "What is the weather?"}, asked.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "21"},
    ]  # fmt: skip
    told = litellm.completion(model=NAME, messages=said, tools=[CHAT_TOOL])
    assert told.choices[0].message.content == "It is 21 degrees."


def test_a_tool_loop_of_responses(session: Session) -> None:
    asked: Any = litellm.responses(model=NAME, input="What is the weather?", tools=[TOOL])
    [call] = [item for item in asked.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "21"}
    told: Any = litellm.responses(model=NAME, input=[output], previous_response_id=asked.id, tools=[TOOL])
    assert told.output_text == "It is 21 degrees."


def test_structured_output(session: Session) -> None:
    answer = chat("Where?", response_format=Place)
    assert Place.model_validate_json(answer.choices[0].message.content)
    told: Any = litellm.responses(model=NAME, input="Where?", text_format=Place)
    assert Place.model_validate_json(told.output_text)


def test_retry(session: Session) -> None:
    assert chat("limit", num_retries=2).choices[0].message.content == "The second try."
    assert session.statuses() == [429, 200]


@pytest.mark.parametrize(
    ("text", "kind"), [("quota", litellm.RateLimitError), ("too long", litellm.ContextWindowExceededError)]
)
def test_errors(session: Session, text: str, kind: Any) -> None:
    with pytest.raises(kind):
        chat(text, num_retries=0, max_retries=0)
    with pytest.raises(kind):
        litellm.responses(model=NAME, input=text, max_retries=0)


def test_embeddings(session: Session) -> None:
    assert len(litellm.embedding(model="text-embedding-3-small", input=["a"]).data[0]["embedding"]) == 1536
