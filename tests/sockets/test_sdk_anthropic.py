"""Anthropic's official Python SDK: create, stream, tools, thinking, parse, counting, models, errors and retries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock
from pydantic import BaseModel

from sockets.raw import ServedSession, make_session

MODEL = "claude-sonnet-4-6"
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SCENARIO = """
provider: anthropic
clock: virtual
rules:
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - {when: {last_user: {contains: refuse}}, reply: {refusal: I cannot help with that.}}
  - {when: {last_user: {contains: limit}}, replies: [{error: rate_limited, retry_after: 0}, {text: At last.}]}
  - {when: {last_user: {contains: busy}}, replies: [{error: overloaded, times: 2}, {text: At last.}]}
  - {when: {last_user: {contains: spent}}, reply: {error: credit_exhausted}}
  - when: {last_user: {contains: broken}}
    reply: {text: One two three., stream: {split: words}, faults: [{error_event: {error: overloaded, after_chunks: 5}}]}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: It is 21 degrees.}
  - when: {last_user: {contains: weather}}
    reply:
      text: Let me look.
      tool_calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_weather, arguments: {city: Rome}}]
  - {when: {last_user: {contains: city}}, reply: {text: '{"name": "Oslo", "people": 700000}'}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}, usage: {prompt_tokens: 50, cached_tokens: 30}}}
"""


@pytest.fixture
def session(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


def options(session: ServedSession, **more: Any) -> dict[str, Any]:
    return {"base_url": f"{session.url}/s/{session.id}/anthropic", "api_key": session.key, "max_retries": 0, **more}


@pytest.fixture
def api(session: ServedSession) -> Iterator[Anthropic]:
    with Anthropic(**options(session)) as client:
        yield client


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **more}


def said(message: Message) -> list[str]:
    return [block.text for block in message.content if isinstance(block, TextBlock)]


def test_a_message(api: Anthropic) -> None:
    message = api.messages.create(**ask("hello"))
    assert said(message) == ["Hi there, my friend!"]
    assert (message.stop_reason, message.stop_sequence, message.role, message.model) == (
        "end_turn",
        None,
        "assistant",
        MODEL,
    )
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (20, 30)
    assert message.id.startswith("msg_")
    assert message._request_id


def test_a_message_by_a_bearer_token(session: ServedSession) -> None:
    with Anthropic(**options(session, auth_token=session.key, api_key=None)) as client:
        assert client.messages.create(**ask("hello")).content


def test_a_stream(api: Anthropic) -> None:
    with api.messages.stream(**ask("hello")) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert pieces == ["Hi", " there,", " my", " friend!"]
    assert said(message) == ["Hi there, my friend!"]
    assert (message.stop_reason, message.usage.output_tokens > 0) == ("end_turn", True)


def test_the_events_of_a_stream(api: Anthropic) -> None:
    kinds = [event.type for event in api.messages.create(**ask("hello"), stream=True)]
    assert kinds == [
        "message_start", "content_block_start", *["content_block_delta"] * 4, "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip


def answered(api: Anthropic, message: Message) -> Message:
    """Send the results of a message's calls."""
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    results: Any = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in calls]
    turns: Any = [
        {"role": "user", "content": "the weather?"},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    return api.messages.create(model=MODEL, max_tokens=1000, tools=[WEATHER], messages=turns)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_loop_of_tools(api: Anthropic, stream: bool) -> None:
    asked = ask("the weather?", tools=[WEATHER])
    if stream:
        with api.messages.stream(**asked) as events:
            message: Message = events.get_final_message()
    else:
        message = api.messages.create(**asked)
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    assert (message.stop_reason, [(call.name, call.input) for call in calls]) == (
        "tool_use", [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})],
    )  # fmt: skip
    assert said(answered(api, message)) == ["It is 21 degrees."]


def test_thinking_goes_back_as_it_came(api: Anthropic) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked = ask("think", max_tokens=2000, thinking=thinking)
    with api.messages.stream(**asked) as events:
        streamed = events.get_final_message()
    message = api.messages.create(**asked)
    thought = message.content[0]
    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking, thought == streamed.content[0]) == ("Hm, well.", True)
    turns: Any = [
        *asked["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "hi"},
    ]
    assert api.messages.create(**{**asked, "messages": turns}).content
    thought.thinking = "Something else."
    with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
        api.messages.create(**{**asked, "messages": turns})


class City(BaseModel):
    name: str
    people: int


def test_structured_output(api: Anthropic) -> None:
    assert api.messages.parse(**ask("a city"), output_format=City).parsed_output == City(name="Oslo", people=700_000)


def test_a_refusal_and_what_ends_an_answer(api: Anthropic) -> None:
    refused = api.messages.create(**ask("refuse"))
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_details is not None
    assert refused.stop_details.explanation == "I cannot help with that."
    stopped = api.messages.create(**ask("hello"), stop_sequences=["my"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "my")
    assert api.messages.create(**ask("hello", max_tokens=2)).stop_reason == "max_tokens"


def test_tokens_are_counted(api: Anthropic) -> None:
    few = api.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello"}]).input_tokens
    more = api.messages.count_tokens(model=MODEL, system="Be brief.", messages=[{"role": "user", "content": "hello"}])
    assert 0 < few < more.input_tokens


def test_models_come_by_the_page(api: Anthropic) -> None:
    page = api.models.list(limit=5)
    assert (len(page.data), page.has_more, page.has_next_page()) == (5, True, True)
    every = [model.id for model in api.models.list(limit=5)]
    assert len(every) == len(set(every)) > 15
    before = api.models.list(limit=2, before_id=every[4])
    assert [model.id for model in before.data] == every[2:4]
    assert api.models.retrieve(MODEL).display_name == "Claude Sonnet 4.6"


WRONG = {
    "no model": (ask("hello", model="claude-0"), anthropic.NotFoundError, "model: claude-0"),
    "a field": (ask("hello", extra_body={"bogus": 1}), anthropic.BadRequestError, "bogus: Extra inputs are not"),
    "sampling": (
        ask("hello", extra_body={"temperature": 1}), anthropic.BadRequestError,
        "temperature: Extra inputs are not permitted",
    ),
    "too many": (ask("hello", extra_body={"max_tokens": 200_000}), anthropic.BadRequestError, "> 128000"),
    "spent": (ask("spent"), anthropic.BadRequestError, "credit balance is too low"),
    "busy": (ask("busy"), anthropic.OverloadedError, "Overloaded"),
    "limit": (ask("limit"), anthropic.RateLimitError, "rate limit"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "error", "message"), WRONG.values(), ids=WRONG)
def test_errors_are_of_their_class(
    api: Anthropic, asked: dict[str, Any], error: type[anthropic.APIStatusError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        api.messages.create(**asked)
    body: Any = caught.value.body
    assert (body["type"], body["request_id"]) == ("error", caught.value.request_id)


def test_a_key_that_is_wrong(session: ServedSession) -> None:
    with (
        Anthropic(**options(session, api_key="invalid")) as client,
        pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"),
    ):
        client.messages.create(**ask("hello"))


@pytest.mark.parametrize("text", ["limit", "busy"])
def test_what_passes_is_tried_again(session: ServedSession, text: str) -> None:
    with Anthropic(**options(session, max_retries=3)) as client:
        assert said(client.messages.create(**ask(text))) == ["At last."]


def test_a_stream_that_fails(api: Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(api.messages.create(**ask("broken"), stream=True))


def test_asynchronously(session: ServedSession) -> None:
    async def both() -> tuple[str, int]:
        async with AsyncAnthropic(**options(session)) as client:
            async with client.messages.stream(**ask("hello")) as stream:
                text = "".join([piece async for piece in stream.text_stream])
            counted = await client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hi"}])
            return text, counted.input_tokens

    text, tokens = asyncio.run(both())
    assert (text, tokens > 0) == ("Hi there, my friend!", True)


def test_what_the_sdk_sends_is_as_documented(session: ServedSession, api: Anthropic) -> None:
    api.messages.create(**ask("hello", system="Be brief.", metadata={"user_id": "u-1"}, service_tier="auto"))
    [exchange] = session.journal()
    assert (exchange["notes"], exchange["response"]["status"]) == ([], 200)
    assert exchange["headers"]["anthropic-version"] == "2026-10-21"
