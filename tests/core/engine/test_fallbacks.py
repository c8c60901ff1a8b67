"""Models that a request lists, each asked where the one before it fails: OpenRouter's `models`."""

from __future__ import annotations

from typing import Any

import pytest
from build import body_of, chat, make_session

from emulator.core.schema.untrusted import Allowance

A, B, C = "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4.6"
DOWN: dict[str, Any] = {"error": "rate_limited"}


def of(model: str, *replies: dict[str, Any], **rule: Any) -> dict[str, Any]:
    return {"when": {"model": model}, "replies": list(replies), **rule}


FIRST = "'openai/gpt-4o-mini' was asked, since the scenario has 'openai/gpt-4o' fail"
#: The rules, what the request says beside model A, and of each answer in turn its status, who made it and its text.
ASKED: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[tuple[int, str, str | None]]]] = {
    "the next answers": ([of(A, DOWN), of(B, {"text": "b"})], {"models": [B]}, [(200, B, "b")] * 2),
    "the first answers": ([of(A, {"text": "a"}), of(B, DOWN)], {"models": [B]}, [(200, A, "a")] * 2),
    "all fail: the last error": (
        [of(A, DOWN), of(B, {"error": "bad_gateway"})], {"models": [B]}, [(502, B, "Provider returned error")]),
    "the third": ([of(A, DOWN), of(B, DOWN), of(C, {"text": "c"})], {"models": [B, C]}, [(200, C, "c")]),
    "the first among its own fallbacks": ([of(A, DOWN), of(B, {"text": "b"})], {"models": [A, B]}, [(200, B, "b")]),
    "without a model": ([of(A, DOWN), of(B, {"text": "b"})], {"models": [A, B], "model": None}, [(200, B, "b")]),
    "the first of a list": ([{"reply": {"text": "it"}}], {"models": [B, C], "model": None}, [(200, B, "it")]),
    "an error of its own": (
        [of(A, {"error": {"status": 418, "body": {}}, "off_contract": True}), of(B, {"text": "b"})], {"models": [B]},
        [(200, B, "b")]),
    "for as long as it fails": (
        [of(A, {**DOWN, "times": 2}, {"text": "a"}), of(B, {"text": "b"})], {"models": [B]},
        [(200, B, "b"), (200, B, "b"), (200, A, "a"), (200, A, "a")]),
    "again and again": (
        [of(A, {"text": "a"}, DOWN, after_last="cycle"), of(B, {"text": "b"})], {"models": [B]},
        [(200, A, "a"), (200, B, "b"), (200, A, "a"), (200, B, "b")]),
    "one rule for all": (
        [{"replies": [DOWN, {"text": "hello"}]}], {"models": [B]}, [(200, B, "hello"), (200, A, "hello")]),
    "no list": ([of(A, DOWN), of(B, {"text": "b"})], {}, [(429, A, "Rate limit exceeded")]),
    "a wrong key is no model's": (
        [of(A, {"error": "unauthorized"}), of(B, {"text": "b"})], {"models": [B]},
        [(401, A, "No auth credentials found")]),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "said", "answers"), ASKED.values(), ids=ASKED)
def test_who_answers(rules: list[dict[str, Any]], said: dict[str, Any], answers: list[tuple[int, str, str]]) -> None:
    live = make_session({"provider": "openrouter", "rules": rules})
    body = {name: value for name, value in chat("openrouter", **said).items() if value is not None}
    for status, model, text in answers:
        exchange = live.send("openrouter", body)
        answer = body_of(exchange)
        told = answer["choices"][0]["message"]["content"] if "choices" in answer else answer["error"]["message"]
        assert (exchange.timeline.status, exchange.model, told) == (status, model, text)
        assert answer.get("model", model) == model
        assert live.engine.again(live.session, exchange.request, exchange.grant).timeline == exchange.timeline


def test_it_is_said_who_was_asked_and_what_it_costs() -> None:
    live = make_session({"provider": "openrouter", "rules": [of(A, DOWN), of(B, {"text": "b"})]})
    exchange = live.send("openrouter", chat("openrouter", models=[B]))
    assert [(note.fact, note.path, note.message) for note in exchange.notes] == [("or-fallback", "models", FIRST)]
    assert body_of(exchange)["usage"]["cost"] < 5e-6  # the dearer one's would be 3e-5
    assert [live.store.counters("default", 0.0).calls[name] for name in ("rule-1", "rule-2")] == [1, 1]


UNMATCHED = {
    "refuse": (404, '{"field":"model","expected":"openai/gpt-4o","actual":"openai/gpt-4o-mini"}]}]'),
    "built-in": (200, '"model":"openai/gpt-4o-mini"'),
}


@pytest.mark.parametrize(("unmatched", "wanted"), UNMATCHED.items(), ids=UNMATCHED)
def test_a_fallback_that_no_rule_answers(unmatched: str, wanted: tuple[int, str]) -> None:
    live = make_session({"provider": "openrouter", "unmatched": unmatched, "rules": [of(A, DOWN)]})
    exchange = live.send("openrouter", chat("openrouter", models=[B]))
    assert exchange.timeline.status == wanted[0]
    assert wanted[1] in exchange.timeline.frames[0].data.decode()


def test_all_models_of_a_request_share_the_steps_that_conditions_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[Allowance] = []
    monkeypatch.setattr(Allowance, "restart", lambda allowed: began.append(allowed))
    rules = [{"when": {"last_user": {"regex": "h.llo"}}, "replies": [DOWN, DOWN, {"text": "c"}]}]
    exchange = make_session({"provider": "openrouter", "rules": rules}).send(
        "openrouter", chat("openrouter", models=[B, C])
    )
    assert (exchange.model, len(began)) == (C, 1)


def test_a_muted_fact_asks_no_other() -> None:
    live = make_session(
        {"provider": "openrouter", "mute": ["or-fallback"], "rules": [of(A, DOWN), of(B, {"text": "b"})]}
    )
    assert live.send("openrouter", chat("openrouter", models=[B])).timeline.status == 429
