"""The official Python SDK on OpenAI's Responses: create, stream, parse, tool loops, and what is kept of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel

from sockets.clients import openai_client as client
from sockets.raw import ServedSession, make_session

MODEL = "gpt-5.4-mini"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
SCENARIO = """
provider: openai
clock: virtual
rules:
  - {when: {operation: chat}, reply: {text: Of chat.}}
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - {when: {last_user: {contains: refuse}}, reply: {refusal: I cannot help with that.}}
  - {when: {last_user: {contains: limit}}, reply: {error: rate_limited}}
  - {when: {last_user: {contains: quota}}, reply: {error: quota_exhausted}}
  - when: {last_user: {contains: broken}}
    reply:
      {text: One two three., stream: {split: words}, faults: [{error_event: {error: server_error, after_chunks: 6}}]}
  - when: {last_user: {contains: outputs}}
    reply:
      outputs:
        - {reasoning: First.}
        - {text: I look.}
        - {tool_calls: [{name: get_weather, arguments: {city: Oslo}, id: call_1}]}
        - {reasoning: Second.}
        - {text: Found.}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: "It is 21 degrees, after ${request.turn} questions."}
  - when: {last_user: {contains: weather}, tool_result: {absent: true}}
    reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}
  - {when: {last_user: {contains: slow}}, reply: {text: Done., latency: 60s}}
  - {when: {turn: {gte: 2}}, reply: {text: "The first was: ${request.body}", usage: {cached_tokens: 3}}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}}}
"""


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


@pytest.fixture
def plain(emulator_url: str) -> ServedSession:
    return make_session(emulator_url)


@pytest.fixture
def api(live: ServedSession) -> Iterator[OpenAI]:
    with client(live) as api:
        yield api


def test_create(api: OpenAI) -> None:
    first, second = (api.responses.create(model=MODEL, input="Hello!") for _ in range(2))
    assert (first.output_text, first.status, first.object) == ("Hi there, my friend!", "completed", "response")
    assert (first.temperature, first.store, first.tools, first.metadata) == (1.0, True, [], {})
    assert first.id != second.id
    assert first.id.startswith("resp_")
    assert first.output[0].id.startswith("msg_") if first.output[0].id else False
    assert first.usage
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens


def test_what_was_asked_for_is_told_again(api: OpenAI) -> None:
    answer = api.responses.create(
        model=MODEL, input="Hello!", instructions="Be short.", temperature=0.2, metadata={"a": "b"}, tools=[WEATHER],
        tool_choice="auto", text={"verbosity": "low"}, reasoning={"effort": "none"}, max_output_tokens=50, store=False,
        user="ada",
    )  # fmt: skip
    assert (answer.instructions, answer.temperature, answer.metadata) == ("Be short.", 0.2, {"a": "b"})
    assert (answer.max_output_tokens, answer.store, answer.user) == (50, False, "ada")
    assert answer.text
    assert answer.text.to_dict() == {"format": {"type": "text"}, "verbosity": "low"}
    assert answer.reasoning
    assert answer.reasoning.effort == "none"
    assert answer.tools[0].to_dict() == {**WEATHER, "strict": True}


def test_the_same_scenario_answers_chat(api: OpenAI) -> None:
    answer = api.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content == "Of chat."


def test_stream(api: OpenAI) -> None:
    events = list(api.responses.create(model=MODEL, input="Hello!", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == [
        "Hi", " there,", " my", " friend!"
    ]  # fmt: skip
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hi there, my friend!"


def test_stream_helper_gathers_the_answer(api: OpenAI) -> None:
    with api.responses.stream(model=MODEL, input="What is the weather?", tools=[WEATHER]) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
    answer = stream.get_final_response()
    [call] = [item for item in answer.output if item.type == "function_call"]
    assert "".join(deltas) == call.arguments == '{"city":"Oslo"}'
    assert api.responses.retrieve(answer.id).output[0].to_dict()["arguments"] == call.arguments


def test_reasoning_and_outputs_in_order(api: OpenAI) -> None:
    asked: Any = {"effort": "low", "summary": "auto"}
    answer = api.responses.create(model=MODEL, input="What do you think?", reasoning=asked)
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output_text == "Yes."
    assert answer.usage
    assert 0 < answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens
    with api.responses.stream(model=MODEL, input="Several outputs.", tools=[WEATHER], reasoning=asked) as stream:
        thoughts = [event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"]
    several = stream.get_final_response()
    assert [item.type for item in several.output] == ["reasoning", "message", "function_call", "reasoning", "message"]
    assert "".join(thoughts) == "First.Second."
    assert several.output_text == "I look.Found."


def test_a_refusal(api: OpenAI) -> None:
    answer = api.responses.create(model=MODEL, input="Please refuse.")
    [message] = answer.output
    assert isinstance(message, ResponseOutputMessage)
    assert message.content[0].to_dict() == {"type": "refusal", "refusal": "I cannot help with that."}
    types = [event.type for event in api.responses.create(model=MODEL, input="Please refuse.", stream=True)]
    assert "response.refusal.done" in types


def test_parse(plain: ServedSession) -> None:
    class Place(BaseModel):
        city: str
        people: int

    with client(plain) as api:
        answer = api.responses.parse(model=MODEL, input="Where?", text_format=Place)
        assert isinstance(answer.output_parsed, Place)
        with api.responses.stream(model=MODEL, input="Where?", text_format=Place) as stream:
            assert stream.get_final_response().output_parsed == answer.output_parsed


def test_a_cap_cuts(plain: ServedSession) -> None:
    with client(plain) as api:
        answer = api.responses.create(model=MODEL, input="Tell me a long story.", max_output_tokens=16)
        last = list(api.responses.create(model=MODEL, input="Tell me more.", max_output_tokens=16, stream=True))[-1]
    assert (answer.status, last.type) == ("incomplete", "response.incomplete")
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage
    assert answer.usage.output_tokens == 16


# Conversations


def call_of(answer: Response) -> ResponseFunctionToolCall:
    [call] = [item for item in answer.output if isinstance(item, ResponseFunctionToolCall)]
    return call


def test_a_tool_loop_by_previous_response_id(api: OpenAI) -> None:
    asked = api.responses.create(model=MODEL, input="What is the weather in Oslo?", tools=[WEATHER])
    output: Any = {"type": "function_call_output", "call_id": call_of(asked).call_id, "output": "21 degrees"}
    told = api.responses.create(model=MODEL, previous_response_id=asked.id, input=[output], tools=[WEATHER])
    assert told.output_text == "It is 21 degrees, after 1 questions."
    assert told.previous_response_id == asked.id
    assert asked.usage
    assert told.usage
    assert told.usage.input_tokens > asked.usage.input_tokens + asked.usage.output_tokens
    more = api.responses.create(model=MODEL, previous_response_id=told.id, input="And tomorrow?")
    assert more.output_text.startswith("The first was: ")
    assert more.usage
    assert more.usage.input_tokens_details.cached_tokens == 3
    items = list(api.responses.input_items.list(more.id, order="asc", limit=2))
    assert [item.type for item in items] == [
        "message", "function_call", "function_call_output", "message", "message",
    ]  # fmt: skip
    assert len({item.id for item in items}) == 5


def test_a_tool_loop_by_hand(api: OpenAI) -> None:
    said: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]
    asked = api.responses.create(model=MODEL, input=said, tools=[WEATHER], store=False)
    said += [item.to_dict() for item in asked.output]
    said.append({"type": "function_call_output", "call_id": call_of(asked).call_id, "output": "21 degrees"})
    told = api.responses.create(model=MODEL, input=said, tools=[WEATHER], store=False)
    assert told.output_text == "It is 21 degrees, after 1 questions."


def test_a_page_of_input_items(api: OpenAI) -> None:
    texts: Any = [{"role": "user", "content": f"{number}"} for number in range(3)]
    answer = api.responses.create(model=MODEL, input=texts)
    newest = api.responses.input_items.list(answer.id, limit=2)
    assert [item.to_dict()["content"] for item in newest.data] == [
        [{"type": "input_text", "text": "2"}], [{"type": "input_text", "text": "1"}]
    ]  # fmt: skip
    assert newest.has_more
    rest = newest.get_next_page()
    assert ([item.to_dict()["content"][0]["text"] for item in rest.data], rest.has_more) == (["0"], False)  # type: ignore[index]


def test_what_is_kept_can_be_fetched_until_it_is_deleted(api: OpenAI) -> None:
    answer = api.responses.create(model=MODEL, input="Hello!")
    assert api.responses.retrieve(answer.id) == answer
    streamed = list(api.responses.create(model=MODEL, input="Hello!", stream=True))[-1]
    assert streamed.type == "response.completed"
    assert api.responses.retrieve(streamed.response.id) == streamed.response
    api.responses.delete(answer.id)
    for attempt in (
        lambda: api.responses.retrieve(answer.id),
        lambda: api.responses.delete(answer.id),
        lambda: api.responses.input_items.list(answer.id),
    ):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{answer.id}' not found"):
            attempt()
    with pytest.raises(openai.BadRequestError) as caught:
        api.responses.create(model=MODEL, previous_response_id=answer.id, input="More.")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_what_is_not_to_be_stored_is_not_there(api: OpenAI) -> None:
    answer = api.responses.create(model=MODEL, input="Hello!", store=False)
    with pytest.raises(openai.NotFoundError):
        api.responses.retrieve(answer.id)
    with pytest.raises(openai.BadRequestError):
        api.responses.create(model=MODEL, previous_response_id=answer.id, input="More.")


def test_sessions_keep_their_own(live: ServedSession, plain: ServedSession) -> None:
    with client(live) as one, client(plain) as other:
        answer = one.responses.create(model=MODEL, input="Hello!")
        with pytest.raises(openai.NotFoundError):
            other.responses.retrieve(answer.id)


def test_background(api: OpenAI, live: ServedSession) -> None:
    asked = api.responses.create(model=MODEL, input="Take it slow.", background=True)
    assert (asked.status, asked.output, asked.usage) == ("queued", [], None)
    assert api.responses.retrieve(asked.id).status == "in_progress"
    live.clock(advance="61s")
    done = api.responses.retrieve(asked.id)
    assert (done.status, done.output_text) == ("completed", "Done.")


def test_cancel(api: OpenAI) -> None:
    asked = api.responses.create(model=MODEL, input="Take it slow.", background=True)
    assert api.responses.cancel(asked.id).status == "cancelled"
    assert api.responses.retrieve(asked.id).status == "cancelled"
    answer = api.responses.create(model=MODEL, input="Hello!")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        api.responses.cancel(answer.id)


def test_input_tokens(api: OpenAI) -> None:
    answer = api.responses.create(model=MODEL, input="Hello!")
    assert answer.usage
    assert api.responses.input_tokens.count(model=MODEL, input="Hello!").input_tokens == answer.usage.input_tokens
    more = api.responses.input_tokens.count(model=MODEL, previous_response_id=answer.id, input="Hello!")
    assert more.input_tokens > answer.usage.input_tokens


# Errors


@pytest.mark.parametrize(
    ("asked", "error", "code", "param"),
    [
        ({"model": "gpt-nine", "input": "x"}, openai.BadRequestError, "model_not_found", "model"),
        ({"model": MODEL, "input": "x", "max_output_tokens": 15}, openai.BadRequestError, None, "max_output_tokens"),
        ({"model": MODEL, "input": 5}, openai.BadRequestError, None, "input"),
        ({"model": MODEL, "input": "x", "tools": [{"type": "function", "function": {}}]}, openai.BadRequestError, None,
         None),
        ({"model": MODEL, "input": "limit"}, openai.RateLimitError, "rate_limit_exceeded", None),
        ({"model": MODEL, "input": "quota"}, openai.RateLimitError, "insufficient_quota", None),
    ],
    ids=["model", "cap", "input", "tool", "limit", "quota"],
)  # fmt: skip
def test_errors(api: OpenAI, asked: dict[str, Any], error: Any, code: str | None, param: str | None) -> None:
    with pytest.raises(error) as caught:
        api.responses.create(**asked)
    if code:
        assert caught.value.code == code
    if param:
        assert caught.value.param == param


def test_a_stream_that_fails(api: OpenAI) -> None:
    seen: list[Any] = []
    stream = api.responses.create(model=MODEL, input="broken", stream=True)
    with pytest.raises(openai.APIError, match="The server had an error"):
        seen.extend(stream)
    assert [event.sequence_number for event in seen] == list(range(6))


def test_the_events_of_a_stream_that_fails(live: ServedSession) -> None:
    with client(live) as api:
        raw = api.responses.with_raw_response.create(model=MODEL, input="broken", stream=True)
        lines = [line for line in raw.http_response.iter_lines() if line.startswith("data: ")]
    *_, told, failed = (json.loads(line.removeprefix("data: ")) for line in lines)
    assert (told["type"], told["sequence_number"], told["error"]["type"]) == ("error", 6, "server_error")
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 7)
    assert failed["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_retries_after_a_429(emulator_url: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    live = make_session(
        emulator_url, "rules: [{replies: [{error: rate_limited, retry_after: 0.01}, {text: Second try.}]}]"
    )
    with client(live, max_retries=2) as api:
        if stream:
            with api.responses.stream(model=MODEL, input="Hello!") as events:
                answer = events.get_final_response()
        else:
            answer = api.responses.create(model=MODEL, input="Hello!")
    assert answer.output_text == "Second try."
    assert [exchange["response"]["status"] for exchange in live.journal()] == [429, 200]


def test_chat_parses_and_streams_a_form(plain: ServedSession) -> None:
    class Place(BaseModel):
        city: str
        people: int

    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Where?"}], "response_format": Place}
    with client(plain) as api:
        answer = api.chat.completions.parse(**asked)
        assert isinstance(answer.choices[0].message.parsed, Place)
        with api.chat.completions.stream(**asked) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == answer.choices[0].message.parsed


def test_async(live: ServedSession) -> None:
    async def talk() -> list[str]:
        base_url = f"{live.url}/s/{live.id}/openai/v1"
        async with AsyncOpenAI(base_url=base_url, api_key=live.key, max_retries=0, timeout=5) as api:
            async with api.responses.stream(model=MODEL, input="Hello!") as helper:
                assert (await helper.get_final_response()).output_text == "Hi there, my friend!"
            stream = await api.responses.create(model=MODEL, input="Hello!", stream=True)
            return [event.delta async for event in stream if event.type == "response.output_text.delta"]

    assert asyncio.run(talk()) == ["Hi", " there,", " my", " friend!"]
