"""Azure's Responses beside chat: one error in two forms, versions, and what the filter says while an answer is made."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import PROVIDERS, body_of, make_session

from emulator.contract.contract import load_contract
from emulator.contract.phases.endpoint import endpoints
from emulator.core.provider.openapi_errors import error_answer
from emulator.core.wires.sse import payload

V1, LATER, CHAT = "/openai/v1/responses", "/openai/responses", "/openai/v1/chat/completions"
ASKED = {"model": "gpt-4o", "input": "Hello"}
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def send(path: str, body: Any = ASKED, text: str = "", query: str = "api-version=2025-04-01-preview") -> Any:
    session = make_session(f"emulator: 1\nprovider: azure\n{text}") if text else make_session()
    return session.send("azure", body, path=path, query=query if path == LATER else "")


@pytest.mark.parametrize(
    ("path", "body", "kind", "found"),
    [(CHAT, HELLO, None, "innererror"), (V1, ASKED, "invalid_request_error", "content_filters"),
     (LATER, ASKED, "invalid_request_error", "content_filters")],
    ids=["chat", "v1", "versioned"],
)  # fmt: skip
def test_an_error_is_told_as_it_is_below_its_path(path: str, body: Any, kind: str | None, found: str) -> None:
    error = body_of(send(path, body, "rules: [{reply: {error: content_filter}}]"))["error"]
    assert error.keys() == {"message", "param", "code", found, *(["type"] if kind else [])}
    assert (error.get("type"), error["code"]) == (kind, "content_filter")


def test_the_description_has_both_forms_of_such_an_error() -> None:
    one = error_answer(PROVIDERS["azure"], "content_filter")["content"]["application/json"]["schema"]["anyOf"]
    forms = [form["properties"]["error"]["properties"] for form in one]
    assert [form["type"] for form in forms] == [{"const": None}, {"const": "invalid_request_error"}]
    assert [form.get("content_filters", form.get("innererror"))["type"] for form in forms] == ["object", "array"]
    assert "anyOf" not in error_answer(PROVIDERS["braintwin"], "timeout")["content"]["application/json"]["schema"]


@pytest.mark.parametrize(
    ("query", "status", "code", "fact"),
    [
        ("api-version=2025-03-01-preview", 200, None, None),
        ("api-version=2026-01-01-preview", 200, None, None),
        ("api-version=2025-02-28-preview", 400, "BadRequest", "az-r-version"),
        ("api-version=2024-12-01-preview", 400, "BadRequest", "az-r-version"),
        ("api-version=2024-10-21", 404, "404", "az-r-preview"),
        ("api-version=preview", 404, "404", "az-api-version"),
        ("", 404, "404", "az-api-version"),
    ],
)
def test_a_version_that_is_too_old_is_another_error(query: str, status: int, code: str, fact: str | None) -> None:
    exchange = send(LATER, query=query)
    assert exchange.timeline.status == status
    assert (body_of(exchange)["error"] or {}).get("code") == code
    assert [item.fact for item in exchange.refusal[2].details] == [fact] if exchange.refusal else fact is None


def test_a_muted_version_is_good() -> None:
    muted = "mute: [az-r-version, az-r-preview]\nrules: [{reply: {text: Hi}}]"
    assert send(LATER, text=muted, query="api-version=2024-10-21").refusal is None


def test_what_the_filter_found_is_told_once_an_answer_is_over() -> None:
    rules = "rules: [{reply: {text: Once upon, finish_reason: content_filter}}]"
    whole = body_of(send(V1, text=rules))
    frames = send(V1, {**ASKED, "stream": True}, rules).timeline.frames
    streamed = [orjson.loads(payload(frame.data)) for frame in frames]
    blocked = [item["blocked"] for item in whole["content_filters"]]
    assert (whole["status"], whole["incomplete_details"], blocked) == (
        "incomplete", {"reason": "content_filter"}, [False, True],
    )  # fmt: skip
    told = [event["response"]["content_filters"] for event in streamed if "response" in event]
    assert told == [None, None, whole["content_filters"]]


@pytest.mark.parametrize("raw", [None, []], ids=["null", "list"])
@pytest.mark.parametrize("blocked", [False, True], ids=["whole", "filtered"])
def test_what_azure_answers_is_read(raw: list[Any] | None, blocked: bool) -> None:
    rules = f"rules: [{{reply: {{text: Once upon, finish_reason: {'content_filter' if blocked else 'stop'}}}}}]"
    answer = body_of(send(V1, text=rules))
    for found in answer["content_filters"]:
        found["content_filter_raw"] = raw
        found["content_filter_results"] |= {"custom_blocklists": {"filtered": False, "details": []}}
    answer |= {"tool_usage": {}, "moderation": None, "frequency_penalty": 0.0}
    wire = PROVIDERS["azure"].operations["responses"].wire
    assert wire is not None
    read = wire.read(answer)
    assert (read.text(), read.finish, read.unread) == ("Once upon", "content_filter" if blocked else "stop", False)
    assert read.usage["output"] == answer["usage"]["output_tokens"]


def test_a_printed_request_of_responses_can_be_spoilt() -> None:
    found = {item.operation.name: item for item in endpoints(load_contract("azure"))}
    responses = found["responses"]
    assert responses.bodies == [{"model": "gpt-4.1-mini", "input": "This is a test"}]
    assert responses.refusal({**ASKED, "previous_response_id": "resp_1"}) == "previous_response_not_found"
    assert responses.refusal(ASKED) is None
    made = found["versioned_responses"].query
    assert send(LATER, query=f"api-version={made['api-version']}").timeline.status == 200
