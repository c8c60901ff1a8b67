"""Drift: two runs compared case by case, volatile values as references, and the exit code that follows."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.contract.reports.drift import Drift, compare, exit_code, findings, referenced
from emulator.contract.reports.report import OutcomeWord, Report, Result


def result(outcome: OutcomeWord, **given: Any) -> Result:
    fields = {"id": "a", "phase": "facts", "fact": "a", "source": "Docs", "assumed": False, "outcome": outcome}
    return Result(**{**fields, **given})


def report(*cases: Result) -> Report:
    return Report("beatra", "http://127.0.0.1/v1", 0, 1.0, 2.0, 3, cases)


def kinds(drift: Drift) -> list[str]:
    fields = ("new", "known", "changed", "fixed", "added", "gone")
    return [name for name in fields if getattr(drift, name)]


BAD, WORSE = {"expected": 400, "actual": 200}, {"expected": 400, "actual": 500}
TABLE: dict[str, tuple[Result | None, Result | None, list[str], int]] = {
    "passes as before": (result("passed"), result("passed"), [], 0),
    "fails as before": (result("failed", **BAD), result("failed", **BAD), ["known"], 0),
    "fails otherwise": (result("failed", **BAD), result("failed", **WORSE), ["changed"], 1),
    "fails for another reason": (
        result("failed", message="id is required"), result("failed", message="model is required"), ["changed"], 1,
    ),
    "fails, passed": (result("passed"), result("failed", **BAD), ["changed"], 1),
    "fails without a word, passed": (result("passed"), result("failed"), ["changed"], 1),
    "fails, was observed otherwise": (result("observed", **WORSE), result("failed", **BAD), ["changed"], 1),
    "fails, was observed so": (result("observed", **BAD), result("failed", **BAD), ["new"], 1),
    "fails, was not seen": (result("not_seen"), result("failed", **BAD), ["new"], 1),
    "fails, was inconclusive": (result("inconclusive"), result("failed", **BAD), ["new"], 1),
    "fails, was not run": (None, result("failed", **BAD), ["new", "added"], 1),
    "passes, was not run": (None, result("passed"), ["added"], 0),
    "passes, failed": (result("failed", **BAD), result("passed"), ["fixed"], 0),
    "observed so, failed": (result("failed", **BAD), result("observed", **BAD), ["fixed"], 0),
    "observed otherwise, failed": (result("failed", **BAD), result("observed", **WORSE), ["changed"], 0),
    "observed, passed": (result("passed"), result("observed", **BAD), ["changed"], 0),
    "observed as before": (result("observed", **BAD), result("observed", **BAD), [], 0),
    "passes, was observed": (result("observed", **BAD), result("passed"), ["changed"], 0),
    "inconclusive, failed": (result("failed", **BAD), result("inconclusive"), [], 4),
    "not seen, failed": (result("failed", **BAD), result("not_seen"), [], 0),
    "not run, failed": (result("failed", **BAD), None, ["gone"], 0),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected", "code"), TABLE.values(), ids=TABLE)
def test_a_case_and_what_it_was(before: Result | None, after: Result | None, expected: list[str], code: int) -> None:
    baseline, now = report(*[before] if before else []), report(*[after] if after else [])
    drift = compare(now, baseline)
    assert (kinds(drift), exit_code(now, baseline)) == (expected, code)
    assert findings(now, baseline) == (code == 1)
    if "changed" in expected:
        assert drift.changed == ((before, after),)


def test_cases_come_in_the_order_of_the_run() -> None:
    one, two, three = (result("failed", id=name) for name in "abc")
    drift = compare(report(three, one, two), report(two))
    assert drift == Drift((three, one), (two,), (), (), (three, one), ())
    assert drift.findings == (three, one)


CODES: dict[str, tuple[list[Result], int]] = {
    "nothing": ([], 0),
    "passed": ([result("passed")], 0),
    "observed": ([result("observed"), result("not_seen")], 0),
    "inconclusive": ([result("passed"), result("inconclusive")], 4),
    "failed": ([result("inconclusive"), result("failed")], 1),
    "unreachable": ([result("failed", id="probe/reachable", phase="probe"), result("failed")], 3),
    "key refused": ([result("passed", id="probe/reachable"), result("failed", id="probe/key")], 3),
    "another probe": ([result("failed", id="probe/models", phase="probe")], 1),
}


@pytest.mark.parametrize(("cases", "code"), CODES.values(), ids=CODES)
def test_the_exit_code(cases: list[Result], code: int) -> None:
    assert (exit_code(report(*cases)), findings(report(*cases))) == (code, code in (1, 3))


def test_a_target_that_was_unreachable_before_is_unreachable_still() -> None:
    gone = report(result("failed", id="probe/reachable"))
    assert exit_code(gone, gone) == 3


ULID, OTHER = "01K9ZV3D8M7Q2W4E6R8T0Y1A3S", "01K9ZV3D8MXXXXXXXX8T0Y1A3S"
FORMS: dict[str, tuple[Any, Any]] = {
    "prefix": (f"chatcmpl_{ULID}", "chatcmpl_<id-1>"),
    "hyphen": ("chatcmpl-9aB3dEfGh1jKlMnOpQrStUvWxYz01", "chatcmpl-<id-1>"),
    "ulid": (ULID, "<id-1>"),
    "hexadecimal": ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <id-1>"),
    "uuid": ("6f1c1b1e-8a55-4d53-9a3c-0d6f0a2b7c11", "<uuid-1>"),
    "in words": (f"the id 'req_{ULID}' came again: 'req_{ULID}'", "the id 'req_<id-1>' came again: 'req_<id-1>'"),
    "two": ([f"req_{ULID}", f"req_{OTHER}", f"req_{ULID}"], ["req_<id-1>", "req_<id-2>", "req_<id-1>"]),
    "order of keys": ({"b": f"a_{OTHER}", "a": f"req_{ULID}"}, {"a": "req_<id-1>", "b": "a_<id-2>"}),
    "fingerprint": ({"system_fingerprint": "any 7"}, {"system_fingerprint": "<fp-1>"}),
    "no fingerprint": ({"system_fingerprint": None}, {"system_fingerprint": None}),
    "fp": ("fp_44709d6fcb", "fp_<fp-1>"),
    "unix": ({"created": 1763800000, "at": 1763800000.25}, {"at": "<float seconds>", "created": "<int seconds>"}),
    "milliseconds": ([1763800000123, "1763800000123"], ["<int milliseconds>", "<milliseconds>"]),
    "unix text": ("reset=1763800000; at 1763800000.5", "reset=<seconds>; at <seconds>"),
    "iso": ("2026-11-22T09:57:28.123Z 2026-11-22 09:57:28+01:00", "<iso> <iso>"),
    "http": ("Sun, 22 Nov 2026 09:57:28 GMT", "<date>"),
    "models": ("gpt-4o-2024-08-06 claude-3-5-sonnet-20241022", "gpt-4o-2024-08-06 claude-3-5-sonnet-20241022"),
    "words": ("max_completion_tokens text-embedding-3-large", "max_completion_tokens text-embedding-3-large"),
    "numbers": ([200, 1_000_000_000, True, None, -1.5], [200, 1_000_000_000, True, None, -1.5]),
}


@pytest.mark.parametrize(("value", "expected"), FORMS.values(), ids=FORMS)
def test_what_is_volatile_becomes_a_reference(value: Any, expected: Any) -> None:
    assert referenced(value) == expected


@given(st.lists(st.integers(0, 3), min_size=1), st.permutations(range(4)))
def test_other_ids_of_the_same_structure_are_equal(order: list[int], other: list[int]) -> None:
    def seen(names: list[int]) -> Any:
        return [{"id": str(uuid.UUID(int=2**100 + name)), "n": f"req_{name:012}"} for name in names]

    assert referenced(seen(order)) == referenced(seen([other[name] for name in order]))


def test_a_repeated_id_that_becomes_two_differs() -> None:
    before = result("failed", expected=f"req_{ULID}", actual=[f"req_{ULID}"])
    after = replace(before, actual=[f"req_{OTHER}"])
    assert kinds(compare(report(after), report(before))) == ["changed"]
    other = replace(before, expected=f"req_{OTHER}", actual=[f"req_{OTHER}"])
    assert kinds(compare(report(other), report(before))) == ["known"]


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (1, 1.0), ("1", 1), ("a_" + ULID, "req_" + ULID), (1763800000, "1763800000")]
)
def test_values_of_another_kind_differ(before: Any, after: Any) -> None:
    drift = compare(report(result("failed", actual=after)), report(result("failed", actual=before)))
    assert kinds(drift) == ["changed"]


def test_numbers_that_are_none_and_deep_answers_can_be_compared() -> None:
    deep: Any = []
    for _ in range(3000):
        deep = [deep]
    now = report(result("failed", actual=[float("nan"), float("inf"), deep]))
    assert kinds(compare(now, now)) == ["known"]
