"""From a journal to a scenario: what is written loads, and answers the same requests the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
import yaml
from build import PROVIDERS, EngineSession, chat, make_session

from emulator.core.journal.describe import describe
from emulator.core.recording.to_scenario import scenario_text
from emulator.core.values import Exchange

DOCUMENTED = {name: [header.lower() for header, _ in item.headers] for name, item in PROVIDERS.items()}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
TOOLS = {"tools": [WEATHER]}
CALL = {"tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}, "id": "call_1"}]}


def written(live: EngineSession) -> str:
    rows = [describe(item) for item in live.store.journal("default", 0)[0]]
    return scenario_text(orjson.loads(orjson.dumps(rows)), PROVIDERS)


def answer_of(exchange: Exchange) -> Any:
    """Return what a client reads, ids and times aside: status, own headers, the body or the events, how it ends."""
    timeline = exchange.timeline
    own = [item for item in timeline.headers if item[0] not in DOCUMENTED[exchange.claim.provider]]
    headers = sorted(item for item in own if not item[0].startswith("x-emulator"))
    data = [_without_ids(frame.data) for frame in timeline.frames]
    return timeline.status, headers, data, timeline.stream, timeline.end


def _without_ids(data: bytes) -> Any:
    try:
        body = orjson.loads(data.removeprefix(b"data: "))
    except orjson.JSONDecodeError:
        return data if len(data) < 20 else len(data)
    for holder in (body, body.get("error")) if isinstance(body, dict) else ():
        if isinstance(holder, Mapping):
            for name in ("id", "created", "request_id"):
                holder.pop(name, None)
    return body


def cut(**place: Any) -> dict[str, Any]:
    return {"text": "One, two, three.", "faults": [{"cut": place}]}


@pytest.mark.parametrize(
    ("provider", "reply", "fields"),
    [
        ("beatra", {"text": "Hello: ${request.last_user}"}, {}),
        ("beatra", {"text": "yes"}, {}),
        ("beatra", {"text": "A literal $${hole} and\nanother line."}, {}),
        ("beatra", {"text": "One two three", "finish_reason": "tired", "off_contract": True}, {}),
        ("beatra", {"text": "Counted", "usage": {"prompt_tokens": 7, "completion_tokens": 9}}, {}),
        ("beatra", {"text": "Not counted", "usage": "none", "off_contract": True}, {}),
        ("braintwin", {"text": "word " * 40}, {}),
        ("beatra", {"text": "One two three", "stream": {"split": ["One", " two th", "ree"]}}, {"stream": True}),
        ("beatra", {"text": "$${a} $${b}", "stream": {"split": 3}}, {"stream": True}),
        ("brivionix", CALL, TOOLS),
        ("brivionix", CALL, TOOLS | {"stream": True}),
        ("brivionix", CALL | {"text": "I look."}, TOOLS),
        ("brivionix", {"refusal": "I will not."}, {}),
        ("brivionix", {"refusal": "I will not."}, {"stream": True}),
        ("beatra", {"error": "rate_limited", "retry_after": 7}, {}),
        ("beatra", {"error": {"name": "invalid_request", "message": "No.",
                              "details": [{"field": "model", "message": "is odd"}]}}, {}),
        ("beatra", {"error": "server_error", "status": 599, "off_contract": True}, {}),
        ("beatra", {"error": {"status": 418, "body": {"tea": "$${pot}"}}, "off_contract": True}, {}),
        ("beatra", {"error": "model_unavailable"}, {"stream": True}),
        ("beatra", {"text": "Made", "status": 201}, {}),
        ("beatra", {"text": "With a header", "headers": {"x-extra": "1"}}, {}),
        ("beatra", {"json": {"choices": "none"}, "off_contract": True}, {}),
        ("beatra", {"events": ["what", {"delta": "$${x}"}, "[DONE]"], "off_contract": True}, {"stream": True}),
        ("beatra", cut(after_chunks=2, how="fin"), {"stream": True}),
        ("beatra", cut(after_chunks=0, how="clean"), {"stream": True}),
        ("beatra", cut(before="done", how="fin"), {"stream": True}),
        ("beatra", {"text": "Broken", "faults": [{"invalid_json": True}]}, {}),
        ("beatra", {"error": "rate_limited", "faults": [{"invalid_json": True}]}, {}),
        ("beatra", {"json": [1, 2], "off_contract": True, "faults": [{"invalid_json": True}]}, {}),
        ("beatra", {"text": "A page", "faults": [{"wrong_content_type": True}]}, {}),
        ("beatra", {"text": "A page", "faults": [{"wrong_content_type": True}, {"invalid_json": True}]}, {}),
        ("beatra", {"text": "A page", "faults": [{"wrong_content_type": True}]}, {"stream": True}),
    ],
    ids=["template", "a-yaml-word", "a-hole", "finish-reason", "usage", "no-usage", "cut-at-the-default", "pieces",
         "holes-in-pieces", "tools", "tools-streamed", "tools-and-text", "refusal", "refusal-streamed", "429",
         "error-told", "error-status", "error-body", "error-to-a-stream", "status", "header", "json", "events",
         "cut", "cut-before-all", "cut-before-done", "broken-json", "broken-error", "broken-list", "page",
         "broken-page", "streamed-page"],
)  # fmt: skip
def test_what_is_written_answers_the_same(provider: str, reply: Any, fields: Any) -> None:
    first = make_session({"rules": [{"reply": reply}]}, plan="unlimited")
    body = chat(provider, "What about Oslo?", **fields)
    expected = answer_of(first.send(provider, body))
    second = make_session(written(first), plan="unlimited")
    assert answer_of(second.send(provider, body)) == expected


def test_a_cut_between_events_is_told_in_events() -> None:
    first = make_session({"rules": [{"reply": cut(after_chunks=2, how="fin")}]})
    first.send("beatra", chat("beatra", stream=True))
    reply = yaml.safe_load(written(first))["rules"][0]["replies"][0]
    assert reply["faults"] == [{"cut": {"after_chunks": 2, "how": "fin"}}]


@pytest.mark.parametrize("how", ["reset", "garbage"])
def test_how_a_stream_broke_is_kept(how: str) -> None:
    first = make_session({"rules": [{"reply": cut(after_chunks=2, how=how)}]})
    first.send("beatra", chat("beatra", stream=True))
    assert make_session(written(first)).send("beatra", chat("beatra", stream=True)).timeline.end == how


def test_a_stream_cut_inside_an_event_stays_cut_at_that_byte() -> None:
    first = make_session({"rules": [{"reply": cut(after_bytes=500, how="fin")}]})
    sent = first.send("beatra", chat("beatra", stream=True)).timeline
    again = make_session(written(first)).send("beatra", chat("beatra", stream=True)).timeline
    assert sum(len(frame.data) for frame in again.frames) == sum(len(frame.data) for frame in sent.frames) == 500
    assert again.end == "fin"


def test_a_whole_answer_cut_inside_its_body_stays_cut_at_that_byte() -> None:
    first = make_session({"rules": [{"reply": cut(after_bytes=10, how="fin")}]})
    first.send("beatra")
    again = make_session(written(first)).send("beatra").timeline
    assert (b"".join(frame.data for frame in again.frames)[:2], again.end, again.frames[-1].data[10:]) == (
        b'{"', "fin", b"",
    )  # fmt: skip


def test_embeddings_are_kept_as_they_were() -> None:
    body = {"model": "auto", "input": ["one", "two"]}
    first = make_session({"rules": [{"reply": {"embedding": [0.25, 0.5]}}]})
    expected = answer_of(first.send("brainstormrouter", body, path="/embeddings"))
    again = make_session(written(first)).send("brainstormrouter", body, path="/embeddings")
    assert answer_of(again) == expected


def test_replies_to_equal_requests_come_in_turn_and_other_requests_have_rules_of_their_own() -> None:
    first = make_session({"rules": [{"replies": [{"error": "rate_limited"}, {"text": "Hello."}]}]})
    for text in ("hi", "hi", "bye"):
        first.send("beatra", chat("beatra", text))
    assert yaml.safe_load(written(first)) == {
        "emulator": 1,
        "provider": "beatra",
        "rules": [
            {
                "when": {"operation": "chat", "model": "auto", "last_user": {"equals": "hi"}, "turn": 1, "step": 0},
                "replies": [
                    {"error": "rate_limited"},
                    {
                        "text": "Hello.", "finish_reason": "stop", "verbatim": True,
                        "usage": {"prompt_tokens": 8, "completion_tokens": 2},
                    },
                ],
            },
            {
                "when": {"operation": "chat", "model": "auto", "last_user": {"equals": "bye"}, "turn": 1, "step": 0},
                "replies": [
                    {
                        "text": "Hello.", "finish_reason": "stop", "verbatim": True,
                        "usage": {"prompt_tokens": 8, "completion_tokens": 2},
                    }
                ],
            },
        ],
    }  # fmt: skip


def test_several_providers_share_a_scenario_that_names_none() -> None:
    first = make_session({"rules": [{"reply": {"text": "Hello."}}]})
    for provider in ("beatra", "braintwin"):
        first.send(provider)
    assert "provider" not in yaml.safe_load(written(first))


def test_what_answers_itself_is_left_out() -> None:
    first = make_session({"rules": [{"when": {"last_user": "x"}, "reply": {"text": "Hello."}}]})
    first.send("beatra", raw=b"{")
    first.send("beatra", chat("beatra", "y"))
    assert yaml.safe_load(written(first)) == {"emulator": 1, "rules": []}


def test_a_replay_of_an_idempotency_key_is_no_second_reply() -> None:
    first = make_session({"rules": [{"reply": {"text": "Hello."}}]})
    headers = {"idempotency-key": "5b1cbb2c-6cb1-4f3f-9e64-f7bd58b3dd0b"}
    for _ in range(2):
        first.send("beatra", headers=headers)
    assert len(yaml.safe_load(written(first))["rules"][0]["replies"]) == 1


def test_no_secret_of_an_answer_is_written() -> None:
    first = make_session(
        {"rules": [{"reply": {"text": "a", "headers": {"set-cookie": "s=secret-1", "x-token": "secret-2"}}}]}
    )
    first.send("beatra")
    assert "secret-" not in written(first)
    assert "set-cookie" not in written(first)


def test_without_the_documented_headers_only_retry_after_is_kept() -> None:
    first = make_session(
        {"rules": [{"reply": {"error": "rate_limited", "retry_after": 3, "headers": {"x-extra": "1"}}}]}
    )
    row = describe(first.send("beatra"))
    assert yaml.safe_load(scenario_text([row]))["rules"][0]["replies"] == [
        {"error": "rate_limited", "headers": {"retry-after": "3"}}
    ]
