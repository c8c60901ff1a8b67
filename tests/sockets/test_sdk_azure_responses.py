"""Azure's Responses with OpenAI's official clients: that for Azure with an api-version, and the plain one below v1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AzureOpenAI, OpenAI
from pydantic import BaseModel

from sockets.raw import ServedSession, make_session

TOOL: Any = {"type": "function", "name": "get_weather", "strict": False, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip
SCENARIO = """
provider: azure
clock: virtual
models: [our-chat]
rules:
  - {when: {last_user: {contains: terrible}}, reply: {error: content_filter}}
  - {when: {last_user: {contains: story}}, reply: {text: Once upon, finish_reason: content_filter}}
  - when: {last_user: {contains: broken}}
    reply: {text: One two three., faults: [{error_event: {error: server_error, after_chunks: 5}}]}
  - {when: {last_user: {contains: And twice}}, reply: {text: "84."}}
  - {when: {last_user: {contains: twice}}, reply: {reasoning: Six by seven., text: "42."}}
  - {when: {tool_result: {content: "21"}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: event}}, reply: {text: '{"name": "Fair", "day": 3}'}}
  - {when: {last_user: {contains: later}}, reply: {text: Done., latency: 60s}}
  - {reply: {text: Hi there my friend!, stream: {split: words}}}
"""


class Event(BaseModel):
    name: str
    day: int


@pytest.fixture
def live(emulator_url: str) -> ServedSession:
    return make_session(emulator_url, SCENARIO)


def azure(live: ServedSession, **given: Any) -> AzureOpenAI:
    usual = {"azure_endpoint": f"{live.url}/s/{live.id}/azure", "api_key": live.key}
    return AzureOpenAI(**{**usual, "api_version": "2025-04-01-preview", "max_retries": 0, "timeout": 5, **given})


@pytest.fixture(params=["versioned", "v1", "preview"])
def api(live: ServedSession, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    base_url = f"{live.url}/s/{live.id}/azure/openai/v1/"
    made = {
        "versioned": lambda: azure(live),
        "v1": lambda: OpenAI(base_url=base_url, api_key=live.key, max_retries=0, timeout=5),
        "preview": lambda: AzureOpenAI(
            base_url=base_url, api_key=live.key, api_version="preview", max_retries=0, timeout=5
        ),
    }
    with made[request.param]() as api:
        yield api


def filters(response: Any) -> Any:
    return {item["source_type"]: item["blocked"] for item in response.to_dict()["content_filters"]}


def test_create(api: OpenAI) -> None:
    answer = api.responses.create(model="our-chat", input="Hello", instructions="Be brief.")
    assert (answer.output_text, answer.model, answer.instructions) == ("Hi there my friend!", "our-chat", "Be brief.")
    assert filters(answer) == {"prompt": False, "completion": False}
    assert answer.completed_at == answer.created_at


def test_stream(api: OpenAI) -> None:
    events = list(api.responses.create(model="our-chat", input="Hello", stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    first, last = events[0], events[-1]
    assert (text, [event.sequence_number for event in events]) == ("Hi there my friend!", list(range(len(events))))
    assert first.type == "response.created"
    assert first.response.to_dict()["content_filters"] is None
    assert last.type == "response.completed"
    assert filters(last.response) == {"prompt": False, "completion": False}


def test_a_loop_with_a_tool_goes_on_by_the_id(api: OpenAI) -> None:
    called = api.responses.create(model="our-chat", input="The weather?", tools=[TOOL])
    (call,) = called.output
    assert call.type == "function_call"
    given: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "21"}]
    answer = api.responses.create(model="our-chat", input=given, tools=[TOOL], previous_response_id=called.id)
    assert (answer.output_text, answer.previous_response_id) == ("It is 21 degrees.", called.id)


def test_a_call_is_streamed(api: OpenAI) -> None:
    with api.responses.stream(model="our-chat", input="The weather?", tools=[TOOL]) as stream:
        events = list(stream)
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    assert done.arguments == '{"city":"Oslo"}'
    assert events[-1].type == "response.completed"


def test_parse(api: OpenAI) -> None:
    answer = api.responses.parse(model="our-chat", input="An event?", text_format=Event)
    assert answer.output_parsed == Event(name="Fair", day=3)


def test_reasoning_goes_on(api: OpenAI) -> None:
    first = api.responses.create(model="our-chat", input="What is twice 21?", reasoning={"effort": "low"})
    assert [item.type for item in first.output] == ["reasoning", "message"]
    said = [item.to_dict() for item in first.output]
    again: Any = [{"role": "user", "content": "What?"}, *said, {"role": "user", "content": "And twice that?"}]
    assert api.responses.create(model="our-chat", input=again).output_text == "84."


def test_what_is_kept(api: OpenAI) -> None:
    made = api.responses.create(model="our-chat", input="Hello")
    assert api.responses.retrieve(made.id).to_dict() == made.to_dict()
    (item,) = api.responses.input_items.list(made.id).data
    assert (item.type, item.to_dict()["content"]) == ("message", [{"type": "input_text", "text": "Hello"}])
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        api.responses.cancel(made.id)
    api.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        api.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        api.responses.create(model="our-chat", input="And?", previous_response_id=made.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_what_is_made_later_can_be_stopped_again_and_again(api: OpenAI) -> None:
    made = api.responses.create(model="our-chat", input="Do it later.", background=True)
    assert (made.status, made.to_dict()["content_filters"], made.completed_at) == ("queued", None, None)
    assert [api.responses.cancel(made.id).status for _ in range(2)] == ["cancelled"] * 2


def test_what_is_deleted_is_told(live: ServedSession, api: OpenAI) -> None:
    made = api.responses.create(model="our-chat", input="Hello")
    told = api.responses.with_raw_response.delete(made.id).http_response.json()
    assert told == {"object": "response.deleted", "id": made.id, "deleted": True}


def test_what_the_filter_stops(api: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.responses.create(model="our-chat", input="Something terrible")
    error: Any = caught.value.body
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "content_filter", "prompt", "invalid_request_error",
    )  # fmt: skip
    assert "innererror" not in error
    assert error["content_filters"][0]["content_filter_results"]["hate"] == {"filtered": True, "severity": "high"}
    answer = api.responses.create(model="our-chat", input="A story")
    assert answer.incomplete_details
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert filters(answer) == {"prompt": False, "completion": True}


def test_a_stream_that_fails_says_so_last(api: OpenAI) -> None:
    seen: list[str] = []
    with pytest.raises(openai.APIError, match="The server had an error"):
        seen.extend(event.type for event in api.responses.create(model="our-chat", input="It is broken", stream=True))
    assert seen[-1] == "response.failed"
    raw = api.responses.with_raw_response.create(model="our-chat", input="It is broken", stream=True)
    names = [line[7:] for line in raw.http_response.read().decode().splitlines() if line.startswith("event: ")]
    assert names[-2:] == ["response.failed", "error"]


@pytest.mark.parametrize(
    ("given", "model", "error", "code"),
    [
        ({"api_key": "invalid"}, "our-chat", openai.AuthenticationError, "401"),
        ({"api_version": "0613"}, "our-chat", openai.NotFoundError, "404"),
        ({"api_version": "2024-10-21"}, "our-chat", openai.NotFoundError, "404"),
        ({"api_version": "2025-02-01-preview"}, "our-chat", openai.BadRequestError, "BadRequest"),
        ({"api_version": "2025-03-01-preview"}, "our-chart", openai.NotFoundError, "DeploymentNotFound"),
    ],
    ids=["key", "version", "no preview", "old preview", "deployment"],
)
def test_errors_are_mapped(
    given: dict[str, Any], model: str, error: type[openai.APIStatusError], code: str, live: ServedSession
) -> None:
    with azure(live, **given) as api, pytest.raises(error) as caught:
        api.responses.create(model=model, input="Hello")
    assert caught.value.code == code


def test_an_old_version_is_told_of_what_is_kept_too(live: ServedSession) -> None:
    old = "2024-12-01-preview"
    with azure(live, api_version=old) as api, pytest.raises(openai.BadRequestError, match="enabled only for"):
        api.responses.retrieve("resp_000")
