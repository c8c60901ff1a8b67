"""The official Python SDK on what OpenAI keeps: stored completions, items and conversations that are named, streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from sockets.clients import openai_client
from sockets.raw import make_session

SCENARIO = """
provider: openai
clock: virtual
rules:
  - {when: {operation: chat}, reply: {text: Of chat.}}
  - when: {last_user: slow}
    reply: {text: One two three., stream: {split: words, itl: 1s}}
  - {reply: {text: "I heard: ${request.last_user}"}}
"""
MODEL = "gpt-4o"
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def api(emulator_url: str) -> Iterator[OpenAI]:
    with openai_client(make_session(emulator_url, SCENARIO)) as api:
        yield api


def test_stored_completions(api: OpenAI) -> None:
    made = [
        api.chat.completions.create(model=MODEL, messages=HELLO, store=True, metadata={"number": str(number)})
        for number in range(3)
    ]
    api.chat.completions.create(model=MODEL, messages=HELLO)
    with api.chat.completions.stream(model=MODEL, messages=HELLO, store=True) as stream:
        made.append(stream.get_final_completion())
    assert [item.id for item in api.chat.completions.list(limit=2)] == [item.id for item in made]
    assert [item.id for item in api.chat.completions.list(metadata={"number": "1"})] == [made[1].id]
    assert [item.id for item in api.chat.completions.list(order="desc", limit=1).data] == [made[3].id]
    assert api.chat.completions.retrieve(made[3].id).choices[0].message.content == "Of chat."
    assert api.chat.completions.update(made[0].id, metadata={"a": "b"}).to_dict()["metadata"] == {"a": "b"}
    [message] = api.chat.completions.messages.list(made[0].id)
    assert (message.id, message.content) == (f"{made[0].id}-0", "Hello!")
    assert api.chat.completions.delete(made[0].id).deleted
    with pytest.raises(openai.NotFoundError):
        api.chat.completions.retrieve(made[0].id)


def test_items_and_conversations_that_are_named(api: OpenAI) -> None:
    first = api.responses.create(model=MODEL, input="One.", conversation="conv_a")
    assert first.conversation
    assert first.conversation.id == "conv_a"
    given: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Two."}]
    second = api.responses.create(model=MODEL, input=given)
    items = api.responses.input_items.list(second.id, order="asc").data
    assert items[0].id == first.output[0].id
    assert api.responses.create(model=MODEL, input="Three.", conversation={"id": "conv_a"}).usage
    with pytest.raises(openai.NotFoundError, match="Items are not persisted"):
        api.responses.create(model=MODEL, input=[{"type": "item_reference", "id": "msg_none"}, *HELLO])


def test_a_background_stream_is_taken_up_again(api: OpenAI) -> None:
    stream = api.responses.create(model=MODEL, input="slow", background=True, stream=True)
    begun = [event for event, _ in zip(stream, range(4), strict=False)]
    assert [event.type for event in begun][1] == "response.queued"
    ident = begun[0].response.id if begun[0].type == "response.created" else ""
    stream.close()
    again = list(api.responses.retrieve(ident, stream=True, starting_after=begun[-1].sequence_number))
    assert [event.sequence_number for event in (*begun, *again)] == list(range(len(begun) + len(again)))
    assert again[-1].type == "response.completed"
    assert again[-1].response.output_text == "One two three."
    assert api.responses.retrieve(ident).status == "completed"


def test_a_conversation_is_compacted(api: OpenAI) -> None:
    first = api.responses.create(model="gpt-5", input="One.")
    assert first.reasoning
    assert (first.reasoning.effort, first.top_p) == ("medium", 1)
    compacted = api.responses.compact(model="gpt-5", input="Two.", previous_response_id=first.id)
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    given: Any = [item.to_dict(warnings=False) for item in compacted.output]
    following = api.responses.create(model="gpt-5", input=[*given, *HELLO])
    assert following.output_text == "I heard: Hello!"


def test_reasoning_needs_what_follows_it(api: OpenAI) -> None:
    given: Any = [*HELLO, {"type": "reasoning", "id": "rs_1", "summary": []}]
    with pytest.raises(openai.BadRequestError, match="without its required following item"):
        api.responses.create(model="gpt-5", input=given)
