"""Cases: each fact of a provider, bound by its contract.yaml to the checks that show whether it holds.

    contract.yaml + the facts of provider.yaml ──load_cases──> Case ──run_case(target)──> Outcome

The first step of a case looks at the fact itself, the others at what rests on it: a case whose first step
cannot be arranged is not seen. A difference that only our own assumption rules out is observed at a foreign
target, and a failure at an emulator.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from emulator.contract.checks import CHECKS, Check
from emulator.contract.client import Answer, answer_json, request_json
from emulator.contract.talk import Ask, Differs, Talk
from emulator.contract.target import NotArranged, Target, Unreachable
from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.schema import Schema
from emulator.core.source import Path as Place
from emulator.core.source import Source, parse_source

OutcomeWord = Literal["passed", "failed", "inconclusive", "not_seen", "observed"]

#: Which outcome of several steps is the case's.
_GRAVEST: Sequence[OutcomeWord] = ("failed", "inconclusive", "observed")
_SCHEMAS = {"schema", "chunk"}
_STEP_KEYS = ("check", "ask", "assumed")
_ASK_KEYS = ("path", "body", "spoilt", "headers")


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
    """A fact of a provider and the steps that show whether it holds. `id` is the fact's."""

    id: str
    provider: str
    text: str
    source: str
    assumed: bool
    note: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a case came to, and the exchange that decided it."""

    case: Case
    outcome: OutcomeWord
    message: str = ""
    expected: Json = None
    actual: Json = None
    request: Mapping[str, Json] | None = None
    response: Mapping[str, Json] | None = None


def run_case(case: Case, target: Target) -> Outcome:
    """Run a case's steps, each in a fresh World, and return the gravest outcome."""
    outcomes = [_run_step(case, step, target) for step in case.steps]
    for word in _GRAVEST:
        for item in outcomes:
            if item.outcome == word:
                return item
    unseen = "; ".join(item.message for item in outcomes if item.outcome == "not_seen")
    return replace(outcomes[0], message=f"not seen: {unseen}" if unseen else "")


def _run_step(case: Case, step: Step, target: Target) -> Outcome:
    try:
        with target.fresh() as world:
            step.check(Talk(world, step.ask, step.assumed), **step.params)
    except NotArranged as reason:
        return Outcome(case, "not_seen", str(reason))
    except Unreachable as reason:
        return Outcome(case, "inconclusive", str(reason))
    except Differs as found:
        return _differing(case, step, target, found)
    return Outcome(case, "passed")


def _differing(case: Case, step: Step, target: Target, found: Differs) -> Outcome:
    answer = found.answer
    assumed = case.assumed or step.assumed is True or found.assumed
    word: OutcomeWord = "failed"
    if not target.own and answer and (answer.status == 429 or answer.ended == "unreachable"):
        word = "inconclusive"
    elif assumed and not target.own:
        word = "observed"
    return Outcome(case, word, found.message, found.expected, found.actual, *_exchange(answer))


def _exchange(answer: Answer | None) -> tuple[Mapping[str, Json] | None, Mapping[str, Json] | None]:
    return (request_json(answer.request), answer_json(answer)) if answer else (None, None)


def load_cases(folder: Path | str) -> tuple[Case, ...]:
    """Load the cases of a provider's folder, in the order of its facts.

    Raises: SourceError, with every unknown check, parameter or fact, and every server fact without a case.
    """
    folder = Path(folder)
    return _Loader(_read(folder / "provider.yaml"), _read(folder / "contract.yaml")).load()


def _read(file: Path) -> Source:
    try:
        return parse_source(file.read_bytes(), str(file))
    except OSError as error:
        raise SourceError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None


class _Loader:
    """Checks a contract.yaml as a whole and collects every problem before it gives up."""

    def __init__(self, provider: Source, contract: Source) -> None:
        self.provider = provider.data
        self.contract = contract
        self.problems: list[Problem] = []

    def load(self) -> tuple[Case, ...]:
        facts = {fact["id"]: fact for fact in self.provider["facts"] if fact["who"] == "server"}
        self.keys((), self.contract.data, ("emulator", "ask", "cases"))
        self.keys(("ask",), self.contract.data["ask"], _ASK_KEYS)
        listed = self.contract.data["cases"]
        for name in listed:
            if name not in facts:
                self.report(("cases", name), f"is no server fact; {nearest(name, facts)}")
        for name in facts:
            if name not in listed:
                self.report(("cases",), f"lacks a case for '{name}'")
        steps = {name: tuple(self.steps(("cases", name), item)) for name, item in listed.items()}
        if self.problems:
            raise SourceError(self.problems)
        return tuple(self.case(fact, steps[name]) for name, fact in facts.items())

    def case(self, fact: Mapping[str, Json], steps: tuple[Step, ...]) -> Case:
        return Case(
            fact["id"], self.provider["name"], fact["text"], fact["source"],
            fact.get("assumed", False), fact.get("note"), steps,
        )  # fmt: skip

    def steps(self, place: Place, items: Json) -> Iterator[Step]:
        if not isinstance(items, list) or not items:
            self.report(place, "must be a list of steps, such as {check: requests, bad: [{temperature: 3}]}")
            return
        for index, item in enumerate(items):
            check = CHECKS.get(item.get("check"))
            if check is None:
                self.report((*place, index), f"has no known check; {nearest(str(item.get('check')), CHECKS)}")
                continue
            params = {key: value for key, value in item.items() if key not in _STEP_KEYS}
            self.parameters((*place, index), check, params)
            self.keys((*place, index, "ask"), item.get("ask", {}), _ASK_KEYS)
            yield Step(item["check"], check, params, self.ask(item.get("ask", {})), item.get("assumed", False))

    def ask(self, changes: Mapping[str, Json]) -> Ask:
        given = {**self.contract.data["ask"], **changes}
        names = self.provider["errors"]["names"]
        documented = frozenset(name for name, item in names.items() if item.get("documented"))
        return Ask(given["path"], given["body"], given["spoilt"], given.get("headers", {}), documented)

    def parameters(self, place: Place, check: Check, params: Mapping[str, Json]) -> None:
        known = {
            name: item
            for name, item in inspect.signature(check).parameters.items()
            if item.kind is inspect.Parameter.KEYWORD_ONLY
        }
        self.keys(place, params, tuple(known))
        for name in _SCHEMAS & set(params):
            try:
                Schema(params[name])
            except ValueError as error:
                self.report((*place, name), str(error))
        for name, item in known.items():
            if item.default is inspect.Parameter.empty and name not in params:
                self.report(place, f"lacks '{name}'")

    def keys(self, place: Place, value: Mapping[str, Json], known: Sequence[str]) -> None:
        for name in value:
            if name not in known:
                self.report((*place, name), f"is not known here; {nearest(name, known)}")

    def report(self, place: Place, message: str) -> None:
        self.problems.append(self.contract.problem(place, message))
