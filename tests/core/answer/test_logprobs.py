"""How probable tokens are: drawn from the text alone, or as a reply says; whole and streamed, on chat and Responses."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson
import pytest
from build import PROVIDERS, chat, make_session
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.answer.completion import probable_tokens as told
from emulator.core.errors import SourceError
from emulator.core.values import Exchange
from emulator.core.wires.completion import Annotation, Completion, Part, Token
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import payload

SCRIPTED = [
    {
        "token": "Yes,",
        "logprob": -0.02,
        "top": [{"token": "Yes,", "logprob": -0.02}, {"token": "No,", "logprob": -4.5}],
    },
    {"token": " sir", "logprob": -1},
]
TOKENS = (Token("Yes,", -0.02, (Token("Yes,", -0.02), Token("No,", -4.5))), Token(" sir", -1))
CITED = {"url": "https://a.example", "title": "A", "start": 0, "end": 3}
ASKED = {
    "chat": ("/chat/completions", chat("openai", logprobs=True, top_logprobs=2)),
    "responses": (
        "/responses",
        {"model": "gpt-4o", "input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    ),
}
UNASKED = {
    "chat": ("/chat/completions", chat("openai")),
    "responses": ("/responses", {"model": "gpt-4o", "input": "hi", "top_logprobs": 2}),
}


def ask(reply: dict[str, Any] | None, path: str, body: dict[str, Any]) -> Exchange:
    live = make_session({"provider": "openai", "rules": [{"reply": reply or {"builtin": True}}]})
    return live.send("openai", body, path=path)


def read(exchange: Exchange) -> Completion:
    """Read an answer, whole or streamed, after its schema has accepted it."""
    operation = PROVIDERS["openai"].operations[exchange.claim.operation or ""]
    frames, wire, stream = exchange.timeline.frames, operation.wire, exchange.timeline.stream
    assert wire
    data = [payload(frame.data) if stream else frame.data for frame in frames]
    values = [orjson.loads(item) for item in data if item != b"[DONE]"]
    schema = operation.chunk if stream else operation.response
    assert schema
    assert [violation for value in values for violation in schema.violations(value)] == []
    return wire.read_events(values) if stream else wire.read(values[0])


@given(st.text(max_size=60), st.integers(0, 20))
def test_what_is_drawn_is_a_distribution_over_the_tokens_of_the_text(text: str, likely: int) -> None:
    tokens = told(text, (), likely)
    assert tokens == told(text, (), likely)
    assert "".join(token.text for token in tokens) == text
    for token in tokens:
        assert len(token.likely) == likely
        assert token.likely[:1] == ((Token(token.text, token.logprob),) if likely else ())
        assert len({item.text for item in token.likely}) == likely
        figures = [item.logprob for item in token.likely]
        assert figures == sorted(figures, reverse=True)
        assert sum(map(math.exp, figures or [token.logprob])) <= 1.0001


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("path", "body"), ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        ({"text": "Yes, sir", "logprobs": SCRIPTED}, TOKENS),
        ({"text": "Yes, sir", "logprobs": SCRIPTED, "stream": {"split": 3}}, TOKENS),
        ({"text": "Yes, sir"}, told("Yes, sir", (), 2)),
        ({"outputs": [{"text": "Yes, sir", "logprobs": SCRIPTED}]}, TOKENS),
    ],
    ids=["scripted", "split otherwise", "drawn", "outputs"],
)
def test_tokens_are_told_where_they_are_asked_for(
    reply: dict[str, Any], tokens: tuple[Token, ...], path: str, body: dict[str, Any], stream: bool
) -> None:
    said = read(ask(reply, path, {**body, "stream": stream}))
    assert (said.text(), said.parts[0].tokens, said.unread) == ("Yes, sir", tokens, False)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("path", "body"), UNASKED.values(), ids=UNASKED)
def test_tokens_are_not_told_unasked(path: str, body: dict[str, Any], stream: bool) -> None:
    exchange = ask({"text": "Yes, sir", "logprobs": SCRIPTED}, path, {**body, "stream": stream})
    assert read(exchange).parts[0].tokens == ()
    assert b"-0.02" not in b"".join(frame.data for frame in exchange.timeline.frames)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_refusal_has_tokens_of_its_own_on_chat(stream: bool) -> None:
    path, body = ASKED["chat"]
    said = read(ask({"refusal": "No, sir"}, path, {**body, "stream": stream}))
    assert said.parts[0].tokens == told("No, sir", (), 2)


def test_what_a_cap_cuts_has_only_the_tokens_that_are_left() -> None:
    path, body = ASKED["chat"]
    said = read(ask({"text": "Yes, sir", "logprobs": SCRIPTED}, path, {**body, "max_tokens": 2}))
    assert (said.text(), said.parts[0].tokens) == ("Yes,", TOKENS[:1])


def test_as_many_likely_tokens_are_told_as_are_asked_for() -> None:
    body = chat("openai", logprobs=True, top_logprobs=1)
    said = read(ask({"text": "Yes, sir", "logprobs": SCRIPTED}, "/chat/completions", body))
    assert [len(token.likely) for token in said.parts[0].tokens] == [1, 0]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("path", "body"), UNASKED.values(), ids=UNASKED)
def test_annotations_are_told(path: str, body: dict[str, Any], stream: bool) -> None:
    said = read(ask({"text": "Yes", "annotations": [CITED, CITED]}, path, {**body, "stream": stream}))
    assert said.parts[0].annotations == (Annotation(**CITED),) * 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"text": "No", "logprobs": SCRIPTED}, "rules[0].reply.logprobs: the tokens, joined, are not the text"),
        (
            {"tool_calls": [{"name": "f"}], "annotations": [CITED]},
            "rules[0].reply.annotations: is of a text: say text or refusal beside it",
        ),
        (
            {"outputs": [{"text": "No", "logprobs": SCRIPTED}]},
            "rules[0].reply.outputs[0].logprobs: the tokens, joined, are not the text",
        ),
    ],
    ids=["other tokens", "no text", "outputs"],
)
def test_what_stands_beside_a_text_is_of_that_text(reply: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        make_session({"rules": [{"reply": reply}]})


def test_pieces_without_tokens_have_none() -> None:
    wire = PROVIDERS["openai"].operations["chat"].wire
    assert wire
    saying = AnswerValues(Completion((Part("text", "abc", tokens=(Token("abc", -1.0),)),), "stop"))
    data = [orjson.loads(payload(item)) for item, _ in wire.streamed(saying, [[b'"a"', b'"bc"']], False)[1:3]]
    assert [item["choices"][0]["logprobs"]["content"][:1] == [] for item in data] == [False, True]


@pytest.mark.parametrize(
    ("path", "tool", "choice"),
    [
        (
            "/chat/completions",
            {"type": "custom", "custom": {"name": "look"}},
            {"type": "custom", "custom": {"name": "look"}},
        ),
        ("/responses", {"type": "custom", "name": "look"}, {"type": "custom", "name": "look"}),
    ],
    ids=["chat", "responses"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (None, "custom", "hello"),
        ({"tool_calls": [{"name": "look", "input": "at it"}]}, "custom", "at it"),
        ({"tool_calls": [{"name": "look", "arguments": "at it"}]}, "custom", "at it"),
        ({"tool_calls": [{"name": "other", "arguments": "{}"}]}, "call", "{}"),
    ],
    ids=["built-in", "input", "offered", "another"],
)
def test_a_custom_tool_is_called_with_a_text(
    reply: dict[str, Any] | None, kind: str, text: str, path: str, tool: Any, choice: Any, stream: bool
) -> None:
    asked = {"input": "hello"} if path == "/responses" else {"messages": [{"role": "user", "content": "hello"}]}
    body = {"model": "gpt-4o", **asked, "tools": [tool], "tool_choice": choice, "stream": stream}
    said = read(ask(reply, path, body))
    assert [(part.kind, part.text) for part in said.parts] == [(kind, text)]
    assert said.finish == "tool_calls"


def test_an_input_that_a_grammar_may_rule_out_is_noted() -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[0-9]+"}
    body = {"model": "gpt-4o", "input": "hello", "tools": [{"type": "custom", "name": "look", "format": grammar}]}
    notes = ask(None, "/responses", body).notes
    assert [(note.path, note.message) for note in notes] == [
        ("tools.look", "the input is what the user said; it may not follow the tool's grammar")
    ]


def test_a_wire_without_custom_tools_says_a_call() -> None:
    live = make_session({"rules": [{"reply": {"tool_calls": [{"name": "look", "input": "at it"}]}}]})
    body = chat("brivionix", tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])
    call = orjson.loads(live.send("brivionix", body).timeline.frames[0].data)["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "look", "arguments": "at it"}
