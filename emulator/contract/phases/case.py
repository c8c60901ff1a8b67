"""A planned case: what a run will do, in its order, and what it came to once it ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from emulator.contract.contract import Contract
from emulator.contract.expectations import OF_FACT
from emulator.contract.outcome import Outcome, judge
from emulator.contract.reports.report import Phase, Result
from emulator.contract.target import Target, TargetSession
from emulator.core.provider.fact import Fact

#: What a case's result takes from what its check came to.
_TOLD = [item.name for item in fields(Outcome) if item.name != "fact"]


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """One case. `requests` is what it sends to the target, at most; `assumed`: all it looks at is."""

    id: str
    phase: Phase
    fact: str | None
    source: str
    assumed: bool
    requests: int
    judged: Callable[[Target], Outcome] = field(repr=False)
    facts: Mapping[str, Fact] = field(repr=False)

    def run(self, target: Target) -> Result:
        """Run the case alone."""
        start = time.perf_counter()
        outcome = self.judged(target)
        return self.result(outcome, time.perf_counter() - start)

    def result(self, outcome: Outcome, seconds: float = 0.0) -> Result:
        """Return the case with what it came to; a check that rests on a fact of its own is told by that one."""
        own = self.facts.get(outcome.fact) if outcome.fact else None
        fact, source, assumed = (own.id, own.source, not own.binding) if own else (self.fact, self.source, self.assumed)
        told = {name: getattr(outcome, name) for name in _TOLD}
        told["difference"] = outcome.difference.replace(OF_FACT, f"{fact or self.id}: ")
        return Result(self.id, self.phase, fact, source, assumed, seconds=round(seconds, 6), **told)


def planned_case(
    contract: Contract,
    phase: Phase,
    name: str,
    check: Callable[[TargetSession], None],
    *,
    fact: str | None = None,
    source: str | None = None,
    assumed: bool = False,
    requests: int = 1,
) -> PlannedCase:
    """Plan a check of a phase; its id begins with the phase, its source is the fact's unless given."""
    known = contract.fact(fact)
    where = source if source is not None else known.source if known else ""
    assumed = assumed or bool(known and not known.binding)
    facts = contract.provider.facts
    return PlannedCase(
        f"{phase}/{name}", phase, fact, where, assumed, requests,
        lambda target: judge(check, target, assumed), facts,
    )  # fmt: skip
