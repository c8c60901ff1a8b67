"""Stores: turns, states, windows, idempotency records and journals, the same for every store."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from build import NOW, chat, make_call, make_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.core.store import Counters, Store
from emulator.core.stored_answers import Keeping
from emulator.core.values import Candidate, Claim, Exchange, Frame, Grant, Plan, Request, Sent, Standing, Timeline
from emulator.stores import memory
from emulator.stores.memory import MemoryStore, weigh

NO_LIMIT = Plan("none")
REQUEST: Request = make_request()
ANY = Candidate("any", "any", None, None, None)


@pytest.fixture
def make() -> Callable[[int], Store]:
    """Return what makes a store with journals of a size; tests/shared has another one, and runs this suite over it."""
    return MemoryStore


@pytest.fixture
def store(make: Callable[[int], Store]) -> Store:
    return make(10)


def claim(*candidates: Candidate, at: float = NOW, plan: Plan = NO_LIMIT, counted: bool = True, **given: Any) -> Claim:
    return Claim("s", given.pop("provider", "p"), given.pop("key", "k"), plan, at, counted, candidates, **given)


def once(rule: str, turns: int | None = 1, key: str | None = None, **given: Any) -> Candidate:
    return Candidate(rule, key or rule, given.get("states"), turns, given.get("then"))


def exchange(
    claim: Claim, grant: Grant, status: int = 200, tokens: int = 0, end: Any = "complete", end_at: float = 0.0
) -> Exchange:
    timeline = Timeline(status, (), (Frame(end_at, b"{}", "body"),), end=end, end_at=end_at)
    return Exchange(claim, grant, replace(REQUEST, at=claim.at), timeline, "rule", tokens=tokens)


def choices(store: Store, *claims: Claim) -> list[tuple[int | None, int, int]]:
    """Take each claim; return the candidate's index, n and turn."""
    grants = [store.take(item) for item in claims]
    return [(grant.candidate, grant.n, grant.turn) for grant in grants]


# Answers that are kept for later requests


def that_keeps(store: Store, keeping: Keeping | None) -> Exchange:
    """Take a claim, and record its exchange."""
    asked = claim(ANY)
    made = replace(exchange(asked, store.take(asked)), keeping=keeping)
    store.record(made)
    return made


def kept(store: Store, ident: str) -> tuple[int, str] | None:
    """Return the number of the exchange whose answer is kept, and what that has otherwise since."""
    found: Any = store.recall("s", ident)
    return (found[0].grant.number, found[1]) if found else None


def test_an_answer_is_kept_by_its_id_until_it_is_forgotten(store: Store) -> None:
    that_keeps(store, None)
    that_keeps(store, Keeping("keep", "one"))
    that_keeps(store, Keeping("keep", "two"))
    assert [kept(store, ident) for ident in ("one", "two", "three")] == [(2, ""), (3, ""), None]
    for data in ('{"a":1}', '{"b":"é"}'):
        that_keeps(store, Keeping("change", "two", data=data))
    that_keeps(store, Keeping("forget", "one"))
    that_keeps(store, Keeping("change", "one", data="{}"))
    that_keeps(store, Keeping("forget", "three"))
    assert [kept(store, ident) for ident in ("one", "two", "three")] == [None, (3, '{"b":"é"}'), None]


def listed(store: Store, of: str) -> list[str]:
    found: Any = store.listed("s", of)
    return list(found)


def test_answers_are_listed_by_their_operation_the_oldest_first(store: Store) -> None:
    assert listed(store, "chat") == []
    for ident, of in (("z", "chat"), ("y", "other"), ("x", "chat"), ("w", "chat")):
        that_keeps(store, Keeping("keep", ident, of))
    that_keeps(store, Keeping("change", "z", data="{}"))
    that_keeps(store, Keeping("forget", "w"))
    assert [listed(store, of) for of in ("chat", "other", "none")] == [["z", "x"], ["y"], []]


def test_an_answer_is_found_by_its_other_ids_which_are_not_listed(store: Store) -> None:
    that_keeps(store, Keeping("keep", "one", "chat", ("all",)))
    that_keeps(store, Keeping("keep", "two", "chat", ("all",)))
    assert [kept(store, ident) for ident in ("one", "two", "all")] == [(1, ""), (2, ""), (2, "")]
    assert listed(store, "chat") == ["one", "two"]


@pytest.mark.parametrize("how", ["reset", "delete"])
def test_a_session_that_begins_anew_has_no_answers(store: Store, how: str) -> None:
    that_keeps(store, Keeping("keep", "one"))
    store.restart("s")
    assert kept(store, "one") == (1, "")
    getattr(store, how)("s")
    assert kept(store, "one") is None


def test_an_answer_is_kept_as_long_as_its_exchange_is_in_the_journal(make: Callable[[int], Store]) -> None:
    store = make(2)
    that_keeps(store, Keeping("keep", "one"))
    that_keeps(store, None)
    assert kept(store, "one") == (1, "")
    that_keeps(store, None)
    assert kept(store, "one") is None


def test_an_answer_of_a_session_before_a_reset_is_not_kept(store: Store) -> None:
    asked = claim(ANY)
    late = replace(exchange(asked, store.take(asked)), keeping=Keeping("keep", "one"))
    store.reset("s")
    store.take(asked)
    store.record(late)
    assert kept(store, "one") is None


# Numbers, turns and states


def test_exchanges_are_numbered_from_1_and_each_session_has_its_own_numbers(store: Store) -> None:
    other = replace(claim(ANY), session="t")
    assert [store.take(item).number for item in (claim(ANY), claim(ANY), other, claim(ANY))] == [1, 2, 1, 3]


def test_a_rule_without_turns_answers_for_ever(store: Store) -> None:
    assert choices(store, *[claim(ANY)] * 3) == [(0, 1, 1), (0, 2, 2), (0, 3, 3)]


def test_a_rule_that_is_used_up_lets_the_next_one_answer(store: Store) -> None:
    both = claim(once("a", 2), ANY)
    assert choices(store, both, both, both, both) == [(0, 1, 1), (0, 2, 2), (1, 1, 1), (1, 2, 2)]


def test_turns_are_counted_apart_by_count_key_but_n_is_of_the_rule(store: Store) -> None:
    ada, bob = claim(once("a", 1, "a/ada")), claim(once("a", 1, "a/bob"))
    assert choices(store, ada, bob, ada) == [(0, 1, 1), (0, 2, 1), (None, 1, 0)]


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (None, 0),
        ((frozenset(["started"]), True), 0),
        ((frozenset(["other"]), True), None),
        ((frozenset(["started"]), False), None),
        ((frozenset(["other"]), False), 0),
    ],
    ids=["any", "named", "another", "not-named", "not-another"],
)
def test_a_rule_answers_only_in_its_states(
    store: Store, states: tuple[frozenset[str], bool] | None, found: int | None
) -> None:
    grant = store.take(claim(once("a", None, states=states)))
    assert (grant.candidate, grant.state) == (found, "started")


def test_then_moves_the_state_and_the_grant_shows_the_state_before(store: Store) -> None:
    first = once("a", None, states=(frozenset(["started"]), True), then="waiting")
    second = once("b", None, states=(frozenset(["waiting"]), True), then="")
    both = claim(first, second)
    grants = [store.take(both) for _ in range(3)]
    assert [(grant.candidate, grant.state) for grant in grants] == [(0, "started"), (1, "waiting"), (None, "")]


def chained(
    rule: str, model: str, *failing: tuple[int, int], turns: int | None = None, period: int = 0, onward: int = 0,
    **given: Any,
) -> Candidate:  # fmt: skip
    return replace(once(rule, turns, **given), model=model, failing=failing, period=period, onward=onward)


#: The candidates of two models, and of each claim in turn the candidate that answers, its n and its turn.
CHAINS: dict[str, tuple[list[Candidate], list[tuple[int | None, int, int]]]] = {
    "for ever": ([chained("a", "1", (1, 10**15), onward=1), chained("b", "2")], [(1, 1, 1), (1, 2, 2)]),
    "some turns": ([chained("a", "1", (2, 2), onward=1), chained("b", "2")], [(0, 1, 1), (1, 1, 1), (0, 3, 3)]),
    "a cycle": (
        [chained("a", "1", (2, 3), period=3, onward=1), chained("b", "2")],
        [(0, 1, 1), (1, 1, 1), (1, 2, 2), (0, 4, 4), (1, 3, 3)],
    ),
    "one rule for both": ([chained("a", "1", (1, 1), onward=1), chained("a", "2")], [(1, 2, 2), (0, 3, 3)]),
    "the other rules of the first are passed over": (
        [chained("a", "1", (1, 9), onward=2), chained("c", "1"), chained("b", "2")],
        [(2, 1, 1)],
    ),
    "used up": ([chained("a", "1", (1, 9), turns=1, onward=2), ANY, chained("b", "2")], [(2, 1, 1), (1, 1, 1)]),
    "the state that the failure leads to": (
        [chained("a", "1", (1, 9), then="down", onward=1), chained("b", "2", states=(frozenset(["down"]), True)), ANY],
        [(1, 1, 1)],
    ),
    "nothing answers for the second": ([chained("a", "1", (1, 9), onward=1)], [(None, 1, 0)]),
}


@pytest.mark.parametrize(("candidates", "granted"), CHAINS.values(), ids=CHAINS)
def test_a_reply_that_fails_leads_on_to_the_next_model(
    store: Store, candidates: list[Candidate], granted: list[tuple[int | None, int, int]]
) -> None:
    assert choices(store, *[claim(*candidates)] * len(granted)) == granted


def test_a_claim_that_nothing_answers_gets_the_n_of_its_fallback(store: Store) -> None:
    claims = [claim(), claim(), claim(counted=False, fallback="refused"), claim()]
    assert choices(store, *claims) == [(None, 1, 0), (None, 2, 0), (None, 1, 0), (None, 3, 0)]


def test_a_claim_that_looks_back_gets_the_exchanges_so_far(store: Store) -> None:
    first = exchange(claim(ANY), store.take(claim(ANY)))
    store.record(first)
    assert store.take(claim(history=True)).exchanges == (first,)
    assert store.take(claim()).exchanges == ()


def test_it_gets_the_newest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_PAST", 2)
    store = MemoryStore()
    done = [exchange(claim(ANY), store.take(claim(ANY))) for _ in range(4)]
    for item in done:
        store.record(item)
    assert store.take(claim(history=True)).exchanges == tuple(done[2:])


# Limits


def test_a_window_opens_with_the_first_counted_request_and_lasts_60_seconds(store: Store) -> None:
    plan = Plan("two", requests=2)
    at = [NOW, NOW + 10, NOW + 59.9, NOW + 60]
    standings = [store.take(claim(ANY, at=when, plan=plan)).standing for when in at]
    assert standings == [
        Standing(2, 1, None, NOW + 60),
        Standing(2, 0, None, NOW + 60),
        Standing(2, 0, None, NOW + 60, "requests"),
        Standing(2, 1, None, NOW + 120),
    ]


def test_a_request_that_does_not_count_opens_no_window_and_shows_the_standing(store: Store) -> None:
    plan = Plan("two", requests=2)
    early = store.take(claim(at=NOW - 30, plan=plan, counted=False))
    store.take(claim(ANY, plan=plan))
    late = store.take(claim(at=NOW + 30, plan=plan, counted=False))
    assert (early.standing, late.standing) == (Standing(2, 2, None, NOW + 30), Standing(2, 1, None, NOW + 60))


def test_tokens_of_an_answer_to_a_session_that_was_reset_meanwhile_count_nowhere(store: Store) -> None:
    plan = Plan("tokens", tokens=100)
    first = claim(ANY, plan=plan)
    grant = store.take(first)
    store.reset("s")
    store.record(exchange(first, grant, tokens=99))
    assert store.take(first).standing.tokens_left == 100


def test_the_tokens_of_recorded_answers_count(store: Store) -> None:
    plan = Plan("tokens", tokens=100)
    first = claim(ANY, plan=plan)
    grant = store.take(first)
    store.record(exchange(first, grant, tokens=99))
    second = store.take(first)
    store.record(exchange(first, second, tokens=99))
    third = store.take(first)
    assert [grant.standing.tokens_left, second.standing.tokens_left] == [100, 1]
    assert third.standing == Standing(None, None, 0, NOW + 60, "tokens")


@pytest.mark.parametrize(
    "other", [{"key": "other"}, {"provider": "other"}, {"key": None}], ids=["key", "provider", "no-key"]
)
def test_each_provider_and_key_has_its_own_window(store: Store, other: dict[str, Any]) -> None:
    plan = Plan("one", requests=1)
    grants = [store.take(claim(ANY, plan=plan)), store.take(claim(ANY, plan=plan, **other))]
    assert [grant.standing.exceeded for grant in grants] == [None, None]


def test_a_request_over_the_limit_takes_no_turn_and_gets_no_n(store: Store) -> None:
    one = claim(once("a", 5), plan=Plan("one", requests=1))
    assert choices(store, one, one) == [(0, 1, 1), (None, 0, 0)]
    assert store.counters("s", NOW).calls == {"a": 1}


def test_what_a_plan_refills_comes_back_bit_by_bit(store: Store) -> None:
    plan = Plan("three", requests=3, refills=True)
    waits = [0, 0, 0, 0, 19.9, 20.1, 20.1, 140, 140]
    grants = [(wait, store.take(claim(ANY, at=NOW + wait, plan=plan)).standing) for wait in waits]
    told = [(standing.remaining, round(standing.reset - NOW - wait, 3), standing.exceeded) for wait, standing in grants]
    over = "requests"
    assert told == [
        (2, 20, None), (1, 40, None), (0, 60, None), (0, 60, over), (0, 40.1, over), (0, 59.9, None), (0, 59.9, over),
        (2, 20, None), (1, 40, None),
    ]  # fmt: skip
    passes = [round((standing.passes or 0) - NOW - wait, 3) for wait, standing in grants if standing.exceeded]
    assert passes == [20, 0.1, 19.9]
    assert [store.counters("s", NOW + wait).limits[0][3].remaining for wait in (150, 165)] == [1, 2]
    assert store.counters("s", NOW + 181).limits == []


def test_what_is_not_back_yet_is_kept_while_others_come(store: Store) -> None:
    plan = Plan("three", requests=3, refills=True)
    asked = [(0, "a"), (0, "a"), (0, "a"), (50, "a"), (50, "a"), (70, "b"), (70, "a")]
    grants = [store.take(claim(ANY, at=NOW + wait, key=key, plan=plan)) for wait, key in asked]
    assert [grant.standing.remaining for grant in grants] == [2, 1, 0, 1, 0, 2, 0]


def test_a_plan_that_refills_charges_a_request_before_it_is_answered(store: Store) -> None:
    plan = Plan("tokens", tokens=100, refills=True)
    asked = claim(ANY, plan=plan, call=make_call(body=chat("beatra", max_tokens=60)))
    small = replace(asked, call=make_call(body=chat("beatra", max_tokens=1)))
    first = store.take(asked)
    answered = exchange(asked, first, tokens=99)
    store.record(answered)
    store.sent(answered, Sent(2, (0.0,), "complete", NOW))
    second = store.take(asked)
    assert [(item.standing.tokens_left, item.standing.exceeded) for item in (first, second)] == [
        (40, None), (40, "tokens"),
    ]  # fmt: skip
    assert [round(at - NOW, 3) for at in (first.standing.tokens_back, second.standing.passes or 0)] == [36, 12]
    assert store.take(replace(asked, at=NOW + 12.001)).standing.tokens_left == 0
    assert small.cost == small.call.prompt_tokens if small.call else False
    assert replace(small, plan=Plan("tokens", tokens=100)).cost == 0


@given(
    requests=st.none() | st.integers(0, 4),
    tokens=st.none() | st.integers(0, 50),
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 30), st.booleans()), max_size=30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_refilled_plans_are_as_in_a_simple_model(
    make: Callable[[int], Store], requests: int | None, tokens: int | None, steps: list[tuple[float, int, bool]]
) -> None:
    """In units of a limit: what is not back yet shrinks by one a minute."""
    store, plan = make(100), Plan("p", requests, tokens, refills=True)
    call = make_call(body=chat("beatra", "", max_tokens=0))
    at, owed, spent = NOW, 0.0, 0.0
    for wait, cap, counted in steps:
        at += wait
        given = claim(ANY, at=at, plan=plan, counted=counted, call=replace(call, prompt_tokens=cap))
        standing = store.take(given).standing
        owed, spent = max(0, owed - wait / 60 * (requests or 0)), max(0, spent - wait / 60 * (tokens or 0))
        over = None
        if counted and requests is not None and owed + 1 > requests + 1e-3:
            over = "requests"
        elif counted and tokens is not None and spent + cap > tokens + 1e-3:
            over = "tokens"
        if counted and over is None:
            owed, spent = owed + 1, spent + cap
        assert standing.exceeded == over
        for left, limit, used in ((standing.remaining, requests, owed), (standing.tokens_left, tokens, spent)):
            assert left is None if limit is None else left == max(0, math.floor(limit - used + 1e-3))


@given(
    requests=st.none() | st.integers(0, 4),
    tokens=st.none() | st.integers(0, 50),
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 30), st.booleans()), max_size=30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_windows_are_as_in_a_simple_model(
    make: Callable[[int], Store], requests: int | None, tokens: int | None, steps: list[tuple[float, int, bool]]
) -> None:
    store, plan = make(100), Plan("p", requests, tokens)
    at, ends, used, spent = NOW, 0.0, 0, 0
    for wait, cost, counted in steps:
        at += wait
        given = claim(ANY, at=at, plan=plan, counted=counted)
        grant = store.take(given)
        fresh = at >= ends
        if fresh and counted:
            ends, used, spent = at + 60, 0, 0
        now_used, now_spent = (0, 0) if fresh else (used, spent)
        over = None
        if counted and requests is not None and now_used >= requests:
            over = "requests"
        elif counted and tokens is not None and now_spent >= tokens:
            over = "tokens"
        if counted and over is None:
            used, now_used = used + 1, now_used + 1
        assert grant.standing == Standing(
            requests,
            None if requests is None else max(0, requests - now_used),
            None if tokens is None else max(0, tokens - now_spent),
            at + 60 if fresh else ends,
            over,
        )
        if counted and over is None:
            store.record(exchange(given, grant, tokens=cost))
            spent += cost


# Idempotency

HOUR = 3600.0
KEYED = ("one-key", "one-body", 24 * HOUR)


def keyed(at: float = NOW, idempotency: tuple[str, str, float] = KEYED, **given: Any) -> Claim:
    return claim(once("a", 9), at=at, idempotency=idempotency, **given)


def answered(store: Store, first: Claim, **given: Any) -> Exchange:
    made = exchange(first, store.take(first), **given)
    store.record(made)
    return made


def outcome(grant: Grant) -> Any:
    return grant.idempotency or ("replay" if grant.replay else grant.candidate)


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (keyed(), "replay"),
        (keyed(at=NOW + 24 * HOUR - 1), "replay"),
        (keyed(at=NOW + 24 * HOUR), 0),
        (keyed(idempotency=("one-key", "another-body", HOUR)), "mismatch"),
        (keyed(idempotency=("another-key", "one-body", HOUR)), 0),
        (keyed(key="other"), 0),
        (replace(keyed(), session="t"), 0),
    ],
    ids=[
        "again",
        "within-24-hours",
        "after-24-hours",
        "another-body",
        "another-key",
        "another-api-key",
        "another-session",
    ],
)
def test_a_key_is_remembered(store: Store, then: Claim, expected: Any) -> None:
    answered(store, keyed())
    assert outcome(store.take(then)) == expected


def test_a_replay_gives_the_first_exchange_and_takes_neither_limit_nor_turn(store: Store) -> None:
    plan = Plan("three", requests=3)
    first = answered(store, keyed(plan=plan))
    again = store.take(keyed(plan=plan))
    assert again == Grant(2, Standing(3, 2, None, NOW + 60), "started", replay=first)
    store.record(exchange(keyed(plan=plan), again, tokens=5))
    assert store.counters("s", NOW).calls == {"a": 1}


def test_a_key_is_in_progress_until_the_first_answer_has_its_scheduled_end(store: Store) -> None:
    first = keyed()
    grant = store.take(first)
    before = store.take(keyed(at=NOW + 1))
    store.record(exchange(first, grant, end_at=5.0))
    found = [outcome(grant), *[outcome(store.take(keyed(at=NOW + after))) for after in (4.9, 5.0)]]
    assert (before.idempotency, found) == ("in_progress", [0, "in_progress", "replay"])


def test_an_answer_that_is_silent_for_ever_is_in_progress_until_it_was_sent(store: Store) -> None:
    first = keyed()
    grant = store.take(first)
    silent = exchange(first, grant)
    timeline = replace(silent.timeline, frames=(Frame(0.0, b"", "hold"), *silent.timeline.frames))
    silent = replace(silent, timeline=timeline)
    store.record(silent)
    before = store.take(keyed(at=NOW + HOUR))
    store.sent(silent, Sent(2, (), "complete", 30.0))
    assert [outcome(before), outcome(store.take(keyed(at=NOW + HOUR)))] == ["in_progress", "replay"]


@pytest.mark.parametrize(
    "given", [{"status": 400}, {"status": 429}, {"status": 503}, {"end": "fin"}, {"end": "clean"}],
    ids=["400", "429", "503", "cut", "cut-cleanly"],
)  # fmt: skip
def test_an_answer_that_failed_frees_the_key(store: Store, given: dict[str, Any]) -> None:
    answered(store, keyed(), **given)
    assert outcome(store.take(keyed(idempotency=("one-key", "another-body", HOUR)))) == 0


@pytest.mark.parametrize("refused", ["mismatch", "over-the-limit"])
def test_a_refused_repeat_leaves_the_record_as_it_is(store: Store, refused: str) -> None:
    plan = Plan("one", requests=1)
    first = answered(store, keyed(plan=plan))
    key = ("one-key", "another-body", HOUR) if refused == "mismatch" else ("fresh-key", "one-body", HOUR)
    answered(store, keyed(plan=plan, idempotency=key), status=422)
    assert store.take(keyed(plan=plan)).replay == first


def test_a_429_of_the_limit_begins_no_record(store: Store) -> None:
    plan = Plan("none", requests=0)
    answered(store, keyed(plan=plan), status=429)
    assert outcome(store.take(keyed())) == 0


def test_an_answer_to_a_session_that_was_reset_meanwhile_is_not_remembered(store: Store) -> None:
    first = keyed()
    grant = store.take(first)
    store.reset("s")
    store.record(exchange(first, grant))
    assert outcome(store.take(keyed())) == 0


def test_a_failure_frees_the_key_only_when_it_has_ended(store: Store) -> None:
    answered(store, keyed(), status=503, end_at=5.0)
    found = [outcome(store.take(keyed(at=NOW + after))) for after in (4.9, 5.0)]
    assert found == ["in_progress", 0]


def test_keys_are_bounded_by_the_journal_and_the_oldest_are_forgotten(store: Store) -> None:
    claims = [keyed(idempotency=(f"key-{number}", "one-body", HOUR)) for number in range(12)]
    for first in claims:
        answered(store, first)
    remembered = [store.take(again).replay is not None for again in reversed(claims)]
    assert remembered == [True] * 10 + [False, False]


def test_a_key_that_is_used_again_after_its_time_does_not_keep_older_ones_from_being_forgotten() -> None:
    store = MemoryStore(3)
    for name, seconds in (("a", 10.0), ("b", 100.0), ("c", 100.0)):
        answered(store, keyed(idempotency=(name, "one-body", seconds)))
    answered(store, keyed(at=NOW + 20, idempotency=("a", "one-body", HOUR)))
    answered(store, keyed(at=NOW + 21, idempotency=("d", "one-body", HOUR)))
    found = [outcome(store.take(keyed(at=NOW + 22, idempotency=(name, "one-body", HOUR)))) for name in "acd"]
    assert found == ["replay", "replay", "replay"]


def test_a_key_whose_time_is_over_is_forgotten_with_the_next_one() -> None:
    store = MemoryStore()
    answered(store, keyed(idempotency=("a", "one-body", 10.0)))
    assert outcome(store.take(keyed(at=NOW + 5, idempotency=("a", "one-body", 10.0)))) == "replay"
    answered(store, keyed(at=NOW + 20, idempotency=("b", "one-body", 10.0)))
    assert outcome(store.take(keyed(at=NOW + 5, idempotency=("a", "one-body", 10.0)))) == 0


def test_a_new_plan_holds_in_the_open_window(store: Store) -> None:
    store.take(claim(ANY, plan=Plan("small", requests=1)))
    standing = store.take(claim(ANY, plan=Plan("large", requests=5))).standing
    assert standing == Standing(5, 3, None, NOW + 60)
    assert [plan for _, _, plan, _ in store.counters("s", NOW).limits] == ["large"]


# Journals


def test_the_journal_gives_exchanges_after_a_number(store: Store) -> None:
    made = [answered(store, claim(ANY)) for _ in range(3)]
    assert store.journal("s", 0) == (made, 0)
    assert store.journal("s", 2) == (made[2:], 0)
    assert [store.journal("s", 1, most) for most in (0, 1, 2, 3)] == [(made[1 : 1 + most], 0) for most in (0, 1, 2, 3)]
    assert store.journal("unknown", 0) == ([], 0)


def test_the_journal_is_bounded_and_says_how_many_were_dropped(store: Store) -> None:
    made = [answered(store, claim(ANY)) for _ in range(13)]
    store.sent(made[0], Sent(2, (0.0,), "complete", 0.0))
    assert store.journal("s", 0) == (made[3:], 3)
    assert store.counters("s", NOW) == Counters(
        "started", {"any": 13}, [("p", "k", "none", Standing(None, None, None, NOW + 60))], 13, 3
    )


def test_journals_are_bounded_by_bytes_and_the_oldest_go_whose_ever_they_are() -> None:
    weight = weigh(exchange(claim(ANY), Grant(1, Standing(None, None, None, 0.0), "started")))
    store = MemoryStore(100, 5 * weight)
    other = [answered(store, replace(claim(ANY), session="t")) for _ in range(3)]
    mine = [answered(store, claim(ANY)) for _ in range(4)]
    assert (store.journal("s", 0), store.journal("t", 0)) == ((mine, 0), (other[2:], 2))
    store.reset("t")
    mine += [answered(store, claim(ANY)) for _ in range(4)]
    assert (store.journal("s", 0), store.journal("t", 0)) == ((mine[3:], 3), ([], 0))
    store.delete("s")
    again = [answered(store, claim(ANY)) for _ in range(6)]
    assert store.journal("s", 0) == (again[1:], 1)


def test_an_exchange_larger_than_all_journals_is_dropped_and_counted() -> None:
    store = MemoryStore(100, 10)
    made = [answered(store, claim(ANY)) for _ in range(3)]
    store.sent(made[2], Sent(2, (), "complete", 0.0))
    assert store.journal("s", 0) == ([], 3)


def test_records_are_bounded_by_the_bytes_of_their_answers() -> None:
    weight = weigh(exchange(claim(ANY), Grant(1, Standing(None, None, None, 0.0), "started")))
    store = MemoryStore(100, 3 * weight + 1000)
    for name in "abcde":
        answered(store, keyed(idempotency=(name, "one-body", HOUR)))
    remembered = [store.take(keyed(idempotency=(name, "one-body", HOUR))).replay is not None for name in "edcba"]
    assert remembered == [True, True, True, False, False]


def test_an_exchange_weighs_what_it_keeps() -> None:
    plain = exchange(claim(ANY), Grant(1, Standing(None, None, None, 0.0), "started"))
    call = make_call()
    heavier: dict[str, dict[str, Any]] = {
        "request": {"request": replace(plain.request, body=plain.request.body + b" " * 1000)},
        "headers": {"request": replace(plain.request, headers={**plain.request.headers, "x": "y" * 999})},
        "answer": {"timeline": replace(plain.timeline, frames=(Frame(0.0, b"x" * 1002, "body"),))},
        "frames": {"timeline": replace(plain.timeline, frames=(Frame(0.0, b"{}", "data"), Frame(0.0, b"", "data")))},
        "decoded": {"claim": replace(plain.claim, call=call)},
    }
    more = {name: weigh(replace(plain, **change)) - weigh(plain) for name, change in heavier.items()}
    signs = sum(plain.request.body.count(sign) for sign in (b",", b"[", b"{"))
    assert more == {"request": 2000, "headers": 1000, "answer": 1000, "frames": 200, "decoded": 64 * signs}


# Keys that grow in number


def test_turns_counted_apart_are_bounded_and_the_longest_unused_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(memory, "MOST_TURNS", 3)
    store = MemoryStore()
    for key in ("a", "b", "c", "a", "d"):
        store.take(claim(once("r", None, key)))
    store.take(claim(once("whole", None)))
    turns = [store.take(claim(once("r", None, key))).turn for key in ("a", "c", "d", "b")]
    assert (turns, store.take(claim(once("whole", None))).turn) == ([3, 2, 2, 1], 2)


def test_windows_are_bounded_and_those_that_are_over_are_forgotten_first(monkeypatch: Any) -> None:
    monkeypatch.setattr(memory, "MOST_WINDOWS", 3)
    store = MemoryStore()

    def keys(at: float) -> list[str]:
        return [key for _, key, _, _ in store.counters("s", at).limits]

    for number, key in enumerate("abcd"):
        store.take(claim(ANY, key=key, at=NOW + number))
    assert keys(NOW) == ["b", "c", "d"]
    store.take(claim(ANY, key="b", at=NOW + 61))
    assert keys(NOW) == ["c", "d", "b"]
    store.take(claim(ANY, key="e", at=NOW + 62.5))
    assert keys(NOW) == ["d", "b", "e"]
    store.take(claim(ANY, key="f", at=NOW + 200))
    assert keys(NOW) == ["f"]


def test_what_was_sent_is_added_to_a_journalled_exchange(store: Store) -> None:
    exchange = answered(store, claim(ANY))
    sent = Sent(2, (0.0,), "complete", 0.5)
    store.sent(exchange, sent)
    rows, _ = store.journal("s", 0)
    assert [row.sent for row in rows] == [sent]


def test_what_was_sent_before_a_reset_or_a_deletion_is_forgotten(store: Store) -> None:
    exchange = answered(store, claim(ANY))
    store.reset("s")
    answered(store, claim(ANY))
    store.sent(exchange, Sent(2, (0.0,), "complete", 0.5))
    assert [row.sent for row in store.journal("s", 0)[0]] == [None]
    store.delete("s")
    store.sent(exchange, Sent(2, (0.0,), "complete", 0.5))
    assert store.journal("s", 0) == ([], 0)


def test_what_was_sent_is_dropped_with_its_exchange(store: Store) -> None:
    for _ in range(11):
        store.sent(answered(store, claim(ANY)), Sent(2, (), "complete", 0.0))
    rows, dropped = store.journal("s", 0)
    assert ([row.grant.number for row in rows], dropped) == (list(range(2, 12)), 1)


def test_the_counters_leave_out_windows_that_are_over_and_counts_of_no_rule(store: Store) -> None:
    store.take(claim(ANY, plan=Plan("p", 5, 50)))
    store.take(claim())
    assert store.counters("s", NOW + 60) == Counters("started", {"any": 1}, [], 2, 0)


def test_restart_begins_turns_and_state_anew_and_keeps_journal_and_limits(store: Store) -> None:
    moved = claim(once("a", 1, then="done"), plan=Plan("two", requests=2))
    answered(store, moved)
    store.restart("s")
    grant = store.take(moved)
    assert (grant.number, grant.n, grant.turn, grant.state, grant.standing.remaining) == (2, 1, 1, "started", 0)
    assert len(store.journal("s", 0)[0]) == 1


@pytest.mark.parametrize("forget", ["reset", "delete"])
def test_reset_and_delete_forget_everything(store: Store, forget: str) -> None:
    answered(store, keyed())
    getattr(store, forget)("s")
    assert store.counters("s", NOW) == Counters("started", {}, [], 0, 0)
    assert (store.journal("s", 0), outcome(store.take(keyed()))) == (([], 0), 0)
    store.delete("unknown")


def test_what_ends_after_its_session_was_deleted_does_not_make_it_again(store: Store) -> None:
    first = keyed(plan=Plan("tokens", tokens=100))
    begun = exchange(first, store.take(first), tokens=5)
    store.delete("s")
    store.record(begun)
    store.sent(begun, Sent(2, (0.0,), "complete", 0.5))
    store.restart("s")
    assert (store.counters("s", NOW), store.journal("s", 0)) == (Counters("started", {}, [], 0, 0), ([], 0))


def test_what_ends_after_a_reset_is_not_journalled(store: Store) -> None:
    late = claim(ANY, at=NOW + 1)
    begun = exchange(late, store.take(late))
    store.reset("s")
    fresh = answered(store, claim(ANY))
    store.record(begun)
    assert store.journal("s", 0) == ([fresh], 0)


def test_a_session_that_was_asked_about_and_deleted_is_not_kept() -> None:
    store = MemoryStore()
    begun = answered(store, claim(ANY))
    store.delete("s")
    store.record(begun)
    store.reset("s")
    store.counters("s", NOW), store.journal("s", 0)
    assert dict(store._sessions) == {}
