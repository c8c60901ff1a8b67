"""Cases: each fact of a provider, bound by its contract.yaml to the checks that show whether it holds.

    contract.yaml + the facts of provider.yaml ──load_cases──> Case ──run_case(target)──> Outcome

The first step of a case looks at the fact itself, the others at what rests on it: a case whose first step
cannot be arranged is not seen. A difference that only our own assumption rules out is observed at a foreign
target, and a failure at an emulator.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from emulator.contract.case_client import Ask, CaseClient
from emulator.contract.checks.table import CHECKS, Check, requests_of
from emulator.contract.outcome import Outcome, PlannedCase, judge
from emulator.contract.reports.report import OutcomeWord
from emulator.contract.target import Target
from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.provider.fact import Fact
from emulator.core.provider.loading.folder import load_provider
from emulator.core.provider.provider import Provider
from emulator.core.schema.formats import own_schema, schema_problems
from emulator.core.schema.schema import Schema
from emulator.core.source import Path as Place
from emulator.core.source import Source, read_source

#: Which outcome of several steps is the case's.
_GRAVEST: Sequence[OutcomeWord] = ("failed", "inconclusive", "observed")
_SCHEMAS = {"schema", "chunk"}
_STEP_KEYS = ("check", "ask", "assumed")


@dataclass(frozen=True, slots=True)
class Step:
    """One check with its parameters; `assumed`: all it looks at is, or which status a refusal has."""

    name: str
    check: Check
    params: Mapping[str, Json]
    ask: Ask
    assumed: bool | Literal["status"]


@dataclass(frozen=True, slots=True)
class Case:
    """A fact of a provider and the steps that show whether it holds."""

    fact: Fact
    steps: tuple[Step, ...]


def run_case(case: Case, target: Target) -> Outcome:
    """Run a case's steps, each in a fresh session, and return the gravest outcome."""

    def outcome(step: Step) -> Outcome:
        client = functools.partial(CaseClient, ask=step.ask, assumed=step.assumed)
        assumed = not case.fact.binding or step.assumed is True
        return judge(lambda session: step.check(client(session), **step.params), target, assumed)

    outcomes = list(map(outcome, case.steps))
    gravest = next((item for word in _GRAVEST for item in outcomes if item.outcome == word), None)
    if gravest:
        return gravest
    unseen = "; ".join(item.message for item in outcomes if item.outcome == "not_seen")
    beside = "not seen: " if unseen and outcomes[0].outcome == "passed" else ""
    return replace(outcomes[0], message=beside + unseen)


def planned(case: Case) -> PlannedCase:
    """Plan a case of the phase `facts`; its id is the fact's."""
    fact, judged = case.fact, functools.partial(run_case, case)
    requests = sum(requests_of(step.name, step.params) for step in case.steps)
    return PlannedCase(fact.id, "facts", fact.id, fact.source, not fact.binding, requests, judged)


def load_cases(folder: Path | str) -> tuple[Ask, tuple[Case, ...]]:
    """Load a provider's good request, and the cases of its facts, in their order.

    Raises: SourceError, with every unknown check, parameter or fact, and every server fact without a case.
    """
    source = read_source(Path(folder) / "contract.yaml")
    loader = _Loader(load_provider(folder), source)
    cases = loader.load()
    return loader.ask({}), cases


class _Loader:
    """Checks a contract.yaml as a whole and collects every problem before it gives up."""

    def __init__(self, provider: Provider, source: Source) -> None:
        self.provider = provider
        self.source = source
        self.problems: list[Problem] = []

    def load(self) -> tuple[Case, ...]:
        if problems := schema_problems(own_schema("contract"), self.source):
            raise SourceError(problems)
        facts = {fact.id: fact for fact in self.provider.facts.values() if fact.who == "server"}
        listed = self.source.data["cases"]
        for name in listed:
            if name not in facts:
                self.report(("cases", name), f"is no server fact; {nearest(name, facts)}")
        for name in facts:
            if name not in listed:
                self.report(("cases",), f"lacks a case for '{name}'")
        steps = {name: tuple(self.steps(name, items)) for name, items in listed.items()}
        if self.problems:
            raise SourceError(self.problems)
        return tuple(Case(fact, steps[name]) for name, fact in facts.items())

    def steps(self, name: str, items: Sequence[Mapping[str, Json]]) -> Iterator[Step]:
        for index, item in enumerate(items):
            place = ("cases", name, index)
            check = CHECKS.get(item["check"])
            if check is None:
                self.report((*place, "check"), f"is no check; {nearest(item['check'], CHECKS)}")
                continue
            params = {key: value for key, value in item.items() if key not in _STEP_KEYS}
            self.check_parameters(place, check, params)
            yield Step(item["check"], check, params, self.ask(item.get("ask", {})), item.get("assumed", False))

    def ask(self, changes: Mapping[str, Json]) -> Ask:
        given = {"headers": {}, **self.source.data["ask"], **changes}
        return Ask(**given, provider=self.provider)

    def check_parameters(self, place: Place, check: Check, params: Mapping[str, Json]) -> None:
        _client, *taken = inspect.signature(check).parameters.values()
        known, errors = {item.name: item for item in taken}, self.provider.errors
        for name, value in params.items():
            if name not in known:
                self.report((*place, name), f"is not known here; {nearest(name, known)}")
            elif name in _SCHEMAS:
                try:
                    Schema(value)
                except ValueError as error:
                    self.report((*place, name), str(error))
            elif name == "error" and value is not None and value not in errors:
                self.report((*place, name), f"there is no error '{value}'; {nearest(value, errors)}")
        for item in taken:
            if item.default is inspect.Parameter.empty and item.name not in params:
                self.report(place, f"lacks '{item.name}'")

    def report(self, place: Place, message: str) -> None:
        self.problems.append(self.source.problem(place, message))
