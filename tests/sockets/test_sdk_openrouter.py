"""OpenAI's official client at OpenRouter's address: what it adds to answers, comments in streams, errors midway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from sockets.raw import ServedSession, make_session

SCENARIO = """
provider: openrouter
clock: virtual
rules:
  - {when: {last_user: {contains: slow}}, reply: {text: Here at last., stream: {split: words, ttft: 35s}}}
  - {when: {last_user: {contains: kept}}, reply: {text: Here too., stream: {ttft: 1s}, faults: [{comment: {every: 400ms}}]}}
  - {when: {last_user: {contains: midway}}, reply: {text: One two., stream: {split: words}, faults: [{error_event: {error: bad_gateway, after_chunks: 2}}]}}
  - {when: {last_user: {contains: credits}}, reply: {error: quota_exhausted}}
  - {when: {last_user: {contains: flagged}}, reply: {error: flagged}}
  - {when: {last_user: {contains: nobody}}, reply: {error: model_unavailable}}
  - {when: {last_user: {contains: often}}, replies: [{error: rate_limited, times: 1}, {text: Now.}]}
  - {reply: {reasoning: Hm. Well., text: Hi there!, stream: {split: words}}}
"""  # noqa: E501 - rules are one line each


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


@pytest.fixture
def api(live: ServedSession) -> Iterator[OpenAI]:
    base_url = f"{live.url}/s/{live.id}/openrouter/api/v1"
    with OpenAI(base_url=base_url, api_key=live.key, max_retries=0, timeout=5) as api:
        yield api


def test_create(api: OpenAI) -> None:
    answer = api.chat.completions.create(
        model="openai/gpt-4o", messages=asked("Hello"),
        extra_headers={"HTTP-Referer": "https://app.example", "X-Title": "App"},
        extra_body={"models": ["openai/gpt-4o-mini"], "provider": {"sort": "price"}, "reasoning": {"effort": "low"}},
    )  # fmt: skip
    said: Any = answer.to_dict()
    message, usage = said["choices"][0]["message"], said["usage"]
    assert (said["provider"], said["choices"][0]["native_finish_reason"]) == ("Emulator", "stop")
    assert (message["content"], message["reasoning"]) == ("Hi there!", "Hm. Well.")
    assert [item["text"] for item in message["reasoning_details"]] == ["Hm. Well."]
    cost = (usage["prompt_tokens"] * 2.5 + usage["completion_tokens"] * 10) / 1_000_000
    assert usage["cost"] == pytest.approx(cost)
    back: Any = [*asked("Hello"), message, *asked("And now?")]
    excluded = api.chat.completions.create(
        model="openai/gpt-4o", messages=back, extra_body={"reasoning": {"exclude": True}}
    )
    assert "reasoning" not in excluded.choices[0].message.to_dict()


@pytest.mark.parametrize(("text", "comments"), [("slow", 3), ("kept", 2)])
def test_a_stream_with_comments(text: str, comments: int, api: OpenAI) -> None:
    asking: Any = {"model": "openai/gpt-4o", "messages": asked(text), "stream": True}
    chunks = list(api.chat.completions.create(**asking))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).startswith("Here")
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    raw = api.chat.completions.with_raw_response.create(**asking).http_response.read()
    assert raw.count(b": OPENROUTER PROCESSING\n\n") == comments


def test_async_stream(live: ServedSession) -> None:
    async def ask() -> str:
        base_url = f"{live.url}/s/{live.id}/openrouter/api/v1"
        async with AsyncOpenAI(base_url=base_url, api_key=live.key, max_retries=0, timeout=5) as api:
            stream = await api.chat.completions.create(model="x/y", messages=asked("slow"), stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert asyncio.run(ask()) == "Here at last."


def test_an_error_midway(api: OpenAI) -> None:
    stream = api.chat.completions.create(model="openai/gpt-4o", messages=asked("midway"), stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "One"]
    with pytest.raises(openai.APIError) as caught:
        next(stream)
    assert caught.value.message == "Provider returned error"
    assert caught.value.body == {
        "code": 502, "message": "Provider returned error", "metadata": {"error_type": "provider_unavailable"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("credits", 402, openai.APIStatusError),
        ("flagged", 403, openai.PermissionDeniedError),
        ("nobody", 503, openai.InternalServerError),
        ("often", 429, openai.RateLimitError),
    ],
)
def test_errors_are_mapped(text: str, status: int, error: type[openai.APIStatusError], api: OpenAI) -> None:
    with pytest.raises(error) as caught:
        api.chat.completions.create(model="openai/gpt-4o", messages=asked(text))
    body: Any = caught.value.body
    assert (caught.value.status_code, body["code"]) == (status, status)


def test_models_are_listed(api: OpenAI) -> None:
    listed = {model.id: model.to_dict() for model in api.models.list()}
    pricing: Any = listed["openai/gpt-4o"]["pricing"]
    assert pricing["prompt"] == "0.0000025"
