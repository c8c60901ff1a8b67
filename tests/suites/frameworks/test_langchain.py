"""LangChain's ChatOpenAI."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from .conftest import MODEL, Session


class Place(BaseModel):
    """A place."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"21 degrees in {city}"


@pytest.fixture(params=["chat", "responses"])
def model(request: Any, session: Session) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL, use_responses_api=request.param == "responses", stream_usage=True, max_retries=2, timeout=5
    )


def test_create(model: ChatOpenAI) -> None:
    answer = model.invoke("Hello")
    assert answer.text == "Hi there, my friend!"
    assert answer.usage_metadata


async def test_async(model: ChatOpenAI) -> None:
    assert (await model.ainvoke("Hello")).text == "Hi there, my friend!"


def test_stream(model: ChatOpenAI) -> None:
    chunks = list(model.stream("Hello"))
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hi", " there,", " my", " friend!"]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.usage_metadata


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_loop(model: ChatOpenAI, stream: bool) -> None:
    bound = model.bind_tools([get_weather])
    said: list[Any] = [HumanMessage("What is the weather?")]
    if stream:
        chunks = list(bound.stream(said))
        asked: Any = chunks[0]
        for chunk in chunks[1:]:
            asked += chunk
    else:
        asked = bound.invoke(said)
    [call] = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo"})
    said += [asked, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(said).text == "It is 21 degrees."


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_output(model: ChatOpenAI, method: Any) -> None:
    answer: Any = model.with_structured_output(Place, method=method, include_raw=True).invoke("Where? As JSON.")
    assert method == "json_mode" or isinstance(answer["parsed"], Place), answer


def test_retry(model: ChatOpenAI, session: Session) -> None:
    assert model.invoke("limit").text == "The second try."
    assert session.statuses() == [429, 200]


@pytest.mark.parametrize(("text", "kind"), [("quota", openai.RateLimitError), ("too long", openai.BadRequestError)])
def test_errors(model: ChatOpenAI, text: str, kind: Any) -> None:
    with pytest.raises(kind):
        model.invoke(text)
