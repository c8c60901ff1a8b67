"""The phase `facts`: a case for each documented fact that binds the server; its id is the fact's."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.contract.cases import Case, run_case
from emulator.contract.checks.table import requests_of
from emulator.contract.contract import Contract
from emulator.contract.outcome import Outcome
from emulator.contract.phases.case import PlannedCase
from emulator.contract.target import Target


def facts(contract: Contract) -> Iterator[PlannedCase]:
    """Yield the cases in the order of the provider's facts."""
    for case in contract.cases:
        yield _planned_cases(contract, case)


def _planned_cases(contract: Contract, case: Case) -> PlannedCase:
    def judged(target: Target) -> Outcome:
        return run_case(case, target)

    requests = sum(requests_of(step.name, step.params) for step in case.steps)
    return PlannedCase(case.id, "facts", case.id, case.source, case.assumed, requests, judged, contract.provider.facts)
