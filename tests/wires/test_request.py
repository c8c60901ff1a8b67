"""What a request says, read without trusting any type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.wires.request.conversation import Conversation, Message, Tool, tool_results
from tests.wires.build import BLOCKS, OPENAI, OPENAI_CHAT, RESPONSES, THREADS

FORM = OPENAI.request


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi", "hi"),
        ([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"text": 5}, "x", None], ""),
        (None, ""),
        (5, ""),
        ({"text": "a"}, ""),
    ],
    ids=["string", "parts", "odd-parts", "null", "number", "mapping"],
)
def test_the_text_of_a_message(content: Any, text: str) -> None:
    assert [item.text for item in FORM.messages({"messages": [{"role": "user", "content": content}]})] == [text]


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "x"}}


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"role": "user", "content": "hi"}, Message("user", "hi")),
        ({"role": 5, "content": "hi"}, Message("", "hi")),
        ({"content": [IMAGE, {"type": "text", "text": "a"}, IMAGE, 5]}, Message("", "a", images=2)),
        ({"role": "user", "content": "hi", "name": "ada"}, Message("user", "hi", name="ada")),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            Message("assistant", "", calls=(("c1", "f", "{}"),)),
        ),
        (
            {"role": "assistant", "tool_calls": [{}, 5, {"function": 5}, {"id": "c1"}]},
            Message("assistant", "", calls=(("c1", "", ""),)),
        ),
        ({"role": "assistant", "tool_calls": "x"}, Message("assistant", "")),
        ({"role": "tool", "tool_call_id": "c1", "content": "21"}, Message("tool", "21", call_id="c1")),
    ],
    ids=["plain", "odd-role", "images", "name", "calls", "odd-calls", "no-calls", "result"],
)
def test_a_message(message: dict[str, Any], read: Message) -> None:
    assert FORM.messages({"messages": [message, "no message", None]}) == (read,)


@pytest.mark.parametrize("messages", [None, 5, "x", {}])
def test_no_conversation(messages: Any) -> None:
    assert FORM.messages({"messages": messages}) == FORM.messages({}) == ()


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (
            [{"function": {"name": "a"}}, {"function": {"name": 5}}, {"function": 5}, 5, {"function": {"name": "b"}}],
            ["a", "b"],
        ),
        ("x", []),
        (None, []),
    ],
    ids=["list", "string", "null"],
)
def test_the_tools_offered(tools: Any, names: list[str]) -> None:
    assert [item.name for item in FORM.tools({"tools": tools})] == names
    assert FORM.tools({}) == ()


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"model": 5, "stream": "true"}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "usage": True}),
        ({"stream_options": {"include_usage": 1}}, {}),
        ({"stream_options": [True]}, {}),
        ({"max_tokens": 3}, {"cap": 3}),
        ({"n": 2}, {"choices": 2}),
        ({"n": 0}, {}),
        ({"n": True}, {}),
        ({"n": 129}, {}),
        ({"stop": "x"}, {"stop": ("x",)}),
        ({"stop": ["x", 5, "", "y"]}, {"stop": ("x", "y")}),
        ({"response_format": {"type": "json_object"}}, {"json": True}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            {"json": True, "schema": SCHEMA},
        ),
        ({"response_format": "json_object"}, {}),
    ],
    ids=lambda item: str(item)[:40],
)
def test_what_is_asked_of_an_answer(fields: dict[str, Any], read: dict[str, Any]) -> None:
    assert FORM.read(fields) == Conversation(**read)


OFFERED = {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}]}


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, ("free", "")),
        ("auto", ("free", "")),
        ("none", ("none", "")),
        ("required", ("required", "")),
        ({"type": "function", "function": {"name": "f"}}, ("named", "f")),
        ({"type": "function"}, ("named", "")),
        ({"function": {"name": "f"}}, ("free", "")),
        (5, ("free", "")),
    ],
    ids=str,
)
def test_the_choice_of_a_tool(choice: Any, read: tuple[str, str]) -> None:
    found = FORM.read({**OFFERED, "tool_choice": choice})
    assert (found.tool_choice, found.tool_named) == read
    assert found.tools == (Tool("f", "d", SCHEMA),)


def test_tools_that_the_docs_do_not_know_are_not_read() -> None:
    assert FORM.read({**OFFERED, "tool_choice": "none"}, with_tools=False) == Conversation()


def test_a_model_of_the_path_is_no_field() -> None:
    assert (BLOCKS.request.model_in_path, BLOCKS.request.fields("model")) == (True, [])
    assert BLOCKS.request.model({"{model}": "a", "model": "b"}) == ""


def test_where_things_stand() -> None:
    assert FORM.fields("stream", "usage", "schema", "tools", "json") == [
        "stream", "stream_options", "response_format", "tools", "response_format",
    ]  # fmt: skip
    assert (FORM.path("cap"), FORM.path("schema")) == ("max_tokens", "response_format.json_schema.schema")
    assert FORM.fields("tool_choice") == ["tool_choice"] * 4


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "tools", "function", "tool_calls", "content", "text"]), items, max_size=3
        )
    ),
)


@given(messages=ANY, tools=ANY)
def test_any_shape_is_read(messages: Any, tools: Any) -> None:
    read = FORM.messages({"messages": messages})
    assert all(isinstance(item.text, str) for item in read)
    assert all(isinstance(item.name, str) for item in FORM.tools({"tools": tools}))
    assert len(tool_results(read)) <= len(read)


# Items among the messages

ITEMS: list[Any] = [
    {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "x"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x y"},
    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "21"}]},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
    {"role": "developer", "content": "Be short."},
    "odd", 5,
]  # fmt: skip
READ = [
    Message("user", "a", images=1),
    Message("assistant", "I look.", calls=(("c1", "f", "{}"), ("c2", "g", "x y"))),
    Message("tool", "21", call_id="c1"),
    Message("tool", "ok", call_id="c2"),
    Message("assistant", "", calls=(("c3", "f", "{}"),)),
    Message("system", "Be short."),
]


def test_items_that_are_no_messages() -> None:
    found = RESPONSES.request.messages({"instructions": "Be kind.", "input": ITEMS[:-2]})
    assert list(found) == [Message("system", "Be kind."), *READ]


def test_a_text_in_place_of_items_is_the_user_s() -> None:
    assert RESPONSES.request.messages({"input": "hi"}) == (Message("user", "hi"),)
    assert FORM.messages({"messages": "hi"}) == ()


def test_what_came_before_is_read_first() -> None:
    said = RESPONSES.request.read({"model": "m", "input": "next", "store": False}, True, ["first", *ITEMS[:4]])
    assert [message.text for message in said.messages] == ["first", "a", "I look.", "next"]


def test_only_functions_and_custom_tools_are_tools() -> None:
    tools = [{"type": "web_search"}, {"type": "custom", "name": "x"}, {"type": "function", "name": "f"}, 5]
    assert RESPONSES.request.read({"input": "x", "tools": tools}).tools == (Tool("f"), Tool("x", custom=True))


@pytest.mark.parametrize(
    ("body", "previous", "stored", "later"),
    [
        ({}, "", False, False),
        ({"after": "a", "keep": True, "when": "later"}, "a", True, True),
        ({"after": 5, "keep": 1, "when": "now"}, "", False, False),
    ],
    ids=["nothing", "all", "odd"],
)
def test_what_is_kept(body: dict[str, Any], previous: str, stored: bool, later: bool) -> None:
    form = THREADS.request
    assert (form.previous(body), form.is_stored(body), form.is_later(body)) == (previous, stored, later)
    assert (FORM.previous(body), FORM.is_stored(body), FORM.is_later(body)) == ("", False, False)
    assert form.may_go_on(b'{"after":1}')
    assert not FORM.may_go_on(b'{"after":1}')


def test_items_as_they_are_listed() -> None:
    form, kept = RESPONSES.request, RESPONSES.kept
    assert kept
    sent = ["hi", {"role": "assistant", "content": "ho"}, ITEMS[3], {"role": "user", "content": [1], "id": "own"}]
    ids = [kept.id_of(item, "resp_a", index, lambda item, index: f"{form.kind(item)}{index}")
           for index, item in enumerate(sent)]  # fmt: skip
    listed = [kept.listed(item, ident, *form.fields_of_message) for item, ident in zip(sent, ids, strict=True)]
    text = {"type": "output_text", "text": "ho", "annotations": [], "logprobs": []}
    assert listed == [
        {"id": "text0", "type": "message", "status": "completed", "role": "user",
         "content": [{"type": "input_text", "text": "hi"}]},
        {"id": "text1", "type": "message", "status": "completed", "role": "assistant", "content": [text]},
        {"id": "call2", "status": "completed", **ITEMS[3]},
        {"id": "own", "type": "message", "status": "completed", "role": "user", "content": [1]},
    ]  # fmt: skip
    assert ids == ["text0", "text1", "call2", "own"]


def test_ids_of_items_may_be_those_of_the_answer_and_a_number() -> None:
    kept = OPENAI_CHAT.kept
    assert kept
    assert [kept.id_of({"role": "user"}, "chatcmpl-a", index, lambda item, index: "") for index in (0, 1)] == [
        "chatcmpl-a-0", "chatcmpl-a-1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "conversation", "references"),
    [
        ({"input": "x"}, "", []),
        ({"input": "x", "conversation": "conv_1"}, "conv_1", []),
        ({"input": [5, {"type": "item_reference", "id": "a"}], "conversation": {"id": "conv_2"}}, "conv_2", ["a"]),
        ({"input": [{"type": "item_reference", "id": 5}], "conversation": 5}, "", []),
    ],
    ids=["none", "id", "object", "odd"],
)
def test_what_else_a_request_names(body: dict[str, Any], conversation: str, references: list[str]) -> None:
    form = RESPONSES.request
    assert (form.conversation(body), form.references(body)) == (conversation, references)
    with_them = form.with_references(body, {"a": {"role": "user", "content": "b"}})
    assert [message.text for message in form.read({"model": "m", **with_them}).messages if message.text == "b"] == [
        "b" for _ in references
    ]
    assert (OPENAI_CHAT.request.conversation(body), OPENAI_CHAT.request.references(body)) == ("", [])


FIELDS = st.sampled_from(["type", "role", "content", "call_id", "output", "name", "arguments", "text"])


@given(st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner)))
def test_any_input_is_read(value: Any) -> None:
    assert isinstance(RESPONSES.request.read({"model": "m", "input": value}), Conversation)
