"""The official Python SDK on Gemini's API: whole, streamed, functions, schemas, thoughts, errors, retries."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from sockets.raw import ServedSession, make_session

if not os.environ.get("CI"):
    pytest.importorskip("google.genai")
from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
SIGNS = "gemini-3.8-flash"
SCENARIO = """
provider: gemini
clock: virtual
rules:
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - {when: {last_user: {contains: quota}}, reply: {error: quota_exhausted, retry_after: 9}}
  - when: {last_user: {contains: busy}}
    replies: [{error: model_unavailable, times: 2}, {text: Here again.}]
  - when: {last_user: {contains: broken}}
    reply:
      {text: One two three., stream: {split: words}, faults: [{error_event: {error: server_error, after_chunks: 2}}]}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: It is 21 degrees.}
  - when: {last_user: {contains: weather}, tool_result: {absent: true}}
    reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_weather, arguments: {city: Rome}}]}
  - {when: {body: {"$.generationConfig.responseMimeType": application/json}}, reply: {text: {name: Ada, age: 36}}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}}}
"""


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


def client(live: ServedSession, **options: Any) -> genai.Client:
    base_url = f"{live.url}/s/{live.id}/gemini"
    return genai.Client(api_key=live.key, http_options=types.HttpOptions(base_url=base_url, **options))


@pytest.fixture
def api(live: ServedSession) -> Iterator[genai.Client]:
    with client(live) as api:
        yield api


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_generate(live: ServedSession, version: str) -> None:
    with client(live, api_version=version) as api:
        answer = api.models.generate_content(model=MODEL, contents="Hello!")
    assert answer.candidates
    assert answer.usage_metadata
    assert answer.text == "Hi there, my friend!"
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODEL
    usage = answer.usage_metadata
    assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0)


def test_stream(api: genai.Client) -> None:
    chunks = list(api.models.generate_content_stream(model=MODEL, contents="Hello!"))
    assert [chunk.text for chunk in chunks] == ["Hi", " there,", " my", " friend!", ""]
    told = [chunk.usage_metadata.candidates_token_count for chunk in chunks if chunk.usage_metadata]
    assert told == [1, 3, 4, 6, 6]
    assert len({chunk.response_id for chunk in chunks}) == 1
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert reasons == [None, None, None, None, types.FinishReason.STOP]


def test_async(live: ServedSession) -> None:
    async def run() -> list[str]:
        async with client(live).aio as api:
            whole = await api.models.generate_content(model=MODEL, contents="Hello!")
            parts = [
                chunk.text or ""
                async for chunk in await api.models.generate_content_stream(model=MODEL, contents="Hello!")
            ]
            return [whole.text or "", "".join(parts)]

    assert asyncio.run(run()) == ["Hi there, my friend!"] * 2


@pytest.mark.parametrize("model", [MODEL, SIGNS])
def test_functions_that_the_sdk_calls(api: genai.Client, model: str) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> dict[str, int]:
        """Return the weather of a city."""
        asked.append(city)
        return {"temp_c": 21}

    chat = api.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    assert chat.send_message("How is the weather?").text == "It is 21 degrees."
    assert asked == ["Oslo", "Rome"]
    signatures = [
        part.thought_signature for item in chat.get_history() for part in item.parts or [] if part.function_call
    ]
    assert [bool(given) for given in signatures] == [model == SIGNS, False]


def test_a_signature_must_come_back(api: genai.Client) -> None:
    call = types.Part(function_call=types.FunctionCall(name="get_weather", args={"city": "Oslo"}))
    result = types.Part.from_function_response(name="get_weather", response={"temp_c": 21})
    talk: Any = [
        types.Content(role="user", parts=[types.Part(text="How is the weather?")]),
        types.Content(role="model", parts=[call]),
        types.Content(role="user", parts=[result]),
    ]
    with pytest.raises(errors.ClientError, match="missing a thought_signature"):
        api.models.generate_content(model=SIGNS, contents=talk)
    assert api.models.generate_content(model=MODEL, contents=talk).text == "It is 21 degrees."


def test_a_schema_is_asked_for(api: genai.Client) -> None:
    class Person(BaseModel):
        name: str
        age: int

    for asked in ({"response_schema": Person}, {"response_json_schema": Person.model_json_schema()}):
        config = types.GenerateContentConfig(response_mime_type="application/json", **asked)  # type: ignore[arg-type]
        answer = api.models.generate_content(model=MODEL, contents="Who?", config=config)
        assert json.loads(answer.text or "") == {"name": "Ada", "age": 36}


def test_thoughts(api: genai.Client) -> None:
    shown = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=100)
    )
    for config, wanted in ((shown, [("Hm, well.", True), ("Yes.", None)]), (None, [("Yes.", None)])):
        answer = api.models.generate_content(model=MODEL, contents="Please think.", config=config)
        assert answer.parts
        assert answer.usage_metadata
        assert [(part.text, part.thought) for part in answer.parts] == wanted
        assert answer.usage_metadata.thoughts_token_count == 4


def test_the_neighbours(api: genai.Client) -> None:
    assert api.models.count_tokens(model=MODEL, contents="One two three.").total_tokens == 11
    found = api.models.embed_content(model="gemini-embedding-001", contents=["a", "b", "a"])
    vectors = [item.values for item in found.embeddings or []]
    assert [len(values or []) for values in vectors] == [3072] * 3
    assert vectors[0] == vectors[2] != vectors[1]
    config = types.EmbedContentConfig(output_dimensionality=128)
    [short] = api.models.embed_content(model="gemini-embedding-001", contents="a", config=config).embeddings or []
    assert len(short.values or []) == 128
    names = [model.name for model in api.models.list(config={"page_size": 3})]
    assert len(names) == len(set(names)) > 3
    assert f"models/{MODEL}" in names
    assert api.models.get(model=MODEL).input_token_limit == 1_048_576


def test_errors(api: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        api.models.generate_content(model="gemini-0", contents="Hello!")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError) as caught:
        api.models.generate_content(model=MODEL, contents="My quota?")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    told = [item["retryDelay"] for item in caught.value.details["error"]["details"] if "retryDelay" in item]
    assert told == ["9s"]
    with pytest.raises(errors.ClientError, match="must be at most 2"):
        api.models.generate_content(model=MODEL, contents="Hello!", config={"temperature": 3})


def test_a_wrong_key_is_400(live: ServedSession) -> None:
    base_url = f"{live.url}/s/{live.id}/gemini"
    options = types.HttpOptions(base_url=base_url)
    with genai.Client(api_key="AIza-invalid", http_options=options) as api, pytest.raises(errors.ClientError) as caught:
        api.models.generate_content(model=MODEL, contents="Hello!")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")
def test_a_503_is_tried_again_where_retries_are_asked_for(live: ServedSession) -> None:
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02)
    with client(live, retry_options=retries) as api:
        assert api.models.generate_content(model=MODEL, contents="Are you busy?").text == "Here again."
    assert [row["response"]["status"] for row in live.journal()] == [503, 503, 200]


def test_an_error_in_the_middle_of_a_stream(api: genai.Client) -> None:
    heard: list[str | None] = []
    with pytest.raises(errors.ServerError) as caught:
        heard += (chunk.text for chunk in api.models.generate_content_stream(model=MODEL, contents="broken"))
    assert (caught.value.code, caught.value.status) == (500, "INTERNAL")


def test_a_stream_without_sse_is_an_array(live: ServedSession) -> None:
    url = f"{live.url}/s/{live.id}/gemini/v1beta/models/{MODEL}:streamGenerateContent?key={live.key}"
    body = json.dumps({"contents": [{"parts": [{"text": "Hello!"}]}]}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})) as answer:
        assert answer.headers["content-type"] == "application/json"
        chunks = json.load(answer)
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert texts == ["Hi", " there,", " my", " friend!", ""]
    assert [row["finish_reason"] for row in [live.journal()[-1]["response"]]] == ["stop"]
