"""The official Python client on Ollama's API: whole, streamed, tools, schemas, thoughts, errors, broken streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from pydantic import BaseModel

from sockets.raw import ServedSession, make_session

if not os.environ.get("CI"):
    pytest.importorskip("ollama")
import httpx
from ollama import AsyncClient, ChatResponse, Client, ResponseError

MODEL = "llama3.2"
SCENARIO = """
provider: ollama
rules:
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - when: {last_user: {contains: busy}}
    replies: [{error: model_unavailable}, {text: Here again.}]
  - when: {last_user: {contains: fails}}
    reply:
      {text: One two three., stream: {split: words}, faults: [{error_event: {error: server_error, after_chunks: 2}}]}
  - when: {last_user: {contains: breaks}}
    reply: {text: One two three., stream: {split: words}, faults: [{cut: {after_pieces: 2, how: reset}}]}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: It is 21 degrees.}
  - when: {last_user: {contains: weather}, tool_result: {absent: true}}
    reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_weather, arguments: {city: Rome}}]}
  - {when: {body: {"$.format": {present: true}}}, reply: {text: {name: Ada, age: 36}}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}}}
"""


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


@pytest.fixture
def api(live: ServedSession) -> Iterator[Client]:
    with Client(host(live), trust_env=False) as api:
        yield api


def host(live: ServedSession) -> str:
    return f"{live.url}/s/{live.id}/ollama"


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def get_weather(city: str) -> str:
    """Return the weather of a city.

    Args:
      city: its name
    """
    return f"21 degrees in {city}"


def test_chat(api: Client) -> None:
    answer = api.chat(MODEL, says("Hello!"))
    assert (answer.message.role, answer.message.content) == ("assistant", "Hi there, my friend!")
    assert (answer.model, answer.done, answer.done_reason, answer.message.tool_calls) == (MODEL, True, "stop", None)
    assert answer.total_duration == sum(
        taken or 0 for taken in (answer.load_duration, answer.prompt_eval_duration, answer.eval_duration)
    )
    assert (answer.prompt_eval_count, answer.eval_count) == (9, 6)


def test_options_cut_the_answer(api: Client) -> None:
    answer = api.chat(MODEL, says("Hello!"), options={"num_predict": 2, "temperature": 0})
    assert (answer.message.content, answer.done_reason, answer.eval_count) == ("Hi there", "length", 2)


def test_stream(api: Client) -> None:
    parts = list(api.chat(MODEL, says("Hello!"), stream=True))
    assert [part.message.content for part in parts] == ["Hi", " there,", " my", " friend!", ""]
    assert [part.done for part in parts] == [False] * 4 + [True]
    assert [part.eval_count for part in parts] == [None] * 4 + [6]


def test_async(live: ServedSession) -> None:
    async def run() -> list[str | None]:
        async with AsyncClient(host(live), trust_env=False) as api:
            whole = await api.chat(MODEL, says("Hello!"))
            streamed = await api.chat(MODEL, says("Hello!"), stream=True)
            return [whole.message.content, "".join([part.message.content or "" async for part in streamed])]

    assert asyncio.run(run()) == ["Hi there, my friend!"] * 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools(api: Client, stream: bool) -> None:
    messages: list[Any] = [*says("The weather?")]
    for _ in range(2):
        got = api.chat(MODEL, messages, tools=[get_weather], stream=stream)  # type: ignore[call-overload]
        answers: list[ChatResponse] = list(got) if stream else [got]
        calls = [call for answer in answers for call in answer.message.tool_calls or ()]
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        for call in calls:
            said = get_weather(**call.function.arguments)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": said})
    called = [item for message in messages for item in message.get("tool_calls", ())]
    assert [(call.function.name, call.function.arguments) for call in called] == [
        ("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"}),
    ]  # fmt: skip
    assert "".join(answer.message.content or "" for answer in answers) == "It is 21 degrees."


class Person(BaseModel):
    name: str
    age: int


def test_a_schema_is_kept_to(api: Client) -> None:
    answer = api.chat(MODEL, says("Who?"), format=Person.model_json_schema())
    assert Person.model_validate_json(answer.message.content or "") == Person(name="Ada", age=36)


def test_thinking(api: Client) -> None:
    told = [api.chat("qwen3", says("think"), think=asked).message.thinking for asked in (None, True, "low", False)]
    assert told == ["Hm, well."] * 3 + [None]
    parts = list(api.chat("qwen3", says("think"), think=True, stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == "Hm, well."
    assert "".join(part.message.content or "" for part in parts) == "Yes."


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({"think": True}, 400, '"llama3.2" does not support thinking'),
        ({"model": "nomic-embed-text"}, 400, '"nomic-embed-text" does not support chat'),
        ({"messages": says("busy")}, 503, "server busy, please try again.  maximum pending requests exceeded"),
    ],
    ids=["model", "think", "no-chat", "busy"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_errors(api: Client, stream: bool, asked: dict[str, Any], status: int, message: str) -> None:
    given: dict[str, Any] = {"model": MODEL, "messages": says("Hello!"), "stream": stream} | asked
    with pytest.raises(ResponseError) as found:
        list(api.chat(**given))
    assert (found.value.status_code, found.value.error) == (status, message)


def test_an_error_midway_is_raised(api: Client) -> None:
    parts = api.chat(MODEL, says("fails"), stream=True)
    assert [next(parts).message.content, next(parts).message.content] == ["One", " two"]
    with pytest.raises(ResponseError, match="the model failed to generate a response"):
        next(parts)


def test_a_broken_stream_is_raised(api: Client) -> None:
    parts = api.chat(MODEL, says("breaks"), stream=True)
    assert [next(parts).message.content, next(parts).message.content] == ["One", " two"]
    with pytest.raises(httpx.TransportError):
        next(parts)


def test_generate(api: Client) -> None:
    answer = api.generate("qwen3", "Just think.", system="Be brief.")
    assert (answer.response, answer.thinking, answer.done_reason) == ("Yes.", "Hm, well.", "stop")
    parts = list(api.generate(MODEL, "Hello!", stream=True))
    assert [part.response for part in parts] == ["Hi", " there,", " my", " friend!", ""]


def test_embed(api: Client) -> None:
    several = api.embed("nomic-embed-text", ["One", "Two", "One"], dimensions=8)
    assert [len(vector) for vector in several.embeddings] == [8, 8, 8]
    assert several.embeddings[0] == several.embeddings[2] != several.embeddings[1]
    assert [len(api.embed("all-minilm", "One").embeddings[0]), len(api.embeddings("all-minilm", "One").embedding)] == [
        384
    ] * 2


def test_models(api: Client) -> None:
    names = [model.model for model in api.list().models]
    assert "llama3.2:latest" in names
    assert "llama3.2" not in names
    assert "thinking" in (api.show("qwen3").capabilities or ())
    assert list(api.ps().models) == []
    with pytest.raises(ResponseError, match="model 'nobody' not found") as found:
        api.show("nobody")
    assert found.value.status_code == 404


def test_openais_sdk_on_the_other_side(live: ServedSession) -> None:
    messages: Any = says("Just think.")
    with OpenAI(base_url=f"{host(live)}/v1", api_key="ollama", max_retries=0) as openai:
        whole = openai.chat.completions.create(model="qwen3", messages=messages)
        message = whole.choices[0].message.model_dump()
        assert (message["content"], message["reasoning"], whole.system_fingerprint) == (
            "Yes.",
            "Hm, well.",
            "fp_ollama",
        )
        chunks = list(openai.chat.completions.create(model=MODEL, messages=messages, stream=True))
        assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Yes."
        assert next(iter(openai.models.list())).id == openai.models.retrieve("llama3.2:latest").id
        vector = openai.embeddings.create(model="nomic-embed-text", input="One").data[0].embedding
        assert len(vector) == 768
        with pytest.raises(NotFoundError) as found:
            openai.chat.completions.create(model="nobody", messages=messages)
    assert found.value.body == {
        "message": "model 'nobody' not found", "type": "not_found_error", "param": None, "code": None,
    }  # fmt: skip


def test_a_path_that_is_left_out_says_so(api: Client) -> None:
    with pytest.raises(ResponseError, match="is part of Ollama's API, but this emulator does not have it"):
        api.pull(MODEL)
