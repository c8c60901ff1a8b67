"""Verification: a `when` and a journal in, whether the number was right and what came nearest out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from build import chat, make_session

from emulator.core.errors import SourceError
from emulator.core.journal.verify import Verified, verify
from emulator.core.values import Exchange

RULES = {"rules": [{"reply": {"text": "Hello."}, "then": {"state": "greeted"}}]}


NESTED: dict[str, Any] = {"body": {"$.a": {"like": 1}}}
for _ in range(300):
    NESTED = {"body": {"$.a": {"like": NESTED}}}
NODE = {"properties": {"messages": {"$ref": "#"}}, "items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}
MANY = {"body": {"$": {"schema": {"allOf": [NODE] * 70}}}}


@pytest.fixture(scope="module")
def exchanges() -> Sequence[Exchange]:
    """Two chats at one provider, an embedding at another, and a request that was not understood."""
    live = make_session(RULES)
    live.send("beatra", chat("beatra", "the report, please"))
    live.send("beatra", chat("beatra", "another", stream=True, temperature=0.2), headers={"x-tenant": "acme"})
    live.send("brainstormrouter", {"model": "auto", "input": "text"}, path="/embeddings")
    live.send("beatra", raw=b"{")
    return live.store.journal("default", 0)[0]


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ({}, 3),
        ({"operation": "any"}, 3),
        ({"operation": "chat"}, 2),
        ({"operation": "embeddings"}, 1),
        ({"last_user": {"contains": "report"}}, 1),
        ({"stream": True}, 1),
        ({"headers": {"x-tenant": "acme"}}, 1),
        ({"body": {"$.temperature": {"lt": 0.5}}}, 1),
        ({"model": "auto", "last_user": "nothing of the kind"}, 0),
        ({"state": "started"}, 1),
        ({"state": {"one_of": ["started", "greeted"]}}, 3),
        ({"state": {"not": "started"}}, 2),
    ],
    ids=str,
)
def test_it_counts_by_the_matchers_of_when(exchanges: Sequence[Exchange], when: Any, found: int) -> None:
    assert verify(exchanges, when, count=found).ok
    assert verify(exchanges, when, count=found).count == found
    assert not verify(exchanges, when, count=found + 1).ok


@pytest.mark.parametrize(
    ("bounds", "ok"),
    [
        ({"count": 2}, True), ({"count": 1}, False), ({"count": 3}, False), ({"count": 0}, False),
        ({"at_least": 2}, True), ({"at_least": 3}, False), ({"at_most": 2}, True), ({"at_most": 1}, False),
        ({"at_least": 1, "at_most": 2}, True), ({"at_least": 3, "at_most": 4}, False),
    ],
    ids=str,
)  # fmt: skip
def test_bounds(exchanges: Sequence[Exchange], bounds: Any, ok: bool) -> None:
    assert verify(exchanges, {"operation": "chat"}, **bounds).ok is ok


def test_a_bound_that_nothing_breaks_is_refused(exchanges: Sequence[Exchange]) -> None:
    with pytest.raises(SourceError, match="0 holds whatever was asked; say count: 0 for none"):
        verify(exchanges, {"last_user": "never said"}, at_least=0)


def test_what_is_right_is_said(exchanges: Sequence[Exchange]) -> None:
    expected = Verified(True, 2, '2 of 3 requests fit {"operation":"chat"}.', exchanges=(1, 2))
    assert verify(exchanges, {"operation": "chat"}, count=2) == expected


def test_too_few_are_told_with_the_nearest_field_by_field(exchanges: Sequence[Exchange]) -> None:
    result = verify(exchanges, {"operation": "chat", "last_user": "a report", "stream": True}, at_least=1)
    assert (
        result.message
        == """\
expected at least 1 request that fit {"operation":"chat","last_user":"a report","stream":true}, got 0 of 3 requests
  exchange 2:
    last_user: expected "a report", got "another"
  exchange 1:
    last_user: expected "a report", got "the report, please"
    stream: expected true, got false
  exchange 3:
    last_user: expected "a report", got null
    stream: expected true, got false
    operation: expected "chat", got "embeddings\""""
    )
    assert result.body()["nearest"][0] == {
        "exchange": 2,
        "differences": [{"field": "last_user", "expected": "a report", "actual": "another"}],
    }


def test_too_many_are_told_with_their_numbers(exchanges: Sequence[Exchange]) -> None:
    result = verify(exchanges, {"operation": "chat"}, at_least=0, at_most=1)
    assert result.body() == {
        "ok": False,
        "count": 2,
        "message": 'expected at least 0 requests and at most 1 request that fit {"operation":"chat"}, '
        "got 2 of 3 requests: exchanges 1, 2",
        "nearest": [],
        "exchanges": [1, 2],
    }


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"count": 2}, "whether 2 requests fit"),
        ({"count": 3}, "whether 3 requests fit"),
        ({"count": 1}, None),
        ({"at_most": 2}, "whether at most 2 requests fit"),
        ({"at_most": 1}, None),
        ({"at_least": 3}, "whether at least 3 requests fit"),
    ],
    ids=str,
)
def test_what_was_dropped_might_have_fitted(
    exchanges: Sequence[Exchange], bounds: dict[str, int], told: str | None
) -> None:
    """Two of those that are left fit; `verify(count=0)` must not pass for what nobody remembers."""
    result = verify(exchanges, {"operation": "chat"}, **bounds, dropped=7)
    assert not result.ok
    assert ("7 older requests are no longer in the journal" in result.message) is (told is not None)
    assert (told or "expected") in result.message


def test_enough_are_left_to_show_that_so_many_came(exchanges: Sequence[Exchange]) -> None:
    assert verify(exchanges, {"operation": "chat"}, at_least=2, dropped=7).ok


def test_nothing_at_all_came() -> None:
    assert verify([], {}, count=1).message == "expected 1 request that fit anything, got 0 of 0 requests"


def test_a_state_that_was_another_is_told(exchanges: Sequence[Exchange]) -> None:
    result = verify(exchanges, {"state": "done", "model": "auto"}, count=1)
    assert result.nearest[0]["differences"] == [{"field": "state", "expected": "done", "actual": "started"}]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"cont": 2}, "when:1:1: cont: is not known here; did you mean 'count'?"),
        (
            {"zzz": 2},
            "when:1:1: zzz: is not known here; known: at_least, at_most, body, count, elapsed, headers, "
            "last_user, model, operation, state, step, stream, system, tool_result, tools, turn",
        ),
        ({"last_usr": "x"}, "when:1:1: last_usr: is not known here; did you mean 'last_user'?"),
        ({"last_user": {"contians": "x"}}, "did you mean 'contains'?"),
        ({"last_user": {"regex": "("}}, "when:1:1: last_user.regex: "),
    ],
    ids=["bound", "far", "field", "operator", "regex"],
)
def test_a_when_that_is_none_is_refused(when: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        verify([], when, count=0)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"body": {"$": {"schema": {"allOf": [{"$ref": "#"}]}}}}, "body.$.schema: refers to itself without end"),
        ({"last_user": {"regex": "(a|b){9}" * 999_999}}, "last_user.regex: has a pattern of 7999992 "),
        ({"last_user": {"regex": "(a|b){9}" * 9_999}}, "last_user.regex: "),
        (NESTED, "is nested deeper than 60 levels"),
        (MANY, "cannot be tried on all requests: a value of this size can take this schema too long"),
    ],
    ids=["endless", "long-pattern", "large-pattern", "nested", "costly"],
)
def test_what_would_take_too_long_is_a_problem(exchanges: Sequence[Exchange], when: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        verify(exchanges, when, count=0)
    assert str(caught.value).startswith(f"when:1:1: {message}")
