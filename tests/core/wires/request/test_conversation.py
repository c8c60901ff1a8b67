"""What a conversation says; JSON as it is written and compared."""

from __future__ import annotations

import pytest

from emulator.core.tree import canonical, compact
from emulator.core.wires.request.conversation import Message, last_text, system_text, tool_results

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
