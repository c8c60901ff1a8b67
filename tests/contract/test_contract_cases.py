"""Every server fact has a case; all hold on a running emulator; each fails where its fact is broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from broken_endpoint import BrokenEndpoint

from emulator import SourceError
from emulator.contract.case_client import Ask, CaseClient
from emulator.contract.cases import Case, Step, load_cases, run_case
from emulator.contract.checks.table import CHECKS, Check
from emulator.contract.expectations import Differs
from emulator.contract.target import EmulatorTarget, ForeignTarget, NotArranged, Target, Unreachable

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(file.parent for file in (ROOT / "schemas").glob("*/provider.yaml"))
CASES = {case.fact.id: case for folder in FOLDERS for case in load_cases(folder)[1]}
BROKEN: dict[str, list[dict[str, Any]]] = yaml.load((ROOT / "tests/data/broken.yaml").read_text(), yaml.CSafeLoader)
#: Facts that no request of a run shows; contract.yaml says why.
UNSEEN = {name for name, case in CASES.items() if [step.name for step in case.steps] == ["unseen"]}
BREAKS = [(name, number) for name, breaks in BROKEN.items() for number in range(len(breaks))]


def provider_of(case: Case) -> str:
    return case.steps[0].ask.provider.name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_server_fact_has_one_case(folder: Path) -> None:
    facts = yaml.load((folder / "provider.yaml").read_text(), yaml.CSafeLoader)["facts"]
    wanted = [fact["id"] for fact in facts if fact["who"] == "server"]
    assert [case.fact.id for case in load_cases(folder)[1]] == wanted


def test_every_case_has_a_break_that_it_must_find() -> None:
    assert {name for name, breaks in BROKEN.items() if breaks} == CASES.keys() - UNSEEN


def test_every_check_is_used() -> None:
    assert {step.name for case in CASES.values() for step in case.steps} == set(CHECKS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_emulator_does_as_documented(case: Case, emulator_url: str) -> None:
    with closing(EmulatorTarget(emulator_url, provider_of(case))) as target:
        outcome = run_case(case, target)
    if case.fact.id in UNSEEN:
        assert (outcome.outcome, outcome.message) == ("not_seen", case.steps[0].params["why"])
    else:
        assert (outcome.outcome, outcome.message, outcome.expected, outcome.actual) == ("passed", "", None, None)


@pytest.mark.parametrize(("name", "number"), BREAKS, ids=[f"{name}-{number}" for name, number in BREAKS])
def test_a_broken_answer_fails_the_case(name: str, number: int, broken: BrokenEndpoint) -> None:
    how = BROKEN[name][number]
    broken.break_with(how)
    with closing(EmulatorTarget(broken.url, provider_of(CASES[name]))) as target:
        outcome = run_case(CASES[name], target)
    assert outcome.outcome == "failed", outcome
    assert how["says"] in outcome.message
    assert outcome.request is not None
    assert outcome.response is not None


FOREIGN = {
    "documented": ("be-temperature", {"when": {"body": {"temperature": 2.1}}, "status": 200}, "failed"),
    "assumed fact": ("be-unknown-path", {"when": {"status": 405}, "status": 404}, "observed"),
    "assumed step": ("be-model", {"when": {"body": {"model": "no-such-model"}}, "status": 200}, "observed"),
    "assumed status": ("bt-model-known", {"when": {"body": {"model": "gpt-5"}}, "status": 404}, "observed"),
    "documented beside": ("bt-model-known", {"when": {"body": {"model": "gpt-5"}}, "status": 200}, "failed"),
    "undocumented error": ("be-auth", {"when": {"status": 401}, "status": 403}, "observed"),
    "server error": ("be-auth", {"when": {"status": 401}, "status": 500}, "failed"),
    "rate limited": ("be-temperature", {"status": 429}, "inconclusive"),
    "untouched": ("be-temperature", {}, "passed"),
    "not arranged": ("be-error-503", {}, "not_seen"),
}


@pytest.mark.parametrize(("name", "how", "word"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_target_gets_the_outcome(name: str, how: dict[str, Any], word: str, broken: BrokenEndpoint) -> None:
    broken.break_with(how)
    case = CASES[name]
    with closing(ForeignTarget(f"{broken.url}/{provider_of(case)}/v1", "test-key")) as target:
        assert run_case(case, target).outcome == word


def test_a_later_step_that_is_not_seen_is_told_beside_a_pass(emulator_url: str) -> None:
    with closing(ForeignTarget(f"{emulator_url}/beatra/v1", "test-key")) as target:
        outcome = run_case(CASES["be-request-id"], target)
    told = 'not seen: it cannot be told to answer {"error": "rate_limited"}'
    assert (outcome.outcome, outcome.message) == ("passed", told)


class Stub:
    """A foreign target that no check talks to."""

    own = False

    def fresh(self) -> AbstractContextManager[Any]:
        return nullcontext(SimpleNamespace(key="", client=SimpleNamespace(noticed=None)))

    def close(self) -> None:
        """Nothing is open."""


def passes(client: CaseClient) -> None:
    """The fact holds."""


def differs(client: CaseClient) -> None:
    raise Differs("differs", 1, 2, None)


def observed(client: CaseClient) -> None:
    raise Differs("observed", 1, 2, None, assumed=True)


def unseen(client: CaseClient) -> None:
    raise NotArranged("unseen")


def unreachable(client: CaseClient) -> None:
    raise Unreachable("unreachable")


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ([passes, passes], ("passed", "")),
        ([observed, differs, unreachable], ("failed", "differs")),
        ([observed, unreachable], ("inconclusive", "unreachable")),
        ([unseen, observed], ("observed", "observed")),
        ([unseen, passes], ("not_seen", "unseen")),
        ([passes, unseen], ("passed", "not seen: unseen")),
        ([unseen, unseen], ("not_seen", "unseen; unseen")),
    ],
)
def test_the_gravest_step_decides(checks: list[Check], outcome: tuple[str, str]) -> None:
    ask = Ask("/chat", {}, {}, {}, CASES["be-temperature"].steps[0].ask.provider)
    steps = tuple(Step("stub", check, {}, ask, False) for check in checks)
    found = run_case(Case(CASES["be-temperature"].fact, steps), Stub())
    assert (found.outcome, found.message) == outcome


NOBODY = {
    "foreign": lambda: ForeignTarget("http://127.0.0.1:9/v1", "key"),
    "emulator": lambda: EmulatorTarget("http://127.0.0.1:9", "beatra"),
}


@pytest.mark.parametrize("make", NOBODY.values(), ids=NOBODY)
def test_a_target_that_is_not_there_is_inconclusive(make: Callable[[], Target]) -> None:
    with closing(make()) as target:
        assert run_case(CASES["be-temperature"], target).outcome == "inconclusive"


def test_the_key_is_in_no_outcome(broken: BrokenEndpoint) -> None:
    broken.break_with({"status": 418})
    with closing(ForeignTarget(f"{broken.url}/beatra/v1", "very-secret")) as target:
        outcome = run_case(CASES["be-auth"], target)
    assert outcome.request is not None
    assert "very-secret" not in repr(outcome)


def test_a_contract_that_does_not_load_tells_each_problem(tmp_path: Path) -> None:
    folder = tmp_path / "beatra"
    shutil.copytree(ROOT / "schemas" / "beatra", folder)
    file = folder / "contract.yaml"
    text = file.read_text()
    for right, wrong in (
        ("check: endpoint, version: /v1", "check: endpont"),
        ("{check: authentication}", "{check: authentication, prefx: a}"),
        ("{check: model_auto}", "{check: scripted}"),
        ("  be-stream:", "  be-steam:"),
        ('schema: {properties: {id: {pattern: "^chat', 'schema: {properties: {id: {pattern: "(^chat'),
    ):
        assert right in text
        text = text.replace(right, wrong)
    file.write_text(text)
    with pytest.raises(SourceError) as caught:
        load_cases(folder)
    told = sorted(f"{problem.where}: {problem.message}" for problem in caught.value.problems)
    assert told == [
        "cases.be-auth[0].prefx: is not known here; did you mean 'prefix'?",
        "cases.be-endpoint[0].check: is no check; did you mean 'endpoint'?",
        "cases.be-model[0]: lacks 'error'",
        told[3],
        "cases.be-steam: is no server fact; did you mean 'be-stream'?",
        "cases: lacks a case for 'be-stream'",
    ]
    assert told[3].startswith("cases.be-response-sync[1].schema: is no JSON Schema")


def test_a_contract_of_another_shape_does_not_load(tmp_path: Path) -> None:
    folder = tmp_path / "beatra"
    shutil.copytree(ROOT / "schemas" / "beatra", folder)
    (folder / "contract.yaml").write_text("emulator: 1\nask: {path: chat}\ncases: {be-auth: authentication}\n")
    with pytest.raises(SourceError) as caught:
        load_cases(folder)
    assert {problem.where for problem in caught.value.problems} == {
        "ask.path",
        "ask.body",
        "ask.spoilt",
        "cases.be-auth",
    }


def test_a_folder_without_a_contract_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"contract\.yaml:1:1: cannot be read: No such file or directory"):
        load_cases(tmp_path)
