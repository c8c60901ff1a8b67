"""The engine: which rule answers, what a miss says, headers, replays, and draws that repeat."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from build import (
    KEY,
    NAMES,
    NOW,
    PROVIDERS,
    EngineSession,
    body_of,
    chat,
    chunks_of,
    headers_of,
    make_request,
    make_session,
)

from emulator.core.errors import STATUS
from emulator.core.provider.holes import holes
from emulator.core.values import Exchange, Grant, Standing

UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def text(exchange: Exchange) -> str:
    said: str = body_of(exchange)["choices"][0]["message"]["content"]
    return said


def said(live: EngineSession, *texts: str) -> list[str]:
    """Say something to a world again and again; return what answered: the text, or the error's status."""
    exchanges = [live.send(body=chat(text=item)) for item in texts]
    return [text(item) if item.timeline.status == 200 else str(item.timeline.status) for item in exchanges]


def rule(say: str, **given: Any) -> dict[str, Any]:
    return {"reply": {"text": say}, **given}


# Rules


@pytest.mark.parametrize(("body", "kind"), [("<html>Bad gateway", "text/html"), ("upstream gone", "text/plain")])
def test_an_error_with_a_text_of_its_own_is_sent_as_it_is(body: str, kind: str) -> None:
    reply = {"error": {"status": 502, "body": body}, "off_contract": True}
    exchange = make_session({"provider": "beatra", "rules": [{"reply": reply}]}).send()
    assert b"".join(frame.data for frame in exchange.timeline.frames) == body.encode()
    assert (exchange.timeline.status, dict(exchange.timeline.headers)["content-type"]) == (
        502, f"{kind}; charset=utf-8",
    )  # fmt: skip


def test_the_first_rule_that_matches_answers() -> None:
    live = make_session({"rules": [rule("a", when={"last_user": "hi"}), rule("b"), rule("c")]})
    assert said(live, "hi", "other") == ["a", "b"]


def test_what_comes_after_a_rule_that_always_answers_is_no_candidate() -> None:
    rules = [rule("a", when={"state": "x"}), {"reply": {"text": "b", "times": 1}}, rule("c"), rule("d")]
    claim = make_session({"rules": rules}).send().claim
    assert [candidate.rule for candidate in claim.candidates] == ["rule-1", "rule-2", "rule-3"]


def test_rules_of_files_are_tried_in_the_order_given_and_each_for_its_provider() -> None:
    live = make_session(
        {"provider": "braintwin", "rules": [rule("twin")]}, {"rules": [rule("any")]}, {"rules": [rule("late")]}
    )
    answers = [live.send("beatra"), live.send("braintwin")]
    assert [text(item) for item in answers] == ["any", "twin"]
    assert [(item.rule, item.rule_id) for item in answers] == [
        ("s2.yaml:rules[0]", "rule-1@2"),
        ("s1.yaml:rules[0]", "rule-1"),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["a", "b", "b", "b", "b"]),
        ({"after_last": "repeat"}, ["a", "b", "b", "b", "b"]),
        ({"after_last": "cycle"}, ["a", "b", "a", "b", "a"]),
        ({"after_last": "unmatched"}, ["a", "b", "next", "next", "next"]),
    ],
    ids=["default", "repeat", "cycle", "unmatched"],
)
def test_after_the_last_reply(given: dict[str, Any], expected: list[str]) -> None:
    live = make_session({"rules": [{"replies": [{"text": "a"}, {"text": "b"}], **given}, rule("next")]})
    assert said(live, *["hi"] * 5) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["a", "a", "b", "b", "next", "next"]),
        ({"after_last": "repeat"}, ["a", "a", "b", "b", "b", "b"]),
        ({"after_last": "cycle"}, ["a", "a", "b", "b", "a", "a"]),
    ],
    ids=["default", "repeat", "cycle"],
)
def test_times(given: dict[str, Any], expected: list[str]) -> None:
    replies = [{"text": "a", "times": 2}, {"text": "b", "times": 2}]
    live = make_session({"rules": [{"replies": replies, **given}, rule("next")]})
    assert said(live, *["hi"] * 6) == expected


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("session", [1, 2, 3, 4, 5]),
        ("request", [1, 2, 1, 2, 3]),
        ("key", [1, 2, 3, 1, 4]),
        ("header:X-Tenant", [1, 1, 2, 3, 4]),
    ],
)
def test_count_by(by: str, expected: list[int]) -> None:
    replies = [{"text": str(turn)} for turn in range(1, 7)]
    live = make_session({"rules": [{"count_by": by, "replies": replies}]})
    other = chat(text="other")
    answers = [
        live.send(),
        live.send(headers={"x-tenant": "acme"}),
        live.send(body=other, headers={"x-tenant": "acme", "session": "2"}),
        live.send(body=other, key="another-key", headers={"x-tenant": "acme"}),
        live.send(body=other, headers={"x-tenant": "acme"}),
    ]
    assert [int(text(item)) for item in answers] == expected


def test_state_moves_at_every_claim_errors_included() -> None:
    live = make_session(
        {
            "rules": [
                {"when": {"state": "started"}, "reply": {"error": "server_error"}, "then": {"state": 1}},
                {"when": {"state": 1}, "reply": {"text": "in ${state}"}, "then": {"state": False}},
                {"when": {"state": {"not": "started"}}, "reply": {"text": "then ${state}"}},
            ]
        }
    )
    assert said(live, *["hi"] * 4) == ["500", "in 1", "then False", "then False"]


def test_refusals_come_before_rules_and_take_no_turn() -> None:
    live = make_session({"plan": {"requests_per_minute": 2}, "rules": [{"replies": [{"text": "a"}, {"text": "b"}]}]})
    exchanges = [live.send(key=None), live.send(body={}), *[live.send() for _ in range(3)]]
    assert [item.timeline.status for item in exchanges] == [401, 400, 200, 200, 429]
    assert [text(item) for item in exchanges[2:4]] == ["a", "b"]


def test_operations_without_a_rule_get_the_built_in_reply() -> None:
    live = make_session({"provider": "brainstormrouter", "rules": [rule("a", when={"last_user": "hi"})]})
    answers = [
        live.send("brainstormrouter", method="GET", path="/models"),
        live.send("brainstormrouter"),
        live.send("beatra"),
    ]
    assert [item.rule for item in answers] == ["built-in", "unmatched", "built-in"]


@pytest.mark.parametrize(
    ("operation", "rules"), [("any", ["s1.yaml:rules[0]"] * 2), ("models", ["s1.yaml:rules[0]", "built-in"])]
)
def test_operation(operation: str, rules: list[str]) -> None:
    reply = {"json": {"object": "list", "data": []}, "off_contract": True}
    live = make_session({"rules": [{"when": {"operation": operation}, "reply": reply}]})
    answers = [live.send("brainstormrouter", method="GET", path="/models"), live.send("brainstormrouter")]
    assert [item.rule for item in answers] == rules


# Nothing matched


def test_a_miss_is_a_404_of_our_own_with_the_nearest_rules() -> None:
    live = make_session(
        """emulator: 1
rules:
  - id: far
    when: {model: x, last_user: {contains: zzz}, turn: {gt: 1}, stream: true}
    reply: {text: a}
  - id: used-up
    replies: [{text: once, times: 1}]
  - id: state
    when: {state: waiting}
    reply: {text: b}
  - id: near
    when: {headers: {X-Tenant: acme}, body: {$.temperature: {lte: 1}}}
    reply: {text: c}
  - id: states
    when: {state: {one_of: [b, a]}, system: {absent: false}, elapsed: {gt: 30s}}
    reply: {text: d}
"""
    )
    live.send()
    exchange = live.send(headers={"x-should": "x"}, at=NOW + 1)
    nearest = [
        {"rule": "s1.yaml:6", "id": "used-up",
         "differences": [{"field": "times", "expected": "at most 1 calls", "actual": "used up"}]},
        {"rule": "s1.yaml:8", "id": "state",
         "differences": [{"field": "state", "expected": "waiting", "actual": "started"}]},
        {"rule": "s1.yaml:11", "id": "near",
         "differences": [{"field": "headers.x-tenant", "expected": "acme", "actual": None},
                         {"field": "body.$.temperature", "expected": {"lte": 1}, "actual": None}]},
    ]  # fmt: skip
    message = (
        "No rule of the scenario answers this request. Nearest: "
        's1.yaml:6 (used-up): times: expected "at most 1 calls", got "used up"; '
        's1.yaml:8 (state): state: expected "waiting", got "started"; '
        's1.yaml:11 (near): headers.x-tenant: expected "acme", got null, '
        'body.$.temperature: expected {"lte":1}, got null'
    )
    assert body_of(exchange) == {"error": {"code": "emulator_unmatched", "message": message, "nearest": nearest}}
    assert exchange.timeline.status == 404
    assert headers_of(exchange)["x-should-retry"] == "false"
    assert (exchange.rule, exchange.rule_id, exchange.nearest) == ("unmatched", None, tuple(nearest))


@pytest.mark.parametrize(
    ("when", "difference"),
    [
        ({"state": {"one_of": ["b", "a"]}}, 'state: expected {"one_of":["a","b"]}, got "started"'),
        ({"state": {"not": "started"}}, 'state: expected {"not":["started"]}, got "started"'),
        ({"model": "x" * 200}, f'model: expected "{"x" * 118}…, got "auto"'),
        ({"headers": {"authorization": "Bearer x"}}, 'headers.authorization: expected "Bearer …'),
        ({"tool_result": {"name": "f"}}, 'tool_result: expected {"name":"f"}, got null'),
    ],
    ids=["one-of", "not", "long", "secret", "tool-result"],
)
def test_a_miss_says_what_differed(when: dict[str, Any], difference: str) -> None:
    message = body_of(make_session({"rules": [rule("a", when=when)]}).send())["error"]["message"]
    assert message.startswith(
        f"No rule of the scenario answers this request. Nearest: s1.yaml:rules[0] (rule-1): {difference}"
    )
    assert KEY not in message


def test_unmatched_built_in_answers_what_no_rule_does() -> None:
    live = make_session({"unmatched": "built-in", "rules": [rule("a", when={"last_user": "hi"})]})
    assert [live.send(body=chat(text=item)).rule for item in ("hi", "ho")] == ["s1.yaml:rules[0]", "built-in"]


# Scripted errors


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("name", STATUS)
def test_each_error_has_its_status_and_the_providers_envelope(provider: str, name: str) -> None:
    exchange = make_session({"rules": [{"reply": {"error": name}}]}).send(provider)
    error, known = body_of(exchange)["error"], PROVIDERS[provider]
    assert exchange.timeline.status == known.errors[name]["status"]
    form = known.envelope["error"]
    assert (error if form == "${message}" else error["message"]) == known.errors[name]["message"]
    if form != "${message}":
        given = known.errors[name]
        told = [field for field, shape in form.items() if field[-1] != "~" or any(map(given.get, holes(shape)))]
        assert set(error) == {field.removesuffix("~") for field in told}
    assert exchange.refusal is not None
    assert exchange.refusal[:2] == (name, known.errors[name]["status"])
    assert exchange.refusal[2].fact == PROVIDERS[provider].errors[name].get("fact")


def test_a_scripted_error_with_message_and_details() -> None:
    details = [{"path": "messages[0]", "message": "is odd"}, {"field": "top_p", "message": "too"}]
    error = {"name": "invalid_request", "message": "No, ${request.last_user}.", "details": details}
    exchange = make_session({"rules": [{"reply": {"error": error, "status": 418, "off_contract": True}}]}).send()
    body = body_of(exchange)["error"]
    assert (exchange.timeline.status, body["message"]) == (418, "No, hello.")
    assert body["details"] == [
        {"field": "messages[0]", "message": "is odd"}, {"field": "top_p", "message": "too"}
    ]  # fmt: skip


def test_details_alone_make_the_message() -> None:
    error = {"name": "invalid_request", "details": [{"path": "a", "message": "is odd"}, {"path": "", "message": "too"}]}
    body = body_of(make_session({"rules": [{"reply": {"error": error}}]}).send("braintwin"))["error"]
    assert (body["message"], body["param"]) == ("a: is odd; The body too", "a")


def test_a_scripted_error_with_a_body_of_its_own() -> None:
    reply = {"error": {"status": 507, "body": {"oops": "${n}"}}, "off_contract": True}
    exchange = make_session({"rules": [{"reply": reply}]}).send()
    assert (exchange.timeline.status, body_of(exchange), exchange.refusal) == (507, {"oops": "1"}, None)


def test_an_error_to_a_streamed_request_is_plain_json() -> None:
    exchange = make_session({"rules": [{"reply": {"error": "server_error"}}]}).send(body=chat(stream=True))
    assert (exchange.timeline.stream, headers_of(exchange)["content-type"]) == (False, "application/json")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ({"retry_after": 1}, "1"),
        ({"retry_after": "1500ms"}, "2"),
        ({"retry_after": 0}, "0"),
        ({"retry_after": 3, "headers": {"Retry-After": "7"}}, "7"),
        ({}, None),
    ],
    ids=["seconds", "rounded-up", "zero", "header-wins", "absent"],
)
def test_retry_after(reply: dict[str, Any], value: str | None) -> None:
    exchange = make_session({"rules": [{"reply": {"error": "rate_limited", **reply}}]}).send()
    assert [item for name, item in exchange.timeline.headers if name == "retry-after"] == ([value] if value else [])


# Headers

REQUEST_ID = r"req_[0-9A-HJKMNP-TV-Z]{26}"
COUNTED = ("requests", "tokens", "input-tokens", "output-tokens")
DOCUMENTED = {
    "anthropic": {
        "request-id": "req_01[A-Za-z0-9]{22}", "anthropic-organization-id": "[0-9a-f-]{36}",
        "anthropic-workspace-id": "wrkspc_.+",
        **{f"anthropic-ratelimit-{kind}-{what}": form for kind in COUNTED
           for what, form in (("limit", "[0-9]+"), ("remaining", "[0-9]+000"), ("reset", "2027-01-15T08:01:00Z"))},
    },
    "azure": {
        "apim-request-id": "[0-9a-f-]{36}", "x-ms-region": "East US", "x-ratelimit-remaining-requests": "[0-9]+",
        "x-ratelimit-remaining-tokens": "[0-9]+",
    },
    "beatra": {"x-request-id": REQUEST_ID},
    "brainstormrouter": {"x-ratelimit-remaining": "19", "x-ratelimit-reset": "1800000060"},
    "braintwin": {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59", "x-ratelimit-reset": "1800000060"},
    "brivionix": {},
    "compatible": {},
    "deepseek": {},
    "openrouter": {},
    "ollama": {},
    "openai": {
        "x-request-id": "req_[0-9a-f]+", "openai-organization": "org-.+", "openai-processing-ms": "[0-9]+",
        "openai-version": "2020-10-01", "x-ratelimit-limit-requests": "[0-9]+", "x-ratelimit-limit-tokens": "[0-9]+",
        "x-ratelimit-remaining-requests": "[0-9]+", "x-ratelimit-remaining-tokens": "[0-9]+",
        "x-ratelimit-reset-requests": "1m0s", "x-ratelimit-reset-tokens": "1m0s",
    },
}  # fmt: skip
OURS = {"content-type", "x-emulator-exchange", "x-emulator-rule", "x-should-retry", "allow"}


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_have_the_documented_headers_and_ours(provider: str, stream: bool) -> None:
    headers = headers_of(make_session().send(provider, chat(provider, stream=stream)))
    wire = PROVIDERS[provider].operations["chat"].wire
    kind = wire.stream_type if wire and stream else "application/json"
    assert headers.pop("content-type") == kind
    assert (headers.pop("x-emulator-exchange"), headers.pop("x-emulator-rule")) == ("1", "built-in")
    assert headers.keys() == DOCUMENTED[provider].keys()
    assert [name for name, form in DOCUMENTED[provider].items() if not re.fullmatch(form, headers[name])] == []


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("request_", [{"key": None}, {"raw": b"{"}, {"path": "/x"}, {"method": "PUT"}],
                         ids=["401", "400", "404", "405"])  # fmt: skip
def test_refusals_have_the_documented_headers_too(provider: str, request_: dict[str, Any]) -> None:
    exchange = make_session().send(provider, **request_)
    headers = headers_of(exchange)
    scopes, asked = PROVIDERS[provider].header_scopes, (exchange.claim.operation, exchange.timeline.status, False)
    every = {name for name in DOCUMENTED[provider] if name not in scopes or scopes[name].covers(*asked)}
    assert set(headers) - OURS - {"x-emulator-hint"} == every
    rule = "built-in" if "key" in request_ and PROVIDERS[provider].key_optional else "refused"
    assert (headers["x-emulator-rule"], exchange.rule) == (rule, rule)


def test_a_plan_without_limits_shows_a_large_one() -> None:
    headers = headers_of(make_session(plan="unlimited").send("braintwin"))
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1000000", "1000000")


def test_a_scripted_429_shows_that_nothing_remains_and_other_errors_do_not() -> None:
    live = make_session({"rules": [{"replies": [{"error": "rate_limited"}, {"error": "server_error"}]}]})
    shown = [headers_of(live.send("braintwin"))["x-ratelimit-remaining"] for _ in range(2)]
    assert shown == ["0", "58"]


def test_reset_is_rounded_up() -> None:
    assert headers_of(make_session().send("braintwin", at=NOW + 0.25))["x-ratelimit-reset"] == "1800000061"


def test_a_reply_sets_headers_and_replaces_documented_ones() -> None:
    reply = {"text": "a", "headers": {"X-Extra": "${request.last_user}", "X-RateLimit-Remaining": "5"}}
    exchange = make_session({"rules": [{"reply": reply}]}).send("braintwin", chat("braintwin", "héllo\n!"))
    found = [
        (name, value) for name, value in exchange.timeline.headers if name.startswith(("x-extra", "x-ratelimit-rem"))
    ]
    assert found == [("x-extra", "h?llo?!"), ("x-ratelimit-remaining", "5")]


# Limits

LIMITED = "Rate limit exceeded: {} a minute on the plan {}."


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"requests_per_minute": 1}, LIMITED.format("1 requests", "scenario")),
        ({"tokens_per_minute": 5}, LIMITED.format("5 tokens", "scenario")),
    ],
    ids=["requests", "tokens"],
)
def test_a_request_over_the_plan_is_refused(plan: dict[str, int], message: str) -> None:
    live = make_session({"plan": plan})
    first, second = live.send("braintwin"), live.send("braintwin")
    assert [first.timeline.status, second.timeline.status] == [200, 429]
    assert body_of(second)["error"]["message"] == message
    assert headers_of(second)["x-ratelimit-remaining"] == "0"
    assert second.refusal is not None
    assert second.refusal[2].fact == "bt-error-429"


def test_every_refusal_has_an_id_of_its_own() -> None:
    live = make_session({"plan": {"requests_per_minute": 3}})
    live.send(), live.send(key=None), live.send()
    exchanges = [live.send() for _ in range(6)] + [live.send(key=None) for _ in range(6)]
    ids = [headers_of(item)["x-request-id"] for item in exchanges]
    assert len(set(ids)) == 12


# Replays


@pytest.mark.parametrize(
    ("operation", "looks"), [("models", False), ("cost_forecast", False), ("rankings", True), ("patterns", True)]
)
def test_only_what_is_computed_of_the_past_asks_for_it(operation: str, looks: bool) -> None:
    found = PROVIDERS["brainstormrouter"].operations[operation]
    body = {"tasks": []} if found.method == "POST" else None
    request = make_request("brainstormrouter", body, method=found.method, path=found.path)
    live = make_session()
    assert live.engine.claim(live.session, request).history is looks


def keyed(live: EngineSession, **given: Any) -> Exchange:
    return live.send(headers={"idempotency-key": UUID}, **given)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_replay_has_the_same_frames_and_fresh_headers(stream: bool) -> None:
    reply = {"text": "one ${n}", "headers": {"x-extra": "${n}"}, "stream": {"ttft": 1}}
    live = make_session({"rules": [{"reply": reply}]})
    first, again = (keyed(live, body=chat(stream=stream, x=1), at=at) for at in (NOW, NOW + 100))
    assert (again.timeline.status, again.timeline.frames) == (200, first.timeline.frames)
    one, two = headers_of(first), headers_of(again)
    assert one.pop("x-request-id") != two.pop("x-request-id")
    assert two.pop("x-emulator-replayed") == "true"
    assert (one.pop("x-emulator-exchange"), two.pop("x-emulator-exchange")) == ("1", "2")
    assert one == two
    assert (again.tokens, again.rule, again.model) == (0, first.rule, first.model)
    assert [note.path for note in again.notes] == [note.path for note in first.notes] == ["x"]
    assert again.grant.replay == first


def test_a_key_with_another_body_is_a_mismatch() -> None:
    live = make_session()
    keyed(live)
    exchange = keyed(live, body=chat(text="other"))
    assert (exchange.timeline.status, body_of(exchange)["error"]["code"]) == (422, "idempotency_mismatch")


def test_a_key_whose_first_answer_is_not_over_is_in_progress() -> None:
    live = make_session({"rules": [{"reply": {"text": "slow", "latency": 5}}]})
    exchanges = [keyed(live, at=NOW + after) for after in (0, 4, 6)]
    assert [item.timeline.status for item in exchanges] == [200, 409, 200]
    assert body_of(exchanges[1])["error"]["code"] == "idempotency_in_progress"


@pytest.mark.parametrize(
    "first", [{"error": "rate_limited"}, {"text": "a", "faults": [{"cut": {"after_bytes": 3}}]}], ids=["429", "cut"]
)
def test_after_a_failure_the_key_runs_again(first: dict[str, Any]) -> None:
    live = make_session({"rules": [{"replies": [first, {"text": "second"}]}]})
    keyed(live)
    again = keyed(live)
    assert (text(again), again.grant.replay) == ("second", None)


# Draws


def run(live: EngineSession, provider: str) -> list[tuple[bytes, ...]]:
    bodies = [chat(provider), chat(provider, "other", stream=True), {}, chat(provider)]
    return [tuple(frame.data for frame in live.send(provider, body).timeline.frames) for body in bodies]


SCRIPT: dict[str, Any] = {
    "seed": 7,
    "rules": [
        {
            "when": {"last_user": "other"},
            "reply": {"text": "${uuid}", "stream": {"itl": {"uniform": {"min": 0, "max": 1}}}},
        },
        {"reply": {"builtin": True}},
    ],
}


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("script", [{"seed": 7}, SCRIPT], ids=["built-in", "scripted"])
def test_the_same_seed_gives_the_same_bytes_in_any_session(provider: str, script: dict[str, Any]) -> None:
    one, two = make_session(script, plan="unlimited"), make_session(script, plan="unlimited", id="own")
    two.session = replace(two.session, api_key=KEY)
    assert run(one, provider) == run(two, provider)


@pytest.mark.parametrize("provider", NAMES)
def test_another_seed_gives_other_bytes(provider: str) -> None:
    one, two = (run(make_session({**SCRIPT, "seed": seed}, plan="unlimited"), provider) for seed in (7, 8))
    assert [left != right for left, right in zip(one[:2], two[:2], strict=True)] == [True, True]


def test_the_same_request_gets_the_same_words_under_a_new_id() -> None:
    live = make_session()
    one, two = (body_of(live.send()) for _ in range(2))
    assert one["choices"] == two["choices"]
    assert one["id"] != two["id"]


def test_defaults_filled_in_the_built_in_words_are_the_same() -> None:
    live = make_session()
    bodies = [chat("brivionix"), chat("brivionix", temperature=0.7, top_p=1), chat("brivionix", temperature=0.6)]
    choices = [body_of(live.send("brivionix", body))["choices"] for body in bodies]
    assert choices[0] == choices[1] != choices[2]


def test_a_streamed_built_in_reply_says_the_same_as_a_whole_one() -> None:
    live = make_session()
    whole, streamed = live.send("brivionix"), live.send("brivionix", chat("brivionix", stream=True))
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks_of(streamed)]
    assert "".join(deltas) == text(whole)


# Templates


def test_what_templates_can_name() -> None:
    template = (
        "${request.last_user}|${request.system}|${request.model}|${request.operation}|${request.provider}|"
        "${request.session}|${request.method}|${request.path}|${request.stream}|${request.turn}|${request.step}|"
        "${request.headers.x-tenant}|${request.body.messages.0.content}|${request.tools}|${vars.who.0}|${state}|${n}|"
        "${now}|$${n}"
    )
    live = make_session({"vars": {"who": ["Ada"]}, "rules": [rule(template)]})
    messages = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "hi"}]
    exchange = live.send("brivionix", chat("brivionix", messages=messages), headers={"x-tenant": "acme"})
    assert text(exchange) == (
        "hi|Be kind|gpt-5.4-mini|chat|brivionix|default|POST|/chat/completions|false|1|0|acme|Be kind|[]|Ada|started|1|"
        "1800000000|${n}"
    )


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "cookie"])
def test_templates_cannot_name_secrets(name: str) -> None:
    exchange = make_session({"rules": [rule(f"${{request.headers.{name}}}!")]}).send(
        headers={"cookie": "c", "x-api-key": "x"}
    )
    assert text(exchange) == "!"
    assert [(note.path, note.message) for note in exchange.notes] == [
        ("reply", f"${{request.headers.{name}}} is empty: there is nothing at that path")
    ]


def test_vars_are_per_provider() -> None:
    live = make_session(
        {"provider": "beatra", "vars": {"who": "Ada"}, "rules": [rule("${vars.who}")]},
        {"provider": "braintwin", "vars": {"who": "Grace"}, "rules": [rule("${vars.who}")]},
    )
    assert [text(live.send(name)) for name in ("beatra", "braintwin")] == ["Ada", "Grace"]


# Models


def test_auto_becomes_the_model_that_serves() -> None:
    live = make_session()
    embed = {"model": "auto", "input": "x"}
    served = [
        live.send("beatra"),
        live.send("brainstormrouter"),
        live.send("brainstormrouter", embed, path="/embeddings"),
    ]
    assert [(item.model, body_of(item)["model"]) for item in served] == [
        (name, name) for name in ("beatra-1", "claude-opus-4-6", "text-embedding-3-large")
    ]


# Faults


def test_faults_are_applied_and_what_had_no_hold_is_noted() -> None:
    faults = [{"stall": {"after_chunks": 1, "for": 5}}, {"cut": {"after_bytes": 10}}]
    live = make_session({"rules": [{"reply": {"text": "hello there", "faults": faults}}]})
    exchange = live.send()
    assert exchange.timeline.faults == ("cut",)
    assert (exchange.timeline.end, sum(len(frame.data) for frame in exchange.timeline.frames)) == ("fin", 10)
    assert [(note.path, note.message) for note in exchange.notes] == [
        ("faults", "the fault stall had nothing to act on here")
    ]


# Strict answers


@pytest.mark.parametrize("provider", NAMES)
def test_strict_sends_only_what_the_samples_show(provider: str) -> None:
    exchange = make_session(validation="strict").send(provider)
    operation = PROVIDERS[provider].operations["chat"]
    shown = operation.shown.get("response") or operation.response.document["properties"]
    assert body_of(exchange).keys() - shown.keys() == set()


# A guard against a slip of ours


def test_a_claim_without_a_call_is_never_granted_a_reply() -> None:
    live = make_session()
    sent = live.send(key=None)
    claim = replace(sent.claim, refusal=None, counted=True)
    with pytest.raises(TypeError, match="a claim without a call was granted a reply"):
        live.engine.answer(live.session, sent.request, claim, Grant(1, Standing(None, None, None, NOW), "started"))


def test_what_is_sent_is_json_without_escapes() -> None:
    exchange = make_session({"rules": [rule("héllo 🌍")]}).send()
    data = exchange.timeline.frames[0].data
    assert "héllo 🌍".encode() in data
    assert json.loads(data)["choices"][0]["message"]["content"] == "héllo 🌍"


# Proxied


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [
        ({"rules": [{"reply": {"proxy": True}}]}, "s1.yaml:rules[0]"),
        ({"unmatched": "proxy", "rules": [{"when": {"turn": 9}, "reply": {"text": "x"}}]}, "proxy"),
    ],
    ids=["reply", "unmatched"],
)
def test_a_request_for_the_upstream_says_so_where_there_is_none(scenario: Any, rule: str) -> None:
    exchange = make_session(scenario).send("beatra")
    assert (exchange.proxied, exchange.rule, exchange.timeline.status) == (True, rule, 404)
    assert body_of(exchange) == {
        "error": {
            "code": "emulator_no_upstream",
            "message": "This request goes to an upstream, and there is none; start with --upstream beatra=BASE_URL.",
        }
    }


def test_an_operation_without_rules_is_built_in_whatever_unmatched_says() -> None:
    live = make_session({"unmatched": "proxy", "rules": [{"when": {"turn": 9}, "reply": {"text": "x"}}]})
    exchange = live.send("brainstormrouter", method="GET", path="/models")
    assert (exchange.proxied, exchange.rule) == (False, "built-in")


def test_validation_and_chaos_come_before_the_upstream() -> None:
    rules = {"rules": [{"reply": {"proxy": True}}]}
    assert make_session(rules).send("beatra", raw=b"{").rule == "refused"
    struck = make_session({**rules, "chaos": [{"chance": 1, "error": "server_error"}]}).send("beatra")
    assert (struck.proxied, struck.timeline.status) == (False, 500)
    passed = make_session({**rules, "chaos": [{"chance": 1, "fault": {"empty": True}}]}).send("beatra")
    assert (passed.proxied, passed.timeline.faults) == (True, ())
