"""Responses: answers compiled to bytes, what they repeat of a request, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from build import NOW, EngineSession, body_of, make_request, make_session

from emulator.core.answer.framing import in_one_piece
from emulator.core.answer.stored import recalled
from emulator.core.stored_answers import Keeping
from emulator.core.values import Request
from emulator.core.wires.sse import payload

MODEL = "gpt-5.4-mini"
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
REPLIES: dict[str, dict[str, Any]] = {
    "text": {"text": "one two three"},
    "reasoning": {"reasoning": "100% sure", "text": "one two"},
    "tool calls": {"tool_calls": [{"name": "look", "arguments": {"at": "it"}}, {"name": "look", "arguments": {}}]},
    "refusal": {"refusal": "no"},
    "outputs": {"outputs": [{"text": "a"}, {"tool_calls": [{"name": "look"}]}, {"reasoning": "b"}, {"text": "c"}]},
    "annotations": {"text": "a", "annotations": [{"url": "a:b", "title": "A"}]},
    "custom call": {"tool_calls": [{"name": "look", "input": "at it"}]},
    "json": {"json": {"id": "x", "object": "response"}, "off_contract": True},
    "events": {"events": [{"type": "a"}, {"type": "b"}], "off_contract": True},
    "error": {"error": "server_error"},
    "built-in": {"builtin": True},
}


def responses(body: Any = "hello", path: str = "/responses", method: str = "POST", **fields: Any) -> Request:
    given = {"model": MODEL, "input": body, **fields}
    return make_request("openai", given, path=path, method=method, query=fields.get("query", ""))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_an_answer_is_compiled_and_kept_by_the_id_that_it_has(reply: dict[str, Any], stream: bool) -> None:
    live = make_session({"provider": "openai", "rules": [{"reply": reply}]})
    request = responses(stream=stream, tools=[TOOL])
    for number in range(4):
        asked = replace(request, at=NOW + number)
        claim = live.engine.claim(live.session, asked)
        grant = live.store.take(claim)
        form = live.engine.answer_cache.compiled(live.session, asked, claim, grant)
        exchange = live.engine.answer(live.session, asked, claim, grant)
        assert (form is None) is (number == 0)
        if form:
            assert form.fill(asked.at, grant) == in_one_piece(exchange.timeline)
            assert form.keeping(asked.at, grant) == exchange.keeping


FIELDS: list[dict[str, Any]] = [
    {}, {"temperature": 0.5}, {"metadata": {"a": "b"}}, {"store": False}, {"background": True}, {"tools": [TOOL]},
    {"include": ["message.output_text.logprobs"], "model": "gpt-4o"}, {"tools": [{"type": "custom", "name": "one"}]},
    {"text": {"verbosity": "low"}}, {"instructions": "x"}, {"user": "ada"}, {"stream": True},
    {"stream": True, "stream_options": {"include_obfuscation": False}}, {"reasoning": {"effort": "low"}},
    {"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning": {"effort": "low"}, "stream": True},
]  # fmt: skip


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


SUMMED_UP = ["reasoning_summary_part.added", *["reasoning_summary_text.delta"] * 4, "reasoning_summary_text.done",
             "reasoning_summary_part.done"]  # fmt: skip
REASONED: dict[str, tuple[dict[str, Any], list[dict[str, Any]] | None, list[str]]] = {
    "no effort": ({}, None, []),
    "no summary": ({"reasoning": {"effort": "low"}}, [], ["output_item.added", "output_item.done"]),
    "a summary": (
        {"reasoning": {"effort": "low", "summary": "auto"}},
        [{"type": "summary_text", "text": "Let me think."}],
        ["output_item.added", *SUMMED_UP, "output_item.done"],
    ),
}


@pytest.mark.parametrize(
    "reply", [{"builtin": True}, {"reasoning": "Let me think.", "text": "one"}], ids=["built-in", "own"]
)
@pytest.mark.parametrize(("fields", "summary", "events"), REASONED.values(), ids=REASONED)
def test_what_was_reasoned_is_summed_up_where_that_is_asked(
    fields: dict[str, Any], summary: list[dict[str, Any]] | None, events: list[str], reply: dict[str, Any]
) -> None:
    live = make_session({"provider": "openai", "rules": [{"reply": reply}]})
    items = body_of(live.answer(responses(**fields)))["output"]
    assert [item["type"] for item in items] == (["message"] if summary is None else ["reasoning", "message"])
    assert items[0].get("summary") == summary
    streamed = [
        orjson.loads(payload(frame.data)) for frame in live.answer(responses(stream=True, **fields)).timeline.frames
    ]
    told = types(streamed)
    assert told[2 : 2 + len(events)] == events
    assert told[2 + len(events) :][:2] == ["output_item.added", "content_part.added"]
    assert streamed[-1]["response"]["output"][0].get("summary") == summary


@pytest.mark.parametrize(
    ("provider", "fields", "kinds"),
    [
        ("anthropic", {}, ["text"]),
        ("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, ["thinking", "text"]),
        ("anthropic", {"model": "claude-opus-5"}, ["thinking", "text"]),
    ],
    ids=["unasked", "asked", "by the model"],
)
def test_the_built_in_answer_thinks_where_the_model_does(
    provider: str, fields: dict[str, Any], kinds: list[str]
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    body = {"model": "claude-sonnet-4-5", "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}], **fields}
    made = make_session({}).answer(make_request(provider, body, path="/v1/messages", headers=headers))
    assert [block["type"] for block in body_of(made)["content"]] == kinds


def test_a_form_serves_only_bodies_that_are_answered_alike() -> None:
    live = make_session({"provider": "openai", "rules": [{"reply": {"reasoning": "hm", "text": "one"}}]})
    for fields, _ in [(fields, turn) for turn in range(3) for fields in FIELDS]:
        request = responses(**fields)
        claim = live.engine.claim(live.session, request)
        grant = live.store.take(claim)
        form = live.engine.answer_cache.compiled(live.session, request, claim, grant)
        rendered = in_one_piece(live.engine.answer(live.session, request, claim, grant).timeline)
        assert form is None or form.fill(request.at, grant) == rendered


def test_null_is_as_left_out() -> None:
    live = make_session()
    nulls = dict.fromkeys(("temperature", "store", "metadata", "background", "reasoning"))
    first, second = (body_of(live.answer(responses(**fields))) for fields in ({}, nulls))
    ids = ("id", "output", "created_at", "usage")
    assert {name: first[name] for name in first if name not in ids} == {
        name: second[name] for name in second if name not in ids
    }


def test_what_was_asked_is_echoed_with_its_defaults() -> None:
    answer = body_of(make_session().answer(responses(tools=[{"type": "function", "name": "f"}], text={})))
    tool = {"type": "function", "name": "f", "strict": True, "parameters": None}
    assert (answer["tools"], answer["text"]) == ([tool], {"format": {"type": "text"}, "verbosity": "medium"})


# What is kept


@pytest.fixture
def live() -> EngineSession:
    return make_session()


def test_the_conversation_is_that_of_all_before(live: EngineSession) -> None:
    first = live.answer(responses("one", instructions="Be short."))
    second = live.answer(responses("two", previous_response_id=body_of(first)["id"]))
    third = live.answer(responses([{"role": "user", "content": "three"}], previous_response_id=body_of(second)["id"]))
    assert third.claim.call
    roles = [(message.role, message.text) for message in third.claim.call.messages]
    texts = [body_of(item)["output"][0]["content"][0]["text"] for item in (first, second)]
    assert roles == [
        ("user", "one"), ("assistant", texts[0]), ("user", "two"), ("assistant", texts[1]), ("user", "three"),
    ]  # fmt: skip
    counts = [item.claim.call.prompt_tokens for item in (first, second, third) if item.claim.call]
    assert counts == sorted(counts)


def test_what_was_forgotten_is_still_part_of_what_goes_on_from_it(live: EngineSession) -> None:
    first = live.answer(responses("one"))
    second = live.answer(responses("two", previous_response_id=body_of(first)["id"]))
    gone = live.answer(responses(path=f"/responses/{body_of(first)['id']}", method="DELETE"))
    assert (gone.keeping, body_of(gone)["deleted"]) == (Keeping("forget", body_of(first)["id"]), True)
    third = live.answer(responses("three", previous_response_id=body_of(second)["id"]))
    assert third.claim.call
    assert [message.text for message in third.claim.call.messages if message.role == "user"] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")],
    ids=["show", "forget", "cancel", "list"],
)
def test_what_is_not_kept_is_not_found(live: EngineSession, method: str, path: str) -> None:
    exchange = live.answer(make_request("openai", raw=b"", path=f"/responses/resp_x{path}", method=method))
    assert (exchange.timeline.status, exchange.keeping) == (404, None)
    assert body_of(exchange)["error"] == {
        "message": "Response with id 'resp_x' not found.", "type": "invalid_request_error", "param": None, "code": None,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["", "/input_items"])
@pytest.mark.parametrize(
    ("include", "status"), [("message.output_text.logprobs", 200), ("nonsense", 400)], ids=["known", "unknown"]
)
def test_what_can_be_included(live: EngineSession, path: str, include: str, status: int) -> None:
    ident = body_of(live.answer(responses()))["id"]
    shown = live.answer(responses(path=f"/responses/{ident}{path}", method="GET", query=f"include[]={include}"))
    assert shown.timeline.status == status


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ({"text": "a"}, True),
        ({"text": "a", "faults": [{"cut": {"after_chunks": 0}}]}, False),
        ({"text": "a", "faults": [{"error_event": {"error": "server_error", "after_chunks": 3}}]}, True),
        ({"error": "server_error"}, False),
        ({"events": [{"type": "a"}], "off_contract": True}, False),
    ],
    ids=["whole", "cut", "failed", "error", "events"],
)
def test_a_stream_is_kept_where_it_says_its_answer(reply: dict[str, Any], kept: bool) -> None:
    live = make_session({"provider": "openai", "rules": [{"reply": reply}]})
    exchange = live.answer(responses(stream=True))
    ids = [ident for frame in exchange.timeline.frames[:1] if (ident := _id(frame.data))]
    shown = live.answer(responses(path=f"/responses/{ids[0] if ids else 'resp_x'}", method="GET"))
    assert shown.timeline.status == (200 if kept else 404)
    if kept:
        assert body_of(shown) == orjson.loads(payload(exchange.timeline.frames[-1].data))["response"]


def _id(data: bytes) -> str:
    value = orjson.loads(payload(data) or b"{}")
    return str(value.get("response", {}).get("id", ""))


def test_an_answer_of_json_is_kept_by_its_id() -> None:
    reply = {"json": {"id": "resp_own", "output": []}, "off_contract": True}
    live = make_session({"provider": "openai", "rules": [{"when": {"operation": "responses"}, "reply": reply}]})
    live.answer(responses())
    assert body_of(live.answer(responses(path="/responses/resp_own", method="GET")))["id"] == "resp_own"


def test_an_exchange_without_an_answer_has_nothing_to_recall(live: EngineSession) -> None:
    refused = live.answer(responses(5))
    assert recalled(refused.request) is None


def test_a_rule_may_answer_what_asks_for_a_kept_answer() -> None:
    rules = [{"when": {"operation": "response"}, "reply": {"error": "server_error"}}]
    live = make_session({"provider": "openai", "rules": rules})
    answer = body_of(live.answer(responses()))
    shown = live.answer(responses(path=f"/responses/{answer['id']}", method="GET"))
    assert (shown.timeline.status, shown.keeping) == (500, None)


def test_ids_are_drawn_from_the_seed() -> None:
    ids = [[body_of(live.answer(responses()))["id"] for _ in range(2)] for live in (make_session(), make_session())]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
