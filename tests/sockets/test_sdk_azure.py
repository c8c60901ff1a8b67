"""OpenAI's official client for Azure on a deployment, and the plain one on the v1 API of the same resource: chat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from sockets.raw import ServedSession, make_session

HELLO: Any = [{"role": "user", "content": "Hello!"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
SCENARIO = """
provider: azure
clock: virtual
models: [our-chat, our-vectors]
rules:
  - {when: {last_user: {contains: terrible}}, reply: {error: content_filter}}
  - {when: {last_user: {contains: story}}, reply: {text: Once upon, finish_reason: content_filter}}
  - {when: {last_user: {contains: broken}}, reply: {error: server_error}}
  - when: {last_user: {contains: often}}
    replies: [{error: rate_limited, retry_after: 20ms, times: 1}, {text: Now.}]
  - {when: {tool_result: {content: "21"}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: event}}, reply: {text: '{"name": "Fair", "day": 3}'}}
  - {reply: {text: Hi there my friend!, stream: {split: words}}}
"""


def options(live: ServedSession, **given: Any) -> dict[str, Any]:
    usual = {"azure_endpoint": f"{live.url}/s/{live.id}/azure", "api_key": live.key, "api_version": "2024-10-21"}
    return {**usual, "max_retries": 0, "timeout": 5, **given}


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


@pytest.fixture
def api(live: ServedSession) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(**options(live)) as api:
        yield api


def test_create(api: AzureOpenAI) -> None:
    answer = api.chat.completions.create(model="our-chat", messages=HELLO)
    assert answer.choices[0].message.content == "Hi there my friend!"
    results: Any = answer.choices[0].to_dict()["content_filter_results"]
    assert results["hate"] == {"filtered": False, "severity": "safe"}
    prompt: Any = answer.to_dict()["prompt_filter_results"]
    assert (prompt[0]["prompt_index"], prompt[0]["content_filter_results"]["jailbreak"]["detected"]) == (0, False)


def test_a_client_of_one_deployment(live: ServedSession) -> None:
    with AzureOpenAI(**options(live, azure_deployment="our-chat")) as api:
        answer = api.chat.completions.create(model="whatever", messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == ("our-chat", "Hi there my friend!")


def test_stream(api: AzureOpenAI) -> None:
    first, *chunks = api.chat.completions.create(
        model="our-chat", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert (first.id, first.choices, "prompt_filter_results" in first.to_dict()) == ("", [], True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hi there my friend!"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens > 0


def test_async(live: ServedSession) -> None:
    async def ask() -> list[str | None]:
        async with AsyncAzureOpenAI(**options(live)) as api:
            whole = await api.chat.completions.create(model="our-chat", messages=HELLO)
            stream = await api.chat.completions.create(model="our-chat", messages=HELLO, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            return [whole.choices[0].message.content, "".join(pieces)]

    assert asyncio.run(ask()) == ["Hi there my friend!"] * 2


def test_a_token_is_as_good_as_a_key(live: ServedSession) -> None:
    with AzureOpenAI(**options(live, api_key=None, azure_ad_token_provider=lambda: live.key)) as api:
        assert api.chat.completions.create(model="our-chat", messages=HELLO).choices


def test_a_loop_with_a_tool(api: AzureOpenAI) -> None:
    messages = asked("What is the weather?")
    called = api.chat.completions.create(model="our-chat", messages=messages, tools=[TOOL]).choices[0].message
    assert called.tool_calls
    messages += [called.to_dict(), {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "21"}]
    answer = api.chat.completions.create(model="our-chat", messages=messages, tools=[TOOL])
    assert answer.choices[0].message.content == "It is 21 degrees."


def test_parse(api: AzureOpenAI) -> None:
    class Event(BaseModel):
        name: str
        day: int

    answer = api.chat.completions.parse(model="our-chat", messages=asked("An event?"), response_format=Event)
    assert answer.choices[0].message.parsed == Event(name="Fair", day=3)


def test_what_the_filter_stops(api: AzureOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.chat.completions.create(model="our-chat", messages=asked("Something terrible"))
    error: Any = caught.value.body
    assert (caught.value.code, caught.value.param) == ("content_filter", "prompt")
    assert error["innererror"]["content_filter_result"]["hate"] == {"filtered": True, "severity": "high"}
    for stream in (False, True):
        answer = api.chat.completions.with_raw_response.create(
            model="our-chat", messages=asked("A story"), stream=stream
        )
        assert b'"content_filter_results":{"hate":{"filtered":true' in answer.http_response.read()


@pytest.mark.parametrize(
    ("given", "model", "text", "error", "code"),
    [
        ({"api_key": "invalid"}, "our-chat", "Hello", openai.AuthenticationError, "401"),
        ({"api_version": "0613"}, "our-chat", "Hello", openai.NotFoundError, "404"),
        ({}, "our-chart", "Hello", openai.NotFoundError, "DeploymentNotFound"),
        ({}, "our-chat", "often", openai.RateLimitError, "429"),
        ({}, "our-chat", "broken", openai.InternalServerError, None),
    ],
    ids=["key", "version", "deployment", "limit", "server"],
)
def test_errors_are_mapped(
    given: dict[str, Any], model: str, text: str, error: type[openai.APIStatusError], code: str | None,
    live: ServedSession,
) -> None:  # fmt: skip
    with AzureOpenAI(**options(live, **given)) as api, pytest.raises(error) as caught:
        api.chat.completions.create(model=model, messages=asked(text))
    assert caught.value.code == code
    assert caught.value.response.headers["apim-request-id"]


def test_a_retry_waits_as_many_milliseconds_as_it_is_told(live: ServedSession) -> None:
    with AzureOpenAI(**options(live, max_retries=1)) as api:
        answer = api.chat.completions.create(model="our-chat", messages=asked("How often?"))
    assert answer.choices[0].message.content == "Now."


def test_the_v1_api_with_the_plain_client(live: ServedSession) -> None:
    base_url = f"{live.url}/s/{live.id}/azure/openai/v1/"
    with OpenAI(base_url=base_url, api_key=live.key, max_retries=0, timeout=5) as api:
        answer = api.chat.completions.create(model="our-chat", messages=HELLO)
        assert answer.choices[0].message.content == "Hi there my friend!"
        vectors = api.embeddings.create(model="our-vectors", input=["one", "two"])
        assert [item.index for item in vectors.data] == [0, 1]
        with pytest.raises(openai.NotFoundError, match="does not have it"):
            api.files.list()


def test_embeddings_of_a_deployment(api: AzureOpenAI) -> None:
    assert len(api.embeddings.create(model="our-vectors", input="one").data) == 1
