"""The OpenAI Agents SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from .conftest import MODEL, Session

set_tracing_disabled(True)
MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


class Place(BaseModel):
    city: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"21 degrees in {city}"


@pytest.fixture(params=MODELS)
def model(request: Any, session: Session) -> Any:
    return MODELS[request.param](model=MODEL, openai_client=AsyncOpenAI(max_retries=2, timeout=5))


def test_create(model: Any) -> None:
    assert Runner.run_sync(Agent(name="a", model=model), "Hello").final_output == "Hi there, my friend!"


def test_stream(model: Any) -> None:
    async def talk() -> list[str]:
        run = Runner.run_streamed(Agent(name="a", model=model), "Hello")
        events = [event async for event in run.stream_events()]
        raw = [event.data for event in events if event.type == "raw_response_event"]
        assert run.final_output == "Hi there, my friend!"
        return [event.delta for event in raw if event.type == "response.output_text.delta"]

    assert asyncio.run(talk()) == ["Hi", " there,", " my", " friend!"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_loop(model: Any, session: Session, stream: bool) -> None:
    agent = Agent(name="a", model=model, tools=[get_weather])

    async def talk() -> Any:
        if not stream:
            return (await Runner.run(agent, "What is the weather?")).final_output
        run = Runner.run_streamed(agent, "What is the weather?")
        _ = [event async for event in run.stream_events()]
        return run.final_output

    assert asyncio.run(talk()) == "It is 21 degrees."
    assert session.statuses() == [200, 200]


def test_a_loop_that_goes_on_from_the_last_answer(session: Session) -> None:
    model = OpenAIResponsesModel(model=MODEL, openai_client=AsyncOpenAI())
    agent = Agent(name="a", model=model, tools=[get_weather])
    first = Runner.run_sync(agent, "What is the weather?", auto_previous_response_id=True)
    assert first.final_output == "It is 21 degrees."
    second = Runner.run_sync(agent, "Hello", previous_response_id=first.last_response_id)
    assert second.final_output == "Hi there, my friend!"


def test_structured_output(model: Any) -> None:
    answer = Runner.run_sync(Agent(name="a", model=model, output_type=Place), "Where?")
    assert isinstance(answer.final_output, Place)


def test_a_handoff(model: Any) -> None:
    other = Agent(name="Other", model=model)
    first = Agent(name="a", model=model, handoffs=[other], model_settings=ModelSettings(tool_choice="required"))
    answer = Runner.run_sync(first, "Please hand over.", run_config=RunConfig())
    assert answer.last_agent.name == "Other"


def test_retry(model: Any, session: Session) -> None:
    assert Runner.run_sync(Agent(name="a", model=model), "limit").final_output == "The second try."
    assert session.statuses() == [429, 200]


@pytest.mark.parametrize(("text", "kind"), [("quota", openai.RateLimitError), ("too long", openai.BadRequestError)])
def test_errors(model: Any, text: str, kind: Any) -> None:
    with pytest.raises(kind):
        Runner.run_sync(Agent(name="a", model=model), text)
