"""Every server fact has a case; all hold on a running emulator; each fails where its fact is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from broken_endpoint import BrokenEndpoint

from emulator.contract.cases import Case, load_cases, run_case
from emulator.contract.target import EmulatorTarget

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(file.parent for file in (ROOT / "schemas").glob("*/provider.yaml"))
CASES = {case.id: case for folder in FOLDERS for case in load_cases(folder)}
BROKEN: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "tests/data/broken.yaml").read_text())
BREAKS = [(name, number) for name, breaks in BROKEN.items() for number in range(len(breaks))]


@pytest.fixture(scope="session")
def broken_endpoint(emulator_url: str) -> Iterator[BrokenEndpoint]:
    with BrokenEndpoint(emulator_url) as endpoint:
        yield endpoint


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_server_fact_has_one_case(folder: Path) -> None:
    facts = yaml.safe_load((folder / "provider.yaml").read_text())["facts"]
    assert [case.id for case in load_cases(folder)] == [fact["id"] for fact in facts if fact["who"] == "server"]


def test_every_case_has_a_break_that_it_must_find() -> None:
    assert {name for name, breaks in BROKEN.items() if breaks} == set(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_emulator_does_as_documented(case: Case, emulator_url: str) -> None:
    with closing(EmulatorTarget(emulator_url, case.provider)) as target:
        outcome = run_case(case, target)
    assert (outcome.outcome, outcome.message, outcome.expected, outcome.actual) == ("passed", "", None, None)


@pytest.mark.parametrize(("name", "number"), BREAKS, ids=[f"{name}-{number}" for name, number in BREAKS])
def test_a_broken_answer_fails_the_case(name: str, number: int, broken_endpoint: BrokenEndpoint) -> None:
    broken = BROKEN[name][number]
    broken_endpoint.break_with(broken)
    with closing(EmulatorTarget(broken_endpoint.url, CASES[name].provider)) as target:
        outcome = run_case(CASES[name], target)
    assert outcome.outcome == "failed", outcome
    assert broken["says"] in outcome.message
    assert outcome.request is not None
    assert outcome.response is not None
