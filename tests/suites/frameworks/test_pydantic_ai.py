"""pydantic-ai."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from .conftest import MODEL, Session

MODELS = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}


class Place(BaseModel):
    city: str
    people: int


@pytest.fixture(params=MODELS)
def model(request: Any, session: Session) -> Any:
    return MODELS[request.param](MODEL)


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"21 degrees in {city}"


def test_create(model: Any) -> None:
    answer = Agent(model).run_sync("Hello")
    assert answer.output == "Hi there, my friend!"
    assert answer.usage.output_tokens


def test_stream(model: Any) -> None:
    async def talk() -> list[str]:
        async with Agent(model).run_stream("Hello") as run:
            return [text async for text in run.stream_text(delta=True, debounce_by=None)]

    assert "".join(asyncio.run(talk())) == "Hi there, my friend!"


def test_a_tool_loop(model: Any, session: Session) -> None:
    assert Agent(model, tools=[get_weather]).run_sync("What is the weather?").output == "It is 21 degrees."
    assert session.statuses() == [200, 200]


@pytest.mark.parametrize("form", [ToolOutput, NativeOutput])
def test_structured_output(model: Any, form: Any) -> None:
    assert isinstance(Agent(model, output_type=form(Place)).run_sync("Where?").output, Place)


def test_retry(model: Any, session: Session) -> None:
    assert Agent(model).run_sync("limit").output == "The second try."
    assert session.statuses() == [429, 200]


@pytest.mark.parametrize(("text", "status"), [("quota", 429), ("too long", 400)])
def test_errors(model: Any, text: str, status: int) -> None:
    with pytest.raises(ModelHTTPError) as caught:
        Agent(model).run_sync(text)
    assert caught.value.status_code == status
