"""Chaos: errors and faults that strike any answer at random, and again with the same seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from build import NOW, PROVIDERS, chat, make_session

from emulator.core.engine.load import parse_text
from emulator.core.errors import SourceError
from emulator.core.scenario.scenario import CHAOS_ERROR
from emulator.core.values import Exchange

HEAD = "emulator: 1\nprovider: beatra\nseed: 4\n"
RULES = "rules:\n  - {id: one, reply: {text: a b c d, stream: {split: words}}}\n"


def answers(chaos: str, count: int = 200, rules: str = RULES, **body: Any) -> list[Exchange]:
    live = make_session(f"{HEAD}{rules}chaos:\n{chaos}", plan="unlimited")
    return [live.send(body=chat(**body)) for _ in range(count)]


def notes(exchange: Exchange) -> list[str]:
    return [note.message for note in exchange.notes if note.path in ("chaos", CHAOS_ERROR)]


def test_an_error_takes_the_place_of_so_many_answers_and_of_the_same_ones_again() -> None:
    chaos = "  - {chance: 0.3, error: rate_limited, retry_after: 2}\n"
    first, second = answers(chaos), answers(chaos)
    statuses = [exchange.timeline.status for exchange in first]
    assert 40 < Counter(statuses)[429] < 80
    assert statuses == [exchange.timeline.status for exchange in second]
    struck = next(exchange for exchange in first if exchange.timeline.status == 429)
    assert (struck.rule_id, struck.refusal and struck.refusal[0]) == ("one", "rate_limited")
    assert dict(struck.timeline.headers)["retry-after"] == "2"
    assert notes(struck) == [
        f"the error rate_limited struck (s1.yaml:7; seed 4, rule one, n {struck.grant.n} bring it again)"
    ]
    assert all(notes(exchange) == [] for exchange in first if exchange.timeline.status == 200)


def test_a_fault_strikes_and_says_so() -> None:
    struck = [item for item in answers("  - {chance: 0.5, fault: {cut: {after_chunks: 2}}}\n", stream=True)
              if item.timeline.broken]  # fmt: skip
    assert 70 < len(struck) < 130
    assert struck[0].timeline.faults == ("cut",)
    assert notes(struck[0])[0].startswith("the fault cut struck (s1.yaml:7; seed 4, rule one, n ")


def test_a_fault_without_hold_is_noted() -> None:
    (exchange,) = answers("  - {chance: 1, fault: {cut: {after_chunks: 2}}}\n", 1)
    assert (exchange.timeline.broken, notes(exchange)) == (False, ["the fault cut had nothing to act on here"])


def test_the_first_error_counts_and_every_fault() -> None:
    chaos = """\
  - {chance: 1, fault: {stall: {after_chunks: 1, for: 1s}}}
  - {chance: 1, error: model_unavailable}
  - {chance: 1, error: server_error}
  - {chance: 1, fault: {invalid_json: true}}
"""
    (exchange,) = answers(chaos, 1, stream=True)
    assert (exchange.timeline.status, exchange.timeline.faults) == (503, ("invalid_json",))
    assert [text.split(" struck")[0] for text in notes(exchange)] == [
        "the error model_unavailable", "the fault stall had nothing to act on here", "the fault invalid_json",
    ]  # fmt: skip


@pytest.mark.parametrize(("when", "status"), [
    ("{model: auto}", 500), ("{model: beatra-1}", 200), ("{operation: chat}", 500), ("{operation: any}", 500),
    ("{last_user: {contains: hello}}", 500), ("{stream: true}", 200),
])  # fmt: skip
def test_what_it_can_strike(when: str, status: int) -> None:
    (exchange,) = answers(f"  - {{chance: 1, when: {when}, error: server_error}}\n", 1)
    assert exchange.timeline.status == status


def test_built_in_answers_are_struck_too_and_refusals_are_not() -> None:
    chaos = "  - {chance: 1, error: server_error}\n"
    (exchange,) = answers(chaos, 1, rules="")
    assert (exchange.timeline.status, exchange.rule) == (500, "built-in")
    assert notes(exchange) == ["the error server_error struck (s1.yaml:5; seed 4, rule built-in, n 1 bring it again)"]
    (refused,) = answers(chaos, 1, rules="", temperature=9)
    assert refused.timeline.status == 400


def test_a_turn_is_spent_all_the_same() -> None:
    rules = "rules:\n  - replies: [{text: first}, {text: second}]\n"
    live = make_session(f"{HEAD}{rules}chaos:\n  - {{chance: 0.5, error: server_error}}\n", plan="unlimited")
    sent = [live.send() for _ in range(20)]
    assert 500 in {exchange.timeline.status for exchange in sent}
    assert [exchange.reply for exchange in sent] == [0, *[1] * 19]


def test_a_limit_that_strikes_shows_nothing_left() -> None:
    live = make_session("emulator: 1\nchaos: [{chance: 1, error: rate_limited}]\n")
    exchange = live.send(provider="braintwin", body=chat("braintwin"))
    assert dict(exchange.timeline.headers)["x-ratelimit-remaining"] == "0"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("{chance: 2, error: timeout}", "3:10: chaos[0].chance: must be at most 1, not 2"),
        ("{error: timeout}", "3:9: chaos[0].chance: is required"),
        ("{chance: 1}", "3:9: chaos[0]: needs one of: error, fault"),
        ("{chance: 1, error: nothing}", "chaos[0].error: "),
        ("{chance: 1, fault: {cut: {before: done}, chance: 0.5}}",
         "chaos[0].fault.chance: stands here a second time; the one of the chaos is enough"),
        ("{chance: 1, when: {state: a}, error: timeout}",
         "chaos[0].when.state: cannot be used here; chaos strikes in every state"),
        ("{chance: 1, when: {operation: chatt}, error: timeout}",
         "chaos[0].when.operation: there is no operation 'chatt'; did you mean 'chat'?"),
        ("{chance: 1, when: {model: {regex: '('}}, error: timeout}", "chaos[0].when.model"),
        ("{chance: 1, fault: {slow_headers: {for: forever}}}",
         "chaos[0].fault: slow_headers needs a duration that ends"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_what_is_wrong_is_said(item: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_text(f"emulator: 1\nprovider: beatra\nchaos: [{item}]\n", "a", PROVIDERS)
    assert says in str(caught.value)


def test_an_error_that_the_docs_do_not_list_is_a_warning() -> None:
    scenario = parse_text("emulator: 1\nprovider: beatra\nchaos: [{chance: 1, error: timeout}]\n", "a", PROVIDERS)
    assert [str(item) for item in scenario.warnings] == [
        "a:3:9: chaos[0]: the docs of Beatra don't list the error timeout, only invalid_request, rate_limited, "
        "model_unavailable"
    ]


def test_it_strikes_no_refusal_no_replay_and_nothing_unmatched() -> None:
    rules = "rules:\n  - {when: {last_user: one}, reply: {text: a}}\n"
    chaos = "chaos: [{chance: 0.5, error: model_unavailable}, {chance: 0.5, fault: {invalid_json: true}}]\n"
    live = make_session(f"{HEAD}{rules}{chaos}", plan="unlimited")

    def ask(text: str, at: float = 0.0, **body: Any) -> tuple[int, tuple[str, ...], list[str]]:
        headers = {"idempotency-key": "550e8400-e29b-41d4-a716-446655440000"} if text == "one" else {}
        exchange = live.send(body=chat(text=text, **body), headers=headers, at=NOW + at)
        return exchange.timeline.status, exchange.timeline.faults, notes(exchange)

    while ask("one") != (200, (), []):
        pass
    assert [ask("one", at=1.0) for _ in range(20)] == [(200, (), [])] * 20
    assert [ask("two") for _ in range(20)] == [(404, (), [])] * 20
    assert [ask("two", temperature=9) for _ in range(20)] == [(400, (), [])] * 20


def test_what_two_strikes_draw_differs() -> None:
    item = "  - {chance: 1, fault: {stall: {after_chunks: 1, for: {uniform: {min: 1, max: 9}}}}}\n"
    (exchange,) = answers(item * 2, 1, stream=True)
    (single,) = answers(item, 1, stream=True)
    assert exchange.timeline.end_at != 2 * single.timeline.end_at


def test_its_faults_and_the_replys_share_one_order() -> None:
    """What divides all that is sent comes last, whoever asked for it."""
    rules = "rules:\n  - {reply: {text: a b c, stream: {split: words}, faults: [{slice: {bytes: 40}}]}}\n"
    (exchange,) = answers("  - {chance: 1, fault: {drop_done: true}}\n", 1, rules=rules, stream=True)
    sent = b"".join(frame.data for frame in exchange.timeline.frames)
    assert exchange.timeline.faults == ("drop_done", "slice")
    assert (b"[DONE]" in sent, b'"finish_reason":"stop"' in sent, sent.endswith(b"}\n\n")) == (False, True, True)
