"""The phase `facts`: a case for each documented fact that binds the server; its id is the fact's."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from emulator.contract.cases import run_case
from emulator.contract.checks.table import requests_of
from emulator.contract.contract import Contract
from emulator.contract.outcome import PlannedCase


def facts(contract: Contract) -> Iterator[PlannedCase]:
    """Yield the cases in the order of the provider's facts."""
    known = contract.provider.facts
    for case in contract.cases:
        requests = sum(requests_of(step.name, step.params) for step in case.steps)
        judged = functools.partial(run_case, case)
        yield PlannedCase(case.id, "facts", case.id, case.source, case.assumed, requests, judged, known)
