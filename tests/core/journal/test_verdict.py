"""The verdict: exchanges in, findings out; each judge passes, fails, and says when it saw nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from build import FOUR, NOW, PROVIDERS, EngineSession, chat, make_session

from emulator.core.journal import client_rules
from emulator.core.journal.attempts import answered_text, group, retry_after, wait_between
from emulator.core.journal.client_rules import COMMON, mark_of
from emulator.core.journal.verdict import Finding, judge
from emulator.core.scenario.scenario import ARGUMENTS_BREAK, MANNERS, MISFITS, NOT_OFFERED
from emulator.core.values import Exchange, Plan, Sent

TOO_MANY = {"error": "rate_limited"}
CUT = {
    "text": "Half of it, then the rest.",
    "stream": {"split": 11},
    "faults": [{"cut": {"after_chunks": 2}}],
}


@dataclass
class Tape:
    """A client's requests at one provider; times in seconds from the first, `took` until the answer ended."""

    live: EngineSession
    provider: str
    exchanges: list[Exchange] = field(default_factory=list)
    completed: list[tuple[int, str]] = field(default_factory=list)

    def send(self, at: float, took: float = 0.0, end: Any = None, real: float | None = None, **request: Any) -> None:
        """Send at a time; `real` is the real time, where it is not the session's."""
        given = {"body": chat(self.provider, **request.pop("fields", {}))} | request
        made = self.live.send(self.provider, at=NOW + at, **given)
        began = at if real is None else real
        ended = end or ("cut" if made.timeline.broken else "complete")
        sent = Sent(1, (took,), ended, took, began + took)
        self.exchanges.append(replace(made, request=replace(made.request, real=began), sent=sent))

    def findings(self) -> dict[str, Finding]:
        found = judge(PROVIDERS[self.provider], self.exchanges, self.completed)
        return {item.fact: item for item in found}


def tape(provider: str, *replies: Any, **rule: Any) -> Tape:
    return Tape(make_session({"rules": [{"replies": list(replies), **rule}]}, plan="unlimited"), provider)


def told(finding: Finding) -> tuple[str, str, tuple[int, ...]]:
    return finding.status, finding.message, finding.exchanges


# Grouping


def numbers(tape: Tape) -> list[list[int]]:
    return [[item.grant.number for item in call.exchanges] for call in group(tape.exchanges)]


def test_attempts_of_one_body_are_one_call_while_the_one_before_failed() -> None:
    made = tape("beatra", TOO_MANY, TOO_MANY, {"text": "Hello."})
    for at in (0, 1, 2, 3):
        made.send(at)
    assert numbers(made) == [[1, 2, 3], [4]]


def test_answers_are_read_once_however_many_streams_were_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tape("openai", CUT, {"text": "Whole."}, after_last="cycle")
    read: list[int] = []

    def answered(item: Exchange) -> str:
        read.append(item.grant.number)
        return str(item.grant.number)

    monkeypatch.setattr(client_rules, "answered_text", answered)
    for at in range(20):
        made.send(at, fields={"stream": True, "messages": [{"role": "user", "content": f"m{at}"}]})
    assert made.findings()["cut-stream"].status == "not_seen"
    assert sorted(read) == list(range(1, 21))


@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        ({"model": "beatra-1"}, [[1, 2]]),
        ({"stream": True}, [[1, 2]]),
        ({"temperature": 0.1}, [[1], [2]]),
        ({"messages": [{"role": "user", "content": "else"}]}, [[1], [2]]),
    ],
    ids=["model-aside", "stream-aside", "another-parameter", "another-message"],
)
def test_a_call_is_known_by_its_body_but_for_model_and_stream(fields: Any, calls: Any) -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0)
    made.send(1, fields=fields)
    assert numbers(made) == calls


def test_neither_the_idempotency_key_nor_the_retry_count_groups() -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0, headers={"idempotency-key": "5b1cbb2c-6cb1-4f3f-9e64-f7bd58b3dd0b"})
    made.send(1, headers={"x-stainless-retry-count": "0"})
    assert numbers(made) == [[1, 2]]


def test_a_request_begun_before_the_failure_is_a_call_of_its_own() -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0, took=2)
    made.send(1)
    assert numbers(made) == [[1], [2]]


def test_an_attempt_under_way_has_not_failed() -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0)
    made.exchanges[0] = replace(made.exchanges[0], sent=None)
    made.send(1)
    assert numbers(made) == [[1], [2]]


@pytest.mark.parametrize("end", ["client_left", "reset", "cut"])
def test_an_answer_that_did_not_arrive_whole_has_failed(end: str) -> None:
    made = tape("beatra", {"text": "Hello."})
    made.send(0, end=end)
    made.send(1)
    assert numbers(made) == [[1, 2]]


def test_requests_that_were_not_understood_are_grouped_by_path_and_bytes() -> None:
    made = tape("beatra", {"text": "Hello."})
    for at, raw in enumerate((b"{", b"{", b"[")):
        made.send(at, raw=raw)
    assert numbers(made) == [[1, 2], [3]]


# Waits and Retry-After


def test_a_wait_is_the_longer_of_session_and_real_time() -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0, took=1, real=0)
    made.send(61, real=2)
    made.send(62, real=30)
    assert [wait_between(*pair) for call in group(made.exchanges) for pair in call.retries()] == [60.0, 28.0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
     ("soon", None), ("-1", None)],
    ids=["seconds", "a-fraction", "a-date", "a-date-gone-by", "no-time", "negative"],
)  # fmt: skip
def test_retry_after_is_read_as_http_has_it(value: str, seconds: float | None) -> None:
    made = tape("beatra", TOO_MANY | {"headers": {"retry-after": value}})
    made.send(0)
    assert retry_after(made.exchanges[0]) == seconds


def test_the_text_of_an_answer_whole_streamed_and_cut() -> None:
    made = tape("beatra", CUT)
    made.send(0)
    made.send(1, fields={"stream": True})
    assert [answered_text(item) for item in made.exchanges] == ["Half of it, then the rest.", "Half of it,"]


@pytest.mark.parametrize(
    "more", [{"slice": {"bytes": 7}}, {"merge": {"chunks": 2}}, {"bandwidth": {"bytes_per_second": 99}}]
)
def test_the_text_of_a_stream_that_came_in_other_pieces(more: dict[str, Any]) -> None:
    made = tape("beatra", CUT | {"faults": [*CUT["faults"], more]})
    made.send(0, fields={"stream": True})
    assert answered_text(made.exchanges[0]) == "Half of it,"


# Backing off


def waits(made: Tape, *gaps: float) -> Tape:
    at = 0.0
    made.send(at)
    for gap in gaps:
        at += gap
        made.send(at)
    return made


@pytest.mark.parametrize(
    ("reply", "gaps", "expected"),
    [
        (TOO_MANY, (0.5, 1.0, 2.0), ("pass", "The waits after a 429 back off.", (1, 2, 3))),
        (TOO_MANY, (0.4, 0.9), ("pass", "The waits after a 429 back off.", (1, 2))),
        (TOO_MANY, (3.0,), ("pass", "The waits after a 429 back off.", (1,))),
        (TOO_MANY, (1.0, 1.0), ("fail", "The waits after a 429 did not back off: 1, 1 s.", (1, 2))),
        (TOO_MANY, (2.0, 1.0), ("fail", "The waits after a 429 did not back off: 2, 1 s.", (1, 2))),
        (TOO_MANY, (0.01,), ("fail", "The waits after a 429 did not back off: 0.01 s.", (1,))),
        (TOO_MANY, (0.01, 0.5), ("fail", "The waits after a 429 did not back off: 0.01, 0.5 s.", (1, 2))),
        (TOO_MANY | {"retry_after": 5}, (5.0, 5.0), ("pass", "The waits after a 429 back off.", (1, 2))),
        (TOO_MANY | {"retry_after": 0}, (0.0, 0.0), ("pass", "The waits after a 429 back off.", (1, 2))),
        (TOO_MANY | {"retry_after": 5}, (4.995, 4.995), ("pass", "The waits after a 429 back off.", (1, 2))),
        (TOO_MANY | {"retry_after": 5}, (4.0,), ("pass", "The waits after a 429 back off.", (1,))),
        (TOO_MANY | {"retry_after": 5}, (4.0, 8.0, 4.0),
         ("fail", "The waits after a 429 did not back off: 4, 8, 4 s.", (1, 2, 3))),
        (TOO_MANY, (), ("not_seen", "No 429 was retried.", ())),
        ({"error": "server_error"}, (1.0,), ("not_seen", "No 429 was retried.", ())),
    ],
    ids=["growing", "twice", "one-wait", "even", "shrinking", "at-once", "at-once-then-later", "retry-after",
         "retry-after-0",
         "within-what-clocks-are-out-by", "one-early", "two-early", "given-up", "another-error"],
)  # fmt: skip
def test_backing_off_after_429(reply: Any, gaps: Any, expected: Any) -> None:
    finding = waits(tape("braintwin", reply), *gaps).findings()["bt-backoff"]
    assert told(finding) == expected
    assert (finding.advice, finding.source) == (True, "Rate Limiting")


def test_each_call_backs_off_on_its_own() -> None:
    made = tape("braintwin", TOO_MANY)
    for index in range(3):  # one wait each, which has no later one
        made.send(index * 10, fields={"messages": [{"role": "user", "content": str(index)}]})
        made.send(index * 10 + 1, fields={"messages": [{"role": "user", "content": str(index)}]})
    assert told(made.findings()["bt-backoff"]) == ("pass", "The waits after a 429 back off.", (1, 3, 5))


# The other facts


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((1.0,), ("pass", "Each 500 was tried again, later.", (1, 2))),
        ((), ("fail", "A 500 was not tried again.", (1,))),
        ((0.0,), ("fail", "A 500 was tried again at once, after 0 s.", (1, 2))),
    ],
    ids=["later", "never", "at-once"],
)
def test_trying_again_after_500(gaps: Any, expected: Any) -> None:
    finding = waits(tape("braintwin", {"error": "server_error"}), *gaps).findings()["bt-retry-500"]
    assert (told(finding), finding.advice) == (expected, True)


def test_no_500_was_seen() -> None:
    finding = waits(tape("braintwin", TOO_MANY), 1.0).findings()["bt-retry-500"]
    assert told(finding) == ("not_seen", "No 500 was answered.", ())


@pytest.mark.parametrize(
    ("error", "gaps", "expected"),
    [
        ("quota_exhausted", (), ("pass", "No error that a retry cannot cure was retried.", (1,))),
        ("quota_exhausted", (1.0,), ("fail", "quota_exhausted was retried; no retry cures it.", (1, 2))),
        ("rate_limited", (1.0,), ("not_seen", "No error that a retry cannot cure was answered.", ())),
    ],
    ids=["given up", "retried", "another"],
)
def test_a_spent_quota_is_not_asked_again(error: str, gaps: tuple[float, ...], expected: Any) -> None:
    finding = waits(tape("openai", {"error": error}), *gaps).findings()["oa-rl-no-retry-quota"]
    assert (told(finding), finding.advice) == (expected, True)


ONE, TWO = "5b1cbb2c-6cb1-4f3f-9e64-f7bd58b3dd0b", "6b1cbb2c-6cb1-4f3f-9e64-f7bd58b3dd0b"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([ONE, ONE], ("pass", "Each 429 was retried with the same Idempotency-Key.", (1,))),
        ([ONE, TWO], ("fail", "A 429 was retried with another Idempotency-Key.", (1, 2))),
        ([None, TWO], ("fail", "A 429 was retried with another Idempotency-Key.", (1, 2))),
        ([ONE, None], ("fail", "A 429 was retried without an Idempotency-Key.", (1, 2))),
        ([None, None], ("fail", "A 429 was retried without an Idempotency-Key.", (1, 2))),
        ([ONE], ("not_seen", "No 429 was retried.", ())),
    ],
    ids=["same", "another", "first-none", "then-none", "none", "given-up"],
)
def test_retrying_with_the_same_key(keys: Any, expected: Any) -> None:
    made = tape("beatra", TOO_MANY)
    for at, key in enumerate(keys):
        made.send(at, headers={"idempotency-key": key} if key else {})
    finding = made.findings()["be-retry-same-key"]
    assert (told(finding), finding.advice) == (expected, False)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["beatra-1", "beatra-1-mini"], ("pass", "After each 503 another model, or auto, was asked.", (1,))),
        (["beatra-1", "auto"], ("pass", "After each 503 another model, or auto, was asked.", (1,))),
        (["auto", "auto"], ("pass", "After each 503 another model, or auto, was asked.", (1,))),
        (["beatra-1", "beatra-1"], ("fail", "After a 503 the same model, beatra-1, was asked again.", (1, 2))),
        (["beatra-1"], ("not_seen", "No 503 was followed by another attempt.", ())),
    ],
    ids=["another", "auto", "auto-again", "same", "given-up"],
)
def test_switching_the_model_after_503(models: Any, expected: Any) -> None:
    made = tape("beatra", {"error": "model_unavailable"})
    for at, model in enumerate(models):
        made.send(at, fields={"model": model})
    assert told(made.findings()["be-switch-model"]) == expected


def quoting(text: str) -> dict[str, Any]:
    said = [("user", "hello"), ("assistant", text), ("user", "and then?")]
    return {"messages": [{"role": role, "content": content} for role, content in said]}


STREAM = {"stream": True}
TAKEN = "The text of a cut stream was taken as a whole answer."


def cut_tape(*sends: Any, completed: Any = (), second: Any = None) -> Finding:
    made = tape("beatra", CUT, second or {"text": "Half of it, then the rest."})
    for at, fields in enumerate(sends):
        made.send(at, fields=fields)
    made.completed += [(number, mark_of(text)) for number, text in completed]
    return made.findings()["be-incomplete-stream"]


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (lambda: cut_tape(STREAM, STREAM), ("pass", "Each cut stream was asked for again.", (1,))),
        (lambda: cut_tape(STREAM, quoting("Half of it,")), ("fail", TAKEN, (1, 2))),
        (lambda: cut_tape(STREAM, completed=[(1, "Half of it,\n")]), ("fail", TAKEN, (1,))),
        (lambda: cut_tape(STREAM, STREAM, completed=[(2, "Half of it, then the rest.")]),
         ("pass", "Each cut stream was asked for again.", (1,))),
        (lambda: cut_tape(STREAM, STREAM, completed=[(0, "Half of it,")]),
         ("pass", "Each cut stream was asked for again.", (1,))),
        (lambda: cut_tape(STREAM, STREAM, quoting("Half of it,"), second={"text": "Half of it,"}),
         ("pass", "Each cut stream was asked for again.", (1,))),
        (lambda: cut_tape(STREAM), ("not_seen", "What became of a cut stream does not show on the wire.", (1,))),
        (lambda: cut_tape({}), ("not_seen", "No stream was cut.", ())),
    ],
    ids=["repeated", "quoted", "completed", "completed-with-the-repeat", "completed-before",
         "a-whole-answer-said-the-same", "left", "not-streamed"],
)  # fmt: skip
def test_a_cut_stream_is_not_a_whole_answer(finding: Any, expected: Any) -> None:
    assert told(finding()) == expected


def test_what_does_not_show_on_the_wire_is_not_seen() -> None:
    finding = waits(tape("beatra", {"text": "Hello."}), 1.0).findings()["be-store-ids"]
    assert told(finding) == ("not_seen", "Nothing of this shows on the wire.", ())


# What holds everywhere


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_not_to_be_retried(status: int) -> None:
    made = waits(tape("brivionix", {"error": {"status": status, "body": {}}, "off_contract": True}), 1.0)
    expected = ("fail", f"A {status} was retried; the same request gets the same answer.", (1, 2))
    assert told(made.findings()["no-vain-retry"]) == expected


@pytest.mark.parametrize(
    "second", [{"key": "another"}, {"fields": {"model": "claude-sonnet-4.6"}}], ids=["key", "model"]
)
def test_another_key_or_model_is_no_vain_retry(second: Any) -> None:
    made = tape("brivionix", {"error": "unauthorized"})
    made.send(0)
    made.send(1, **second)
    assert told(made.findings()["no-vain-retry"])[:2] == ("pass", "No refusal was retried.")


def test_an_error_that_may_pass_is_no_refusal() -> None:
    finding = waits(tape("brivionix", {"error": "server_error"}), 1.0).findings()["no-vain-retry"]
    assert told(finding) == ("not_seen", "Nothing was refused for good.", ())


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        (0, ("not_seen", "No call was made.", ())),
        (10, ("pass", "No call was tried more than 10 times.", tuple(range(1, 11)))),
        (11, ("fail", "One call was tried 11 times; more than 10 do not help.", tuple(range(1, 12)))),
    ],
)
def test_attempts_are_bounded(attempts: int, expected: Any) -> None:
    made = tape("brivionix", TOO_MANY)
    for at in range(attempts):
        made.send(at)
    assert told(made.findings()["bounded-attempts"]) == expected


@pytest.mark.parametrize(
    ("reply", "gaps", "expected"),
    [
        (TOO_MANY | {"retry_after": 5}, (5.0,), ("pass", "Each Retry-After was honoured.", (1,))),
        (TOO_MANY | {"retry_after": 5}, (4.995,), ("pass", "Each Retry-After was honoured.", (1,))),
        ({"error": "model_unavailable", "retry_after": 5}, (4.5,),
         ("fail", "Retry-After asked for 5 s, the retry came after 4.5 s.", (1, 2))),
        (TOO_MANY | {"retry_after": 5}, (), ("not_seen", "No Retry-After was followed by another attempt.", ())),
        (TOO_MANY, (1.0,), ("not_seen", "No Retry-After was followed by another attempt.", ())),
    ],
    ids=["honoured", "within-what-clocks-are-out-by", "too-early", "given-up", "not-sent"],
)  # fmt: skip
def test_retry_after_is_honoured(reply: Any, gaps: Any, expected: Any) -> None:
    assert told(waits(tape("brivionix", reply), *gaps).findings()["retry-after"]) == expected


def stalled(took: float, end: str, real: float, seconds: Any = "60s") -> Finding:
    made = tape("brivionix", {"text": "One two three", "faults": [{"stall": {"after_chunks": 1, "for": seconds}}]})
    made.send(0, took, end, fields={"stream": True})
    sent = made.exchanges[0].sent
    assert sent
    made.exchanges[0] = replace(made.exchanges[0], sent=replace(sent, real=real))
    return made.findings()["stalled-stream"]


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (lambda: stalled(60, "complete", 60),
         ("fail", "A stream was silent for 60 s and the client went on waiting.", (1,))),
        (lambda: stalled(60, "complete", 0.01), ("not_seen", "No stream stalled for long in real time.", ())),
        (lambda: stalled(5, "complete", 60), ("not_seen", "No stream stalled for long in real time.", ())),
        (lambda: stalled(0, "complete", 30, "forever"),
         ("fail", "A stream was silent for 30 s and the client went on waiting.", (1,))),
        (lambda: stalled(3, "client_left", 3), ("pass", "A stalled stream was given up.", (1,))),
        (lambda: stalled(40, "client_left", 40), ("pass", "A stalled stream was given up.", (1,))),
    ],
    ids=["sat-through", "virtual", "a-short-gap", "forever", "given-up", "given-up-late"],
)  # fmt: skip
def test_a_stalled_stream_is_given_up(finding: Any, expected: Any) -> None:
    assert told(finding()) == expected


# What a scripted reply says that its request did not ask for


def test_a_scripted_call_that_was_not_offered_fails() -> None:
    made = tape("brivionix", {"tool_calls": [{"name": "look"}]})
    made.send(0)
    assert told(made.findings()[NOT_OFFERED]) == (
        "fail",
        "the reply calls 'look', and the request offers no tools (say off_contract: true if it is meant to)",
        (1,),
    )
    assert told(made.findings()[ARGUMENTS_BREAK]) == ("not_seen", "No scripted reply is of this kind.", ())


# As a whole


def test_each_provider_is_judged_by_its_own_facts_and_exchanges() -> None:
    made = tape("beatra", TOO_MANY)
    made.send(0)
    made.send(1, headers={"idempotency-key": ONE})
    common = [*COMMON]
    assert {*common} == {*MANNERS, *MISFITS}
    named = {name: [item.fact for item in judge(provider, made.exchanges)] for name, provider in PROVIDERS.items()}
    client = {
        name: [fact.id for fact in provider.facts.values() if fact.who == "client"]
        for name, provider in PROVIDERS.items()
    }
    beatra = [name for name in common if name != "cut-stream"]  # its own docs ask that
    assert named == {name: [*facts, *(beatra if name == "beatra" else common)] for name, facts in client.items()}
    assert {name: client[name] for name in FOUR} == {
        "beatra": ["be-incomplete-stream", "be-retry-same-key", "be-switch-model", "be-store-ids"],
        "braintwin": ["bt-backoff", "bt-retry-500"],
        "brainstormrouter": [],
        "brivionix": [],
    }
    assert {item.status for item in judge(PROVIDERS["braintwin"], made.exchanges)} == {"not_seen"}


def test_what_a_scenario_mutes_is_not_judged() -> None:
    made = waits(tape("beatra", TOO_MANY), 1.0)
    found = {item.fact: item for item in judge(PROVIDERS["beatra"], made.exchanges, (), {"be-retry-same-key"})}
    assert told(found["be-retry-same-key"]) == ("not_seen", "The scenario mutes this.", ())
    assert found["no-vain-retry"].message != "The scenario mutes this."


def test_what_we_answered_in_our_own_name_judges_no_client() -> None:
    made = Tape(make_session({"rules": [{"when": {"last_user": "never"}, "reply": {"text": "x"}}]}), "beatra")
    made.send(0)
    made.send(1)
    assert [item.rule for item in made.exchanges] == ["unmatched"] * 2
    assert {item.status for item in made.findings().values()} == {"not_seen"}


REFUSED = "Requests were refused, and no rule said so:"


@pytest.mark.parametrize(
    ("fields", "more", "expected"),
    [
        (
            {"temperature": "warm"},
            {},
            ("fail", f"{REFUSED} 400 invalid_request.", (1,)),
        ),
        ({}, {"key": ""}, ("fail", f"{REFUSED} 401 unauthorized.", (1,))),
        ({}, {}, ("pass", "No request was refused.", ())),
    ],
    ids=["fields", "key", "scripted"],
)
def test_a_request_that_no_rule_refuses_is_a_valid_one(fields: Any, more: Any, expected: Any) -> None:
    made = tape("beatra", {"error": "invalid_request"})
    made.send(0, fields=fields, **more)
    assert told(made.findings()["valid-requests"]) == expected


def test_a_limit_refuses_valid_requests() -> None:
    made = Tape(make_session({"rules": [{"reply": {"text": "x"}}]}, plan=Plan("one", 1)), "beatra")
    made.send(0)
    made.send(1)
    assert [item.timeline.status for item in made.exchanges] == [200, 429]
    assert made.findings()["valid-requests"].status == "pass"


def test_a_finding_as_the_control_api_shows_it() -> None:
    finding = waits(tape("beatra", TOO_MANY), 1.0).findings()["be-retry-same-key"]
    assert finding.body() == {
        "fact": "be-retry-same-key", "provider": "beatra", "status": "fail", "advice": False,
        "message": "A 429 was retried without an Idempotency-Key.", "exchanges": (1, 2), "source": "Errors",
    }  # fmt: skip


#: So many events are there before the second word is.
CUT_AFTER = {"openai": 2, "anthropic": 4, "gemini": 1, "brivionix": 2, "ollama": 1}


@pytest.mark.parametrize("provider", CUT_AFTER)
def test_a_cut_text_that_was_taken_is_found_at_every_provider(provider: str) -> None:
    live = make_session(
        {"rules": [{"reply": {"text": "One two three", "faults": [{"cut": {"after_chunks": CUT_AFTER[provider]}}]}}]}
    )
    bodies = {"anthropic": {"max_tokens": 100}, "gemini": {}}
    body = {"contents": [{"parts": [{"text": "hi"}]}]} if provider == "gemini" else chat(provider, stream=True)
    operation = PROVIDERS[provider].operations["chat"]
    path = operation.streams_at if provider == "gemini" else operation.path
    path = (path or operation.path).replace("{model}", "gemini-2.5-flash")
    headers = {"anthropic-version": "2023-06-01", "x-goog-api-key": "a-key"}
    exchange = live.send(provider, body | bodies.get(provider, {}), path=path, query="alt=sse", headers=headers)
    assert exchange.timeline.status == 200
    text = answered_text(exchange)
    assert text in ("One", "One two")
    found = {item.fact: item.status for item in judge(PROVIDERS[provider], [exchange], [(1, mark_of(text))])}
    assert found["cut-stream"] == "fail"
    assert {item.fact: item.status for item in judge(PROVIDERS[provider], [exchange])}["cut-stream"] == "not_seen"
