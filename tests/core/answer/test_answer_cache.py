"""Answers that are given again from compiled bytes: the same, to the byte, as if they were rendered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from build import KEY, MODELS, NAMES, EngineSession, chat, make_request, make_session
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.core.answer.compiled import UNTIL, CompiledAnswer
from emulator.core.answer.framing import in_one_piece
from emulator.core.journal.describe import model_of
from emulator.core.values import Grant, Plan, Request
from emulator.server.http.reader import Head
from emulator.server.http.routed_request import RepeatedRequest, RoutedRequest
from emulator.server.sessions.live import Address

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
REPLIES: dict[str, dict[str, Any]] = {
    "text": {"text": "one two three"},
    "text with a per cent": {"text": "100% sure", "headers": {"x-more": "50%b"}},
    "tool calls": {"tool_calls": [{"name": "look", "arguments": {"at": "it"}}, {"name": "look", "arguments": {}}]},
    "refusal": {"refusal": "no"},
    "json": {"json": {"id": "x", "object": "chat.completion", "choices": []}, "off_contract": True},
    "events": {"events": [{"a": 1}, "[DONE]"], "off_contract": True},
    "error": {"error": "server_error"},
    "rate limited": {"error": "rate_limited", "retry_after": 3},
    "own error": {"error": {"status": 418, "body": {"short": "and stout"}}, "off_contract": True},
    "built-in": {"builtin": True},
    "status": {"text": "made", "status": 201},
}


def again(
    live: EngineSession, request: Request, times: int
) -> list[tuple[CompiledAnswer | None, tuple[bytes, bytes] | None, Any]]:
    """Ask the same so often, a second later each time; return each form, what it gives, and what is rendered."""
    found = []
    for number in range(times):
        asked = replace(request, at=request.at + number)
        claim = live.engine.claim(live.session, asked)
        grant = live.store.take(claim)
        form = live.engine.answer_cache.compiled(live.session, asked, claim, grant)
        exchange = live.engine.answer(live.session, asked, claim, grant)
        live.store.record(exchange)
        found.append((form, form.fill(asked.at, grant) if form else None, in_one_piece(exchange.timeline)))
    return found


@pytest.mark.parametrize("query", [None, "", "alt=sse"], ids=["whole", "array", "sse"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_what_is_given_again_where_the_model_is_in_the_path(reply: dict[str, Any], query: str | None) -> None:
    live = make_session({"rules": [{"reply": reply}]}, plan=Plan("p", 20))
    body = {"contents": [{"parts": [{"text": "look"}]}], "tools": [{"functionDeclarations": [{"name": "look"}]}]}
    method = "generateContent" if query is None else "streamGenerateContent"
    path, headers = f"/models/gemini-2.5-flash:{method}", {"x-goog-api-key": KEY}
    asked = make_request("gemini", body, path=path, query=query or "", key=None, headers=headers)
    (first, _, _), *others = again(live, asked, 12)
    assert first is None
    assert [given for _, given, _ in others] == [rendered for _, _, rendered in others]


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_what_is_given_again_is_what_is_rendered(reply: dict[str, Any], stream: bool, provider: str) -> None:
    live = make_session({"rules": [{"reply": reply}]}, plan=Plan("p", 20))
    (first, _, _), *others = again(live, make_request(provider, chat(provider, stream=stream)), 12)
    assert first is None
    assert [given for _, given, _ in others] == [rendered for _, _, rendered in others]


@settings(max_examples=200)
@given(st.data())
def test_a_form_serves_only_bodies_that_are_answered_alike(data: st.DataObject) -> None:
    """Bodies differ in all that an answer can depend on; a form that one of them made may serve another."""
    reply = data.draw(st.sampled_from([item for item in REPLIES.values() if "headers" not in item]))
    provider = data.draw(st.sampled_from(NAMES))
    live = make_session({"rules": [{"reply": reply}]}, validation=data.draw(st.sampled_from(["documented", "strict"])))
    fields = st.fixed_dictionaries(
        {"text": st.sampled_from(["hi", "ho", "a longer text", "über"])},
        optional={
            "stream": st.booleans(),
            "max_tokens": st.integers(1, 4),
            "model": st.sampled_from([MODELS[provider], "gpt-4", "auto"]),
            "n": st.integers(1, 3),
            "stop": st.sampled_from(["two", ["two"], ["x", "three"]]),
            "stream_options": st.sampled_from(
                [{"include_usage": True}, {"include_usage": False}, {"include_obfuscation": False}]
            ),
            "tools": st.just([TOOL]),
            "response_format": st.just({"type": "json_object"}),
        },
    )
    for given_fields in data.draw(st.lists(fields, min_size=4, max_size=12)):
        request = make_request(provider, chat(provider, **given_fields))
        for _, filled, rendered in again(live, request, data.draw(st.integers(1, 3))):
            assert filled is None or filled == rendered


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_the_example_of_a_form_has_the_model_that_is_asked_for(reply: dict[str, Any]) -> None:
    """The line on stderr is that of the example."""
    live = make_session({"rules": [{"reply": reply}]})
    for model in ("claude-opus-4-6", "claude-sonnet-4-6") * 2:
        request = make_request("brainstormrouter", chat("brainstormrouter", model=model))
        for form, _, _ in again(live, request, 2):
            assert form is None or model_of(form.example) == model


def test_events_have_the_pace_of_the_model_that_is_asked_for() -> None:
    reply = {**REPLIES["events"], "stream": {"pace": "documented"}}
    live = make_session({"rules": [{"reply": reply}]}, validation="off")
    unpaced, paced = (
        make_request("braintwin", chat("braintwin", model=model, stream=True)) for model in ("of no docs", "gpt-4")
    )
    assert again(live, unpaced, 3)[-1][0] is not None
    assert [form for form, _, _ in again(live, paced, 3)] == [None] * 3


def test_a_form_serves_only_queries_that_are_answered_alike() -> None:
    live = make_session()
    for task in ("code", "code", "summaries", "code", "summaries"):
        request = make_request(
            "brainstormrouter", method="GET", path="/intelligence/recommendations", query=f"task={task}"
        )
        for _, filled, rendered in again(live, request, 2):
            assert filled is None or filled == rendered


NOT_COMPILED: dict[str, dict[str, Any]] = {
    "a template": {"rules": [{"reply": {"text": "${request.last_user}"}}]},
    "a fault": {"rules": [{"reply": {"text": "a", "faults": [{"cut": {"after_bytes": 3}}]}}]},
    "a latency": {"rules": [{"reply": {"text": "a", "latency": 1}}]},
    "a drawn latency": {"rules": [{"reply": {"text": "a", "latency": {"uniform": {"min": 0, "max": 1}}}}]},
    "a silence": {"rules": [{"reply": {"text": "a", "latency": "forever"}}]},
    "chaos": {"chaos": [{"error": "server_error", "chance": 0.5}], "rules": [{"reply": {"text": "a"}}]},
    "a text that looks like a mark": {"rules": [{"reply": {"text": "9444444444 and 8111111111111111"}}]},
    "a long body": {"rules": [{"reply": {"text": "word " * 30_000}}]},
    "a rule that does not match": {"rules": [{"when": {"last_user": "x"}, "reply": {"text": "a"}}]},
}


@pytest.mark.parametrize("scenario", NOT_COMPILED.values(), ids=NOT_COMPILED)
def test_not_compiled(scenario: dict[str, Any]) -> None:
    found = again(make_session(scenario), make_request(), 4)
    assert [form for form, _, _ in found] == [None] * 4


def test_a_stream_that_waits_is_not_compiled() -> None:
    live = make_session({"rules": [{"reply": {"text": "a b", "stream": {"itl": "10ms"}}}]})
    assert [form for form, _, _ in again(live, make_request(body=chat(stream=True)), 3)] == [None] * 3


def test_an_answer_that_counts_what_was_before_is_not_compiled() -> None:
    request = make_request("brainstormrouter", method="GET", path="/intelligence/rankings", query="task=code")
    assert [form for form, _, _ in again(make_session(), request, 3)] == [None] * 3


def test_a_request_with_an_idempotency_key_is_not_compiled() -> None:
    key = "8e03978e-40d5-43e8-bc93-6894a57f9324"
    found = again(make_session(), make_request(headers={"idempotency-key": key}), 3)
    assert [form for form, _, _ in found] == [None] * 3


def test_no_form_is_used_at_a_time_that_has_other_digits() -> None:
    live = make_session()
    again(live, make_request(), 3)
    assert [form for form, _, _ in again(live, make_request(at=UNTIL), 2)] == [None] * 2


def test_what_is_noted_of_an_answer_weighs_what_its_form_keeps() -> None:
    """Each of these bodies has a form of its own, which the journal keeps longer than the memo does."""
    live = make_session()
    request = make_request("brainstormrouter", {"model": "auto", "input": ["a", "b"]}, path="/embeddings")
    form = again(live, request, 2)[-1][0]
    assert form is not None
    head = Head()
    address = Address(cast(Any, None), request.provider, request.path, request.base_url, False)
    routed = RoutedRequest(head, address, request.path, "")
    repeated = RepeatedRequest(form, Grant(1, form.example.grant.standing, "started"), routed, request.body, 0.0, 0.0)
    kept = sum(map(len, form.body))
    assert 30_000 < kept <= repeated.size < 2 * kept


def test_what_is_remembered_of_answers_holds_nothing_long_that_was_asked() -> None:
    """Names and examples alone: 256 requests of 20 MB would stay otherwise."""
    live = make_session({"rules": [{"when": {"operation": "chat"}, "reply": {"text": "a"}}]})
    bodies = [chat("beatra", text="x " * 5000), chat("beatra", stop=["y" * 10_000])]
    embeddings = {"model": "auto", "input": "z" * 10_000}
    requests = [make_request("beatra", body) for body in bodies]
    requests.append(make_request("brainstormrouter", embeddings, path="/embeddings"))
    for request in requests:
        assert again(live, request, 2)[-1][0] is not None
    for name, form in live.engine.answer_cache._forms._values.items():
        assert len(repr(name[1:])) < 1000
        assert isinstance(form, CompiledAnswer)
        assert (form.example.request.body, form.example.claim.call, form.example.timeline.frames) == (b"", None, ())


def test_nothing_is_remembered_of_a_session_that_is_gone() -> None:
    live, other = (
        make_session({"rules": [{"reply": {"text": "a"}}]}),
        make_session({"rules": [{"reply": {"text": "a"}}]}),
    )
    other = replace(other, engine=live.engine)
    for one in (live, other):
        assert again(one, make_request("beatra", chat("beatra")), 2)[-1][0] is not None
    live.engine.answer_cache.forget(live.session)
    assert [name[0] for name in live.engine.answer_cache._forms._values] == [other.session]
