"""The tool runner of the official Python SDK; the rest of it is tested in tests/sockets."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib.responses_tool_runner import (
    AsyncRegisteredFunction,
    AsyncResponsesToolRunner,
    RegisteredFunction,
    ResponsesToolRunner,
)

from .conftest import MODEL, Session

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
ASKED: Any = {"model": MODEL, "input": "What is the weather?"}


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner(session: Session, stream: bool) -> None:
    runner = ResponsesToolRunner(functions=[RegisteredFunction(TOOL, lambda given: f"21 in {given['city']}")])
    assert runner.run(OpenAI(), ASKED, stream=stream).output_text == "It is 21 degrees."
    assert session.statuses() == [200, 200]


async def test_the_asynchronous_tool_runner(session: Session) -> None:
    async def weather(given: dict[str, object]) -> str:
        return f"21 in {given['city']}"

    runner = AsyncResponsesToolRunner(functions=[AsyncRegisteredFunction(TOOL, weather)])
    async with AsyncOpenAI() as api:
        assert (await runner.run(api, ASKED)).output_text == "It is 21 degrees."
