"""What a chat body says, read without trusting any type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.values import Message
from emulator.core.wires.chat import (
    canonical,
    compact,
    conversation,
    functions,
    last_text,
    system_text,
    text_of,
    tool_results,
)  # fmt: skip


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
def test_text_of(content: Any, text: str) -> None:
    assert text_of(content) == text


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
            {"role": "assistant", "tool_calls": [{}, 5, {"function": 5}]},
            Message("assistant", "", calls=(("", "", ""),) * 2),
        ),
        ({"role": "assistant", "tool_calls": "x"}, Message("assistant", "")),
        ({"role": "tool", "tool_call_id": "c1", "content": "21"}, Message("tool", "21", call_id="c1")),
    ],
    ids=["plain", "odd-role", "images", "name", "calls", "odd-calls", "no-calls", "result"],
)
def test_a_message(message: dict[str, Any], read: Message) -> None:
    assert conversation({"messages": [message, "no message", None]}) == (read,)


@pytest.mark.parametrize("messages", [None, 5, "x", {}])
def test_no_conversation(messages: Any) -> None:
    assert conversation({"messages": messages}) == conversation({}) == ()


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
def test_functions(tools: Any, names: list[str]) -> None:
    assert [item["name"] for item in functions({"tools": tools})] == names
    assert functions({}) == []


USER, ASSISTANT, SYSTEM = Message("user", "u"), Message("assistant", "a"), Message("system", "s")
CALLS = Message("assistant", "", calls=(("1", "f", ""), ("2", "g", "")))


def result(call_id: str, text: str, name: str = "") -> Message:
    return Message("tool", text, name=name, call_id=call_id)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ((), []),
        ((USER, CALLS, result("1", "x"), result("2", "y")), [("f", "x"), ("g", "y")]),
        ((CALLS, result("1", "x"), ASSISTANT), []),
        ((CALLS, result("1", "x"), ASSISTANT, result("2", "y"), USER), [("g", "y")]),
        ((result("9", "x", "h"), result("9", "y")), [("h", "x"), ("", "y")]),
    ],
    ids=["none", "two", "old", "new", "unknown"],
)
def test_tool_results(messages: tuple[Message, ...], found: list[tuple[str, str]]) -> None:
    assert [(item["name"], item["content"]) for item in tool_results(messages)] == found


def test_texts_by_role() -> None:
    messages = (SYSTEM, USER, Message("developer", "d"), Message("system", "t"), Message("user", "last"))
    assert (last_text(messages, "user"), last_text(messages, "tool")) == ("last", None)
    assert (system_text(messages), system_text((USER,))) == ("s\nt", None)


def test_json_forms() -> None:
    assert (compact({"b": [1, "é"], "a": None}), canonical({"b": 1, "a": {"d": 1, "c": 2}})) == (
        '{"b":[1,"é"],"a":null}', b'{"a":{"c":2,"d":1},"b":1}',
    )  # fmt: skip


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
    read = conversation({"messages": messages})
    assert all(isinstance(item.text, str) for item in read)
    assert all(isinstance(item["name"], str) for item in functions({"tools": tools}))
    assert len(tool_results(read)) <= len(read)
