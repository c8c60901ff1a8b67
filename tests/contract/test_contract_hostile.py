"""Whatever a target does, a run ends within its bounds, and says what happened."""

from __future__ import annotations

import json

import pytest
from hostile_target import ENDLESS, NONSENSE, HostileTarget, raw, whole

from emulator.contract.budget import MOST_SILENT
from emulator.contract.client import Bounds
from emulator.contract.reports.drift import exit_code
from emulator.contract.reports.report import Report, report_json
from emulator.contract.run import run_contract

#: For what ends by itself: a machine that is busy may take its time.
BOUNDS = Bounds(idle_s=30, whole_s=60, max_bytes=2_000_000, max_events=2_000)
KEY = "a-very-secret-key"
#: Between them they make every check; coverage would only ask the same of more bodies.
PHASES = ("facts", "examples", "fuzz", "stateful")


class BriefBounds:
    """Bounds that are patient with the good answers of a target, and brief with those that never end."""

    max_bytes, max_events = 2_000_000, 2_000

    def __init__(self, target: HostileTarget) -> None:
        self._target = target

    @property
    def idle_s(self) -> float:
        return 60 if self._target.requests < self._target.after else 0.15

    @property
    def whole_s(self) -> float:
        return 60 if self._target.requests < self._target.after else 0.4


def contract_run(target: HostileTarget, provider: str, *, bounds: object = BOUNDS, **given: object) -> Report:
    return run_contract(provider, target.url, KEY, bounds=bounds, max_examples=3, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["hangs", "head drips", "resets", "no HTTP", "closes"])
def test_a_target_that_gives_no_answer_is_unreachable(way: str) -> None:
    with HostileTarget(way) as target:
        report = contract_run(target, "beatra", bounds=BriefBounds(target))
    assert [(case.id, case.outcome) for case in report.cases] == [("probe/reachable", "failed")]
    assert (exit_code(report), target.requests) == (3, 1)


@pytest.mark.parametrize("way", ENDLESS)
def test_a_target_that_never_ends_its_answers_ends_the_run(way: str) -> None:
    """Two requests get through the gates; what comes after is not waited for again and again."""
    with HostileTarget(way, after=2) as target:
        report = contract_run(target, "beatra", bounds=BriefBounds(target), phases=["probe", "coverage"])
    assert target.requests == 2 + MOST_SILENT
    assert report.requests == target.requests
    assert report.totals["failed"] >= 1
    assert report.totals["inconclusive"] > 50
    last = report.cases[-1].message
    assert last == f"the last {MOST_SILENT} answers did not end within their bounds, so nothing more was sent"
    failed = next(case for case in report.cases if case.outcome == "failed")
    assert failed.curl is not None
    assert exit_code(report) == 1


@pytest.mark.parametrize("provider", ["brainstormrouter", "braintwin"])
@pytest.mark.parametrize("way", NONSENSE)
def test_nonsense_has_an_outcome_in_every_case(way: str, provider: str) -> None:
    with HostileTarget(way, after=2) as target:
        report = contract_run(target, provider, phases=PHASES, max_requests=80)
    assert report.totals["failed"] >= 1
    assert exit_code(report) == 1
    assert KEY not in json.dumps(report_json(report))


def test_two_answers_to_one_request_are_a_finding() -> None:
    with HostileTarget("two answers", after=2) as target:
        report = contract_run(target, "brainstormrouter", phases=("examples",))
    failed = [case for case in report.cases if case.outcome == "failed"]
    assert "200 (overrun: behind it came b'HTTP/1.1 200 OK" in str(failed[0].actual)


def test_an_echo_of_the_key_is_not_told() -> None:
    """Neither where the target repeats it nor where a text is cut within it."""
    body = json.dumps({"error": f"Bearer {KEY}", KEY: [KEY], "long": "x" * 3980 + KEY}).encode()
    answer = raw(whole(body, more=f"x-key: {KEY}\r\n"))
    with HostileTarget("good", after=2) as target:
        target.way = answer
        report = contract_run(target, "brivionix", max_requests=100)
    told = json.dumps(report_json(report))
    assert KEY not in told
    assert KEY[:10] not in told
    assert "$API_KEY" in told
