"""Limits as OpenAI tells them: what was used comes back bit by bit, and the headers say when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from build import NOW, body_of, chat, headers_of, make_request, make_session

from emulator.core.answer.framing import in_one_piece
from emulator.core.values import Exchange, Plan

#: Seconds since the first, more fields, and what is told: requests and tokens left, and when all of them are back.
STEPS: list[tuple[float, dict[str, Any], list[str]]] = [
    (0, {}, ["499", "499992", "120ms", "1ms"]),
    (0.06, {}, ["498", "499992", "180ms", "1ms"]),
    (0.06, {"max_completion_tokens": 5000}, ["497", "494992", "300ms", "601ms"]),
    (0.36, {"max_tokens": 4}, ["499", "497484", "120ms", "302ms"]),
    (90, {}, ["499", "499992", "120ms", "1ms"]),
]
NAMES = [f"x-ratelimit-{what}" for what in ("remaining-requests", "remaining-tokens", "reset-requests", "reset-tokens")]


def test_the_headers_tell_what_is_back_when() -> None:
    live = make_session(provider="openai", plan="tier-1")
    told = [headers_of(live.send("openai", chat("openai", **more), at=NOW + wait)) for wait, more, _ in STEPS]
    assert [[headers[name] for name in NAMES] for headers in told] == [wanted for _, _, wanted in STEPS]


def refused(plan: Plan, *asked: tuple[float, int]) -> Exchange:
    """Return the last of several answers, each after so many seconds to a request for so many tokens."""
    live = make_session(provider="openai", plan=plan)
    for wait, cap in asked:
        given = live.send("openai", chat("openai", max_completion_tokens=cap), at=NOW + wait)
    assert given.timeline.status == 429
    return given


@pytest.mark.parametrize(
    ("plan", "asked", "message", "seconds"),
    [
        (Plan("p", 3), [(0, 1)] * 4, "Limit 3, Used 3, Requested 1. Please try again in 20s.", "20"),
        (Plan("p", 3), [*[(0, 1)] * 3, (15, 1)], "Limit 3, Used 3, Requested 1. Please try again in 5s.", "5"),
        (Plan("p", None, 100), [(0, 60)] * 2, "Limit 100, Used 60, Requested 60. Please try again in 12s.", "12"),
        (Plan("p", None, 100), [(0, 101)], "Limit 100, Requested 101. The input or output tokens must be", None),
        (Plan("p", 0), [(0, 1)], "Limit 0, Used 0, Requested 1. Please try again in 1m0s.", "60"),
    ],
    ids=["requests", "before one is back", "tokens", "one request", "none at all"],
)
def test_what_is_over_a_limit_is_told_when_it_passes(
    plan: Plan, asked: list[tuple[float, int]], message: str, seconds: str | None
) -> None:
    given = refused(plan, *asked)
    assert message in body_of(given)["error"]["message"]
    assert headers_of(given).get("retry-after") == seconds


def test_answers_to_a_plan_that_refills_are_compiled() -> None:
    live = make_session({"rules": [{"reply": {"text": "one"}}]}, provider="openai", plan="tier-1")
    for number in range(5):
        asked = make_request("openai", chat("openai", max_completion_tokens=900 + number // 4), at=NOW + number / 7)
        claim = live.engine.claim(live.session, asked)
        grant = live.store.take(claim)
        form = live.engine.answer_cache.compiled(live.session, asked, claim, grant)
        exchange = live.engine.answer(live.session, replace(asked), claim, grant)
        assert form is None or form.fill(asked.at, grant) == in_one_piece(exchange.timeline)
        assert (form is not None) is (number in (1, 2, 3))
