"""The official Python SDK, sync and async, against all providers, as far as each documents the feature."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from sockets.clients import openai_client as client
from sockets.raw import ServedSession, make_session

PROVIDERS = ("openai", "braintwin", "brainstormrouter", "brivionix", "beatra")
MODELS = {
    "openai": "gpt-4.1",
    "braintwin": "gpt-4",
    "brainstormrouter": "claude-opus-4-6",
    "brivionix": "gpt-5.4-mini",
    "beatra": "auto",
}
HELLO: Any = [{"role": "user", "content": "Hello!"}]
IMAGE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/image.jpg"}},
        ],
    }
]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
GREETING = """
rules:
  - reply: {text: "Hi there, my friend!", stream: {split: words}}
"""


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def greeting(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, GREETING)


@pytest.fixture
def plain(emulator_url: str) -> ServedSession:
    return make_session(emulator_url)


def test_create(greeting: ServedSession, provider: str) -> None:
    with client(greeting, provider) as api:
        answer = api.chat.completions.create(model=MODELS[provider], messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.model == ("beatra-1" if provider == "beatra" else MODELS[provider])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hi there, my friend!", "stop")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream(greeting: ServedSession, provider: str) -> None:
    with client(greeting, provider) as api:
        stream = api.chat.completions.create(model=MODELS[provider], messages=HELLO, stream=True)
        chunks = list(stream)
    assert [chunk.choices[0].delta.content or None for chunk in chunks] == [
        None,
        "Hi",
        " there,",
        " my",
        " friend!",
        None,
    ]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_with_usage(greeting: ServedSession, provider: str) -> None:
    with client(greeting, provider) as api:
        whole = api.chat.completions.create(model=MODELS[provider], messages=HELLO)
        chunks = list(
            api.chat.completions.create(
                model=MODELS[provider], messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_helper_gathers_the_answer(greeting: ServedSession, provider: str) -> None:
    with client(greeting, provider) as api:
        with api.chat.completions.stream(model=MODELS[provider], messages=HELLO) as stream:
            texts = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        assert texts == ["Hi", " there,", " my", " friend!"]
        assert stream.get_final_completion().choices[0].message.content == "Hi there, my friend!"


def test_async(greeting: ServedSession, provider: str) -> None:
    async def talk() -> tuple[str | None, list[str]]:
        base_url = f"{greeting.url}/s/{greeting.id}/{provider}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key=greeting.key, max_retries=0, timeout=5) as api:
            one, two = await asyncio.gather(
                *(api.chat.completions.create(model=MODELS[provider], messages=HELLO) for _ in range(2))
            )
            assert one.choices == two.choices
            stream = await api.chat.completions.create(model=MODELS[provider], messages=HELLO, stream=True)
            texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
            with pytest.raises(openai.BadRequestError):
                await api.chat.completions.create(model=MODELS[provider], messages=HELLO, temperature="hot")
            return one.choices[0].message.content, texts

    text, texts = asyncio.run(talk())
    assert text == "".join(texts) == "Hi there, my friend!"


# Tools, images, structured output


@pytest.mark.parametrize("provider", ["openai", "brainstormrouter", "brivionix"], indirect=True)
def test_tool_round_trip(plain: ServedSession, provider: str) -> None:
    with client(plain, provider) as api:
        asked: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
        first = api.chat.completions.create(model=MODELS[provider], messages=asked, tools=[WEATHER])
        assert first.choices[0].finish_reason == "tool_calls"
        (call,) = first.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        asked += [
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": '{"temp_c": 21}'},
        ]
        second = api.chat.completions.create(model=MODELS[provider], messages=asked, tools=[WEATHER])
    assert (second.choices[0].finish_reason, second.choices[0].message.tool_calls) == ("stop", None)
    assert second.choices[0].message.content


@pytest.mark.parametrize("provider", ["openai", "brainstormrouter", "brivionix"], indirect=True)
def test_tools_streamed_in_fragments(emulator_url: str, provider: str) -> None:
    calls = "[{name: get_weather, arguments: {city: Paris, days: 3}}, {name: get_weather, arguments: {city: Oslo}}]"
    live = make_session(emulator_url, f"rules: [{{reply: {{tool_calls: {calls}, stream: {{split: 4}}}}}}]")
    with client(live, provider) as api:
        whole = api.chat.completions.create(model=MODELS[provider], messages=HELLO, tools=[WEATHER])
        stream = api.chat.completions.create(model=MODELS[provider], messages=HELLO, tools=[WEATHER], stream=True)
        arguments, names, fragments = ["", ""], [], 0
        for chunk in stream:
            for part in chunk.choices[0].delta.tool_calls or []:
                assert part.function
                if part.id:
                    names.append(part.function.name)
                arguments[part.index] += part.function.arguments or ""
                fragments += 1
    expected = [call.function.arguments for call in whole.choices[0].message.tool_calls or []]  # type: ignore[union-attr]
    assert arguments == expected == ['{"city":"Paris","days":3}', '{"city":"Oslo"}']
    assert names == ["get_weather", "get_weather"]
    assert fragments > 6


def test_an_image_is_taken_where_documented(plain: ServedSession) -> None:
    with client(plain, "brivionix") as api:
        answer = api.chat.completions.create(model="gpt-5.4-mini", messages=IMAGE)
        text_only = api.chat.completions.create(model="gpt-5.4-mini", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage
    assert text_only.usage
    assert answer.usage.prompt_tokens > text_only.usage.prompt_tokens + 85


def test_an_image_is_refused_where_content_is_a_string(plain: ServedSession) -> None:
    with client(plain, "beatra") as api, pytest.raises(openai.BadRequestError) as caught:
        api.chat.completions.create(model="auto", messages=IMAGE)
    assert caught.value.code == "invalid_request"
    assert isinstance(caught.value.body, dict)
    assert "messages" in json.dumps(caught.value.body["details"])


def test_structured_output(plain: ServedSession, provider: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    with client(plain, provider) as api:
        answer = api.chat.completions.create(
            model=MODELS[provider], messages=HELLO, response_format=form, max_tokens=500
        )
    value = json.loads(answer.choices[0].message.content or "")
    assert set(value) == {"name", "age"}
    assert (type(value["name"]), type(value["age"]), value["age"] >= 0) == (str, int, True)


def test_seed_is_reproducible(plain: ServedSession) -> None:
    with client(plain, "brivionix") as api:
        answers = [
            api.chat.completions.create(model="gpt-5.4-mini", messages=HELLO, seed=seed).choices[0].message.content
            for seed in (7, 7)
        ]
    assert answers[0] == answers[1]


# Errors


def refusal(live: ServedSession, provider: str, **fields: Any) -> openai.APIStatusError:
    with client(live, provider) as api, pytest.raises(openai.APIStatusError) as caught:
        api.chat.completions.create(**{"model": MODELS[provider], "messages": HELLO, **fields})
    return caught.value


def test_a_wrong_field_is_a_bad_request(plain: ServedSession, provider: str) -> None:
    error = refusal(plain, provider, temperature="hot")
    assert type(error) is openai.BadRequestError
    assert "temperature" in error.response.text
    assert error.response.headers["x-emulator-rule"] == "refused"


def test_a_wrong_key_is_an_authentication_error(plain: ServedSession, provider: str) -> None:
    with client(plain, provider, api_key="sk-wrong") as api, pytest.raises(openai.AuthenticationError):
        api.chat.completions.create(model=MODELS[provider], messages=HELLO)


def test_an_unknown_path_is_not_found(plain: ServedSession, provider: str) -> None:
    with client(plain, provider) as api, pytest.raises(openai.NotFoundError):
        api.completions.create(model=MODELS[provider], prompt="hi")


def test_a_miss_is_not_found_and_not_retried(emulator_url: str, provider: str) -> None:
    live = make_session(emulator_url, "rules: [{when: {last_user: other}, reply: {text: x}}]")
    with client(live, provider, max_retries=3) as api, pytest.raises(openai.NotFoundError, match="session:2"):
        api.chat.completions.create(model=MODELS[provider], messages=HELLO)
    assert len(live.journal()) == 1


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("rate_limited", openai.RateLimitError, 429),
        ("server_error", openai.InternalServerError, 500),
        ("model_unavailable", openai.InternalServerError, 503),
        ("timeout", openai.InternalServerError, 504),
        ("unauthorized", openai.AuthenticationError, 401),
        ("not_found", openai.NotFoundError, 404),
        ("invalid_request", openai.BadRequestError, 400),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_scripted_errors(
    emulator_url: str, provider: str, name: str, kind: type[Exception], status: int, stream: bool
) -> None:
    live = make_session(emulator_url, f"rules: [{{reply: {{error: {{name: {name}, message: As asked.}}}}}}]")
    error = refusal(live, provider, stream=stream)
    assert (type(error), error.status_code) == (kind, status)
    assert "As asked." in str(error)


def test_a_plan_that_is_used_up(emulator_url: str, provider: str) -> None:
    live = make_session(emulator_url, GREETING, plan={"requests_per_minute": 1})
    with client(live, provider) as api:
        api.chat.completions.create(model=MODELS[provider], messages=HELLO)
        with pytest.raises(openai.RateLimitError):
            api.chat.completions.create(model=MODELS[provider], messages=HELLO)


def test_idempotency_errors(emulator_url: str) -> None:
    live = make_session(
        emulator_url, "rules: [{reply: {text: a b, stream: {split: words, ttft: 10s}}}]", clock="virtual"
    )
    live.clock(hold=True)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    ask: dict[str, Any] = {"model": "auto", "messages": HELLO, "extra_headers": headers}
    with client(live, "beatra") as api:
        stream = api.chat.completions.create(**ask, stream=True)
        with pytest.raises(openai.ConflictError):
            api.chat.completions.create(**ask, stream=True)
        live.clock(release=True)
        first = [chunk.model_dump() for chunk in stream]
        with pytest.raises(openai.UnprocessableEntityError):
            api.chat.completions.create(**ask, temperature=0.5)
        again = api.chat.completions.with_raw_response.create(**ask, stream=True)
        assert again.headers["x-emulator-replayed"] == "true"
        assert [chunk.model_dump() for chunk in again.parse()] == first


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the SDK would have waited before it tried again: it does so at once."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_sdk_retries_after_a_429(emulator_url: str, provider: str, stream: bool, slept: list[float]) -> None:
    live = make_session(
        emulator_url, "rules: [{replies: [{error: rate_limited, retry_after: 0.01}, {text: second try}]}]"
    )
    with client(live, provider, max_retries=2) as api:
        if stream:
            found = list(api.chat.completions.create(model=MODELS[provider], messages=HELLO, stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in found) == "second try"
        else:
            answer = api.chat.completions.create(model=MODELS[provider], messages=HELLO)
            assert answer.choices[0].message.content == "second try"
    first, second = live.journal()
    assert (first["response"]["status"], second["response"]["status"]) == (429, 200)
    assert slept == [float(first["response"]["headers"]["retry-after"])]


def test_a_stream_that_is_cut(emulator_url: str, provider: str) -> None:
    live = make_session(
        emulator_url, "rules: [{reply: {text: a b c, stream: {split: words}, faults: [{cut: {after_chunks: 3}}]}}]"
    )
    pieces: list[str | None] = []
    with client(live, provider, max_retries=2) as api:
        stream = api.chat.completions.create(model=MODELS[provider], messages=HELLO, stream=True)
        with pytest.raises(openai.APIConnectionError):
            pieces.extend(chunk.choices[0].delta.content or None for chunk in stream)
    assert pieces == [None, "a", " b"]
    assert len(live.journal()) == 1


def test_a_whole_answer_that_is_cut(emulator_url: str, provider: str, slept: list[float]) -> None:
    live = make_session(emulator_url, "rules: [{reply: {text: a, faults: [{cut: {after_bytes: 9}}]}}]")
    with client(live, provider, max_retries=1) as api, pytest.raises(openai.APIConnectionError):
        api.chat.completions.create(model=MODELS[provider], messages=HELLO)
    assert (len(live.journal()), len(slept)) == (2, 1)


def test_a_silent_server_times_the_client_out(emulator_url: str, provider: str) -> None:
    live = make_session(emulator_url, "rules: [{reply: {text: a, latency: forever}}]")
    with client(live, provider, timeout=0.2) as api, pytest.raises(openai.APITimeoutError):
        api.chat.completions.create(model=MODELS[provider], messages=HELLO)
    assert live.ended()["sent"]["end"] == "client_left"


# Other operations


def test_embeddings(plain: ServedSession) -> None:
    with client(plain, "brainstormrouter") as api:
        packed = api.embeddings.create(model="auto", input=["one", "two"])  # the SDK asks for base64
        floats = api.embeddings.create(model="auto", input="one", encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    assert packed.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert sum(number * number for number in floats.data[0].embedding) == pytest.approx(1)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert floats.usage.total_tokens == floats.usage.prompt_tokens > 0
    bodies = [exchange["body"].get("encoding_format") for exchange in plain.journal()]
    assert bodies == ["base64", "float"]


def test_models(plain: ServedSession) -> None:
    with client(plain, "brainstormrouter") as api:
        names = [model.id for model in api.models.list()]
    assert "claude-opus-4-6" in names


@pytest.mark.parametrize("provider", ["braintwin", "brivionix", "beatra"], indirect=True)
def test_what_is_not_documented_is_not_found(plain: ServedSession, provider: str) -> None:
    with client(plain, provider) as api:
        with pytest.raises(openai.NotFoundError):
            api.models.list()
        with pytest.raises(openai.NotFoundError):
            api.embeddings.create(model="auto", input="one")
