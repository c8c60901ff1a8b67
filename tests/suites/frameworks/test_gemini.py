"""LangChain, LiteLLM and pydantic-ai on Gemini's API: models that sign their calls, and models that do not."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from .conftest import ROOT, SCENARIO, control

RULES = SCENARIO.replace("provider: openai", "provider: gemini").replace("context_exceeded", "invalid_request")
MODELS = ["gemini-2.5-flash", "gemini-3.8-flash"]
HI, WARM = "Hi there, my friend!", "It is 21 degrees."
ASKED = "What is the weather in Oslo?"
FUNCTION = {
    "name": "get_weather", "description": "The weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}  # fmt: skip


class Place(BaseModel):
    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"21 in {city}"


@pytest.fixture
def place() -> dict[str, str]:
    """Return where a session is, and its key."""
    made = control("POST", "/sessions", {"scenario": RULES})
    return {"base_url": f"{ROOT}/s/{made['id']}/gemini", "api_key": made["api_key"]}


@pytest.mark.parametrize("model", MODELS)
def test_langchain(place: dict[str, str], model: str) -> None:
    llm = ChatGoogleGenerativeAI(model=model, **place)
    assert llm.invoke("Hello").text == HI
    assert "".join(chunk.text for chunk in llm.stream("Hello")) == HI
    with_tools = llm.bind_tools([get_weather])
    whole, streamed = with_tools.invoke(ASKED), None
    for chunk in with_tools.stream(ASKED):
        streamed = chunk if streamed is None else streamed + chunk
    for called in (whole, streamed):
        assert called is not None
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", {"city": "Oslo"})]
        result = ToolMessage("21", tool_call_id=called.tool_calls[0]["id"])
        assert with_tools.invoke([HumanMessage(ASKED), called, result]).text == WARM
    for method in ("json_schema", "function_calling"):
        assert isinstance(llm.with_structured_output(Place, method=method).invoke("A place"), Place)
    assert llm.get_num_tokens("hello there")


def test_langchain_embeds(place: dict[str, str]) -> None:
    made = GoogleGenerativeAIEmbeddings(model="gemini-embedding-001", **place).embed_documents(["a", "b"])
    assert [len(vector) for vector in made] == [3072, 3072]


@pytest.mark.parametrize("model", MODELS)
def test_litellm(place: dict[str, str], model: str) -> None:
    where: dict[str, Any] = {
        "model": f"gemini/{model}", "api_base": f"{place['base_url']}/v1beta", "api_key": place["api_key"],
    }  # fmt: skip
    said = [{"role": "user", "content": "Hello"}]
    assert litellm.completion(messages=said, **where).choices[0].message.content == HI
    chunks = litellm.completion(messages=said, stream=True, **where)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == HI
    talk: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]
    tools = [{"type": "function", "function": FUNCTION}]
    message = litellm.completion(messages=talk, tools=tools, **where).choices[0].message
    talk += [message.model_dump(), {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21"}]
    assert litellm.completion(messages=talk, tools=tools, **where).choices[0].message.content == WARM
    made = litellm.completion(messages=[{"role": "user", "content": "x"}], response_format=Place, **where)
    assert Place.model_validate_json(made.choices[0].message.content)
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(messages=[{"role": "user", "content": "quota"}], num_retries=0, **where)


@pytest.mark.parametrize("name", MODELS)
async def test_pydantic_ai(place: dict[str, str], name: str) -> None:
    model = GoogleModel(name, provider=GoogleProvider(**place))
    assert (await Agent(model).run("Hello")).output == HI
    agent = Agent(model)
    agent.tool_plain(lambda city: f"21 in {city}", name="get_weather")
    assert (await agent.run(ASKED)).output == WARM
    for output in (Place, NativeOutput(Place)):
        assert isinstance((await Agent(model, output_type=output).run("A place")).output, Place)
    async with Agent(model).run_stream("Hello") as answer:
        assert "".join([part async for part in answer.stream_text(delta=True)]) == HI
