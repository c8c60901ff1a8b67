"""Runs a provider's contract against any base URL.

    plan ──> Planned, Planned, ... ──run, within a budget──> Result, Result, ... ──> Report

From Python, a whole run:

    from emulator.contract.run import run_contract

    report = run_contract("NAME", "http://127.0.0.1:8080/v1", key, phases=["facts", "examples"])
    assert report.totals["failed"] == 0

The cases as parametrised tests of a project's own suite, one test each:

    import pytest
    from emulator.contract.run import plan
    from emulator.contract.target import ForeignTarget

    TARGET = ForeignTarget("http://127.0.0.1:8080/v1", "the-key")
    CASES = plan("NAME", phases=["probe", "facts", "examples", "coverage"])

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
    def test_contract(case):
        result = case.run(TARGET)
        if result.outcome in ("not_seen", "inconclusive"):
            pytest.skip(result.message)
        assert result.outcome != "failed", f"{result.message}: {result.expected} expected, got {result.actual}"

A result that is `observed` differs only from what was assumed where the docs are silent. A client given to
ForeignTarget bounds what such a suite may cost: `Client(budget=RequestBudget(...))`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from emulator.contract.budget import RequestBudget
from emulator.contract.cases import planned
from emulator.contract.client import Bounds, Client
from emulator.contract.contract import Contract, load_contract
from emulator.contract.generation.subschemas import Document, UnsupportedKeyword
from emulator.contract.outcome import Outcome, PlannedCase
from emulator.contract.phases.coverage import coverage
from emulator.contract.phases.examples import examples
from emulator.contract.phases.exchanges import beyond_docs
from emulator.contract.phases.fuzz import MAX_EXAMPLES, fuzz
from emulator.contract.phases.probe import gates, probe
from emulator.contract.phases.stateful import stateful
from emulator.contract.reports.report import PHASES, Phase, Report, Result
from emulator.contract.target import ForeignTarget, Target, check_url, is_away
from emulator.contract.target import NotRunnable as NotRunnable
from emulator.core.errors import nearest

#: What runs at a URL that is not loopback unless more is asked for: few requests, none meant to be wrong in many ways.
CAREFUL: Sequence[Phase] = ("probe", "facts", "examples")

_MOST_HINT = 300

OnStart = Callable[[int, int], None]
OnResult = Callable[[Result, int, int], None]


def plan(
    provider: str | Contract,
    *,
    phases: Sequence[str] | None = None,
    cases: Sequence[str] = (),
    plan: str | None = None,
    seed: int = 0,
    max_examples: int = MAX_EXAMPLES,
    schemas: Path | str | None = None,
    frugal: bool = False,
) -> tuple[PlannedCase, ...]:
    """Return the cases of a run in their order: all phases', or those of `phases`, or those named.

    `frugal`: what is generated asks the models of the good requests, and no others.

    Raises: NotRunnable, for an unknown phase, case or plan; LookupError; SourceError.
    """
    contract = load_contract(provider, schemas) if isinstance(provider, str) else provider
    _known("phase", phases or (), PHASES)
    _known("plan", [plan] if plan else (), contract.provider.plans)
    made: Mapping[str, Callable[[], Iterable[PlannedCase]]] = {
        "probe": lambda: probe(contract),
        "facts": lambda: map(planned, contract.cases),
        "examples": lambda: examples(contract, seed),
        "coverage": lambda: coverage(contract),
        "fuzz": lambda: fuzz(contract, seed, max_examples, frugal),
        "stateful": lambda: stateful(contract, seed, plan),
    }
    wanted = PHASES if phases is None else phases
    found = [case for phase in PHASES if phase in wanted for case in made[phase]()]
    ids = [case.id for case in found]
    if not set(cases) <= set(ids):
        _elsewhere(cases, {case.id: phase for phase in PHASES if phase not in wanted for case in made[phase]()})
    _known("case", cases, ids)
    return tuple(case for case in found if not cases or case.id in cases)


def _elsewhere(cases: Iterable[str], phases: Mapping[str, str]) -> None:
    """Say of a case in which phase it is, where that one is not run."""
    for name in cases:
        if name in phases:
            hint = f"leave --phase out, or add --phase {phases[name]}"
            raise NotRunnable(f"The case '{name}' is in the phase {phases[name]}, which is not run; {hint}.")


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    listed = list(known)
    for name in names:
        if name not in listed:
            hint = nearest(name, listed)
            told = hint if len(hint) < _MOST_HINT else "a run without --case tells them all in its report"
            raise NotRunnable(f"There is no {what} '{name}'; {told}")


@dataclass(slots=True)
class Run:
    """One run: what is planned, its budget, and the results so far, which `report` holds at any time."""

    contract: Contract
    planned_case: Sequence[PlannedCase]
    target: Target
    budget: RequestBudget
    url: str
    seed: int
    results: list[Result] = field(default_factory=list)
    started_at: float = field(default_factory=time.time)
    start: float = field(default_factory=time.perf_counter)

    @property
    def requests(self) -> int:
        """How many requests are sent, at most; where a fuzz case fails, finding a smaller one takes more."""
        planned = sum(case.requests for case in self._ordered())
        return planned if self.budget.max_requests is None else min(planned, self.budget.max_requests)

    def _ordered(self) -> Sequence[PlannedCase]:
        """Return the cases without which the others are not run, planned or not, and then these."""
        first = gates(self.contract)
        return (*first, *(case for case in self.planned_case if case.id not in {gate.id for gate in first}))

    def go(self, on_result: OnResult = lambda result, done, total: None) -> None:
        """Run all, in order; once nothing more may be sent the rest is inconclusive, without sending."""
        planned, first = {case.id for case in self.planned_case}, {gate.id for gate in gates(self.contract)}
        for case in self._ordered():
            spent = self.budget.reason
            result = case.result(Outcome("inconclusive", spent)) if spent else case.run(self.target)
            stopped = result.outcome == "failed" and case.id in first
            if stopped or case.id in planned:
                self.results.append(result)
                on_result(result, len(self.results), max(len(planned), len(self.results)))
            if stopped:
                return

    def report(self) -> Report:
        """Return what is known by now."""
        seconds, results = round(time.perf_counter() - self.start, 6), tuple(self.results)
        name = self.contract.provider.name
        return Report(name, self.url, self.seed, self.started_at, seconds, self.budget.requests, results)


class Asked(TypedDict, total=False):
    """What a run can be told: what is run (all, or what is named), how much it may cost, how long it may wait."""

    phases: Sequence[str] | None
    cases: Sequence[str]
    ignore: Sequence[str]
    plan: str | None
    model: str | None
    seed: int
    max_requests: int | None
    max_tokens: int | None
    max_examples: int
    schemas: Path | str | None
    bounds: Bounds | None


def run_contract(
    provider: str,
    url: str,
    key: str,
    *,
    on_start: OnStart = lambda planned_case, requests: None,
    on_result: OnResult = lambda result, done, total: None,
    **asked: Unpack[Asked],
) -> Report:
    """Run a provider's contract against a base URL and return the report.

    `on_start` gets the numbers of cases and requests planned, `on_result` each result, how many are done, of how many.
    Raises: NotRunnable; LookupError, for an unknown provider; SourceError, for a folder that does not load.
    """
    prepared = prepare(provider, url, key, **asked)
    with closing(prepared.target):
        on_start(len(prepared.planned_case), prepared.requests)
        prepared.go(on_result)
    return prepared.report()


def prepare(
    provider: str,
    url: str,
    key: str,
    *,
    target: Callable[[Client], Target] | None = None,
    **asked: Unpack[Asked],
) -> Run:
    """Return a run that has not begun; `target` makes another one than a foreign URL's.

    Raises: NotRunnable; LookupError; SourceError.
    """
    check_url(url)
    away = is_away(url)
    budget = RequestBudget(asked.get("max_requests"), asked.get("max_tokens"))
    if away and budget.max_requests is None and budget.max_tokens is None:
        raise NotRunnable(
            f"{url} is not on this machine: say how much a run may cost, by --max-requests or --max-tokens."
        )
    phases, cases, seed = asked.get("phases"), asked.get("cases", ()), asked.get("seed", 0)
    chosen = phases if phases or not away or cases else CAREFUL
    contract, model = load_contract(provider, asked.get("schemas")), asked.get("model")
    contract = contract.naming(model) if model else contract
    budget.wire, budget.cost = contract.ask.wire, contract.most_tokens
    _check_drawable(contract)
    planned_case = plan(
        contract, phases=chosen or None, cases=cases, plan=asked.get("plan"), seed=seed,
        max_examples=asked.get("max_examples", MAX_EXAMPLES), frugal=budget.max_tokens is not None or model is not None,
    )  # fmt: skip
    ignored = asked.get("ignore", ())
    _known("fact", ignored, [*contract.provider.facts, *(case.id for case in planned_case)])
    planned_case = tuple(case for case in planned_case if not {case.id, case.fact} & {*ignored})
    notice = functools.partial(beyond_docs, contract)
    client = Client(proxies=away, bounds=asked.get("bounds"), budget=budget, notice=notice)
    made = target(client) if target else ForeignTarget(url, key, asked.get("plan"), client)
    return Run(contract, planned_case, made, budget, url, seed)


def _check_drawable(contract: Contract) -> None:
    """Raises: NotRunnable, for a schema of requests from which none can be drawn."""
    for name, operation in contract.provider.operations.items():
        try:
            Document(operation.request)
        except UnsupportedKeyword as error:
            where = f"the request schema of operations.{name}"
            raise NotRunnable(f"no requests can be drawn from {where} of '{contract.provider.name}': {error}") from None
