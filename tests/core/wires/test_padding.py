"""Padding: random characters level how long the events of a stream are, unless a request asks for none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import FOUR, chat, chunks_of, make_session
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.wires.padding import MORE, STEP, Padding
from emulator.core.wires.sse import payload

TEXT = 'The "sea"\nis blue, 青い, and deep.'
REPLIES: list[Any] = [
    {"text": TEXT}, {"refusal": TEXT}, {"tool_calls": [{"name": "f", "arguments": {"a": TEXT}}]},
    {"reasoning": TEXT, "text": "Blue."},
]  # fmt: skip
MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
ASKS: dict[str, dict[str, Any]] = {"/chat/completions": {"messages": MESSAGES}, "/responses": {"input": MESSAGES}}
TOOLS: dict[str, Any] = {"/chat/completions": {"type": "function", "function": {"name": "f"}}, "/responses": TOOL}
PROBABLE = {"/chat/completions": {"logprobs": True}, "/responses": {"include": ["message.output_text.logprobs"]}}
PADDING = Padding("obfuscation")


def streamed(path: str, reply: Any, seed: int = 0, **fields: Any) -> list[bytes]:
    """Return the events of a stream."""
    live = make_session({"seed": seed, "rules": [{"reply": reply}] if reply else []}, provider="openai")
    fields |= {"tools": [TOOLS[path]]} if reply and "tool_calls" in reply else {}
    exchange = live.send("openai", {"model": "gpt-4o", "stream": True, **ASKS[path], **fields}, path=path)
    assert exchange.timeline.status == 200, exchange.timeline.frames[0].data
    return [frame.data for frame in exchange.timeline.frames]


@pytest.mark.parametrize("reply", REPLIES, ids=[next(iter(reply)) for reply in REPLIES])
@pytest.mark.parametrize("probable", [False, True], ids=["", "with logprobs"])
@pytest.mark.parametrize("path", ASKS)
def test_events_are_as_long_as_others_would_be(path: str, probable: bool, reply: Any) -> None:
    events = streamed(path, reply, stream_options={"include_obfuscation": True}, **PROBABLE[path] if probable else {})
    padded = [event for event in events if PADDING.without(event) != event]
    assert padded == (events[:-1] if path == "/chat/completions" else [item for item in events if b".delta\n" in item])
    assert {len(payload(event)) % STEP for event in padded} == {MORE}


@pytest.mark.parametrize("reply", [REPLIES[0], None], ids=["a reply", "built-in"])
@pytest.mark.parametrize("path", ASKS)
def test_no_event_is_padded_where_a_request_asks_for_none(path: str, reply: Any) -> None:
    plain = streamed(path, reply, stream_options={"include_obfuscation": False})
    assert [PADDING.without(event) for event in streamed(path, reply)] == plain
    assert b"obfuscation" not in b"".join(plain)


def test_the_characters_are_those_of_the_seed() -> None:
    events = [(event, "data") for event in streamed("/responses", REPLIES[0])]
    first, again, other = (PADDING.padded(events, seed) for seed in (1, 1, 2))
    assert first == again != other
    one, two = (streamed("/responses", REPLIES[0], seed)[4][-40:] for seed in (1, 2))
    assert one != two


@pytest.mark.parametrize("provider", FOUR)
def test_others_pad_nothing(provider: str) -> None:
    chunks = chunks_of(make_session().send(provider, chat(provider, stream=True)))
    assert len(chunks) > 1
    assert not any("obfuscation" in chunk for chunk in chunks)


@given(st.lists(st.dictionaries(st.text(max_size=9), st.text(max_size=40), min_size=1), max_size=9), st.integers())
def test_what_is_padded_is_the_same_without(values: list[Any], seed: int) -> None:
    events = [b"data: " + orjson.dumps(value) + b"\n\n" for value in [*values, {"a": ',"obfuscation":"b"'}]]
    padded = PADDING.padded([(event, "data") for event in events], seed)
    assert {len(payload(event)) % STEP for event, _ in padded} == {MORE}
    assert [PADDING.without(event) for event, _ in padded] == events
    assert [PADDING.without(event) for event in events] == events
