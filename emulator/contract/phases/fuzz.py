"""The phase `fuzz`: bodies drawn by Hypothesis, valid ones taken and broken ones refused.

    seed ──draw──> a list of bodies ──one by one──> the first that fails ──smallest──> the request that shows it

All bodies of a case are drawn before the first is sent: the same seed gives the same bodies, whatever the target does.
Hypothesis also tries constants that it finds in the project that it runs in, so another project gets other bodies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Phase, given, seed, settings

from emulator.contract.contract import Contract
from emulator.contract.generation.mutations import Mutation, Mutator
from emulator.contract.generation.shrink import smallest
from emulator.contract.generation.strategies import Values, answered, model_fields, requests
from emulator.contract.outcome import Outcome, PlannedCase, judge
from emulator.contract.phases.coverage import told
from emulator.contract.phases.endpoint import Endpoint, endpoints
from emulator.contract.phases.exchanges import sent
from emulator.contract.target import Target
from emulator.core.errors import Json
from emulator.core.wires.wire import Wire

MAX_EXAMPLES = 100
#: How many requests finding a smaller one may cost.
SHRINKING = 40
#: How many broken bodies are made from each valid one: drawing a body costs more than breaking it.
FAULTS = 4


@dataclass(frozen=True, slots=True)
class Drawn:
    """A body, and the fault that it was broken by, if any."""

    body: Json
    fault: Mutation | None = None

    @property
    def sent(self) -> Json:
        """What goes to the target."""
        return self.fault.apply(self.body) if self.fault else self.body


def fuzz(
    contract: Contract, number: int = 0, max_examples: int = MAX_EXAMPLES, frugal: bool = False
) -> Iterator[PlannedCase]:
    """Yield two cases for each operation that takes a body: valid bodies, and broken ones.

    `frugal`: they ask the models of the good requests, and no others.
    """
    for endpoint in endpoints(contract):
        if endpoint.operation.has_body and endpoint.is_tried:
            for polarity in ("valid", "invalid"):
                yield _case(endpoint, polarity, number, max_examples, frugal)


def _case(endpoint: Endpoint, polarity: str, number: int, max_examples: int, frugal: bool) -> PlannedCase:
    operation, fact = endpoint.operation, endpoint.fact

    def judged(target: Target) -> Outcome:
        return _Hunt(endpoint, target).run(draw_all(endpoint, polarity, number, max_examples, frugal))

    name, source = f"fuzz/{operation.name}/{polarity}", fact.source if fact else ""
    assumed = bool(fact and not fact.binding)
    return PlannedCase(name, "fuzz", operation.fact, source, assumed, max_examples, judged)


def draw_all(endpoint: Endpoint, polarity: str, number: int, max_examples: int, frugal: bool = False) -> list[Drawn]:
    """Draw the bodies of a case."""
    operation = endpoint.operation
    good = endpoint.bodies[:1] or [endpoint.named({})] if frugal else []
    cheap = [body[name] for body in good for name in model_fields(operation.wire) if name in body]
    models = cheap or [model.id for model in endpoint.contract.provider.models_of(operation)]
    valid = requests(operation.request, models, operation.wire)
    if polarity == "valid":
        return [Drawn(body) for body in draw(valid, number, max_examples)]
    mutator = endpoint.mutator
    drawn = draw(mutator.several(valid, FAULTS), number, -(-max_examples // FAULTS))
    return [Drawn(body, fault) for body, *faults in drawn for _, fault in faults][:max_examples]


def draw(strategy: Values, number: int, max_examples: int) -> list[Json]:
    """Return the examples that a seed gives."""
    found: list[Json] = []

    @seed(number)
    @settings(
        max_examples=max_examples, database=None, deadline=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(value: Json) -> None:
        found.append(value)

    collect()
    return found[:max_examples]


class _Hunt:
    """Sends bodies until one fails, and then smaller ones that fail alike."""

    def __init__(self, endpoint: Endpoint, target: Target) -> None:
        self.endpoint = endpoint
        self.target = target
        self.mutator = endpoint.mutator

    def run(self, drawn: Sequence[Drawn]) -> Outcome:
        """Return the gravest outcome: a failure ends the hunt, what was only observed does not."""
        observed: Outcome | None = None
        for item in drawn:
            outcome = self.judged(item)
            if outcome.outcome == "failed":
                return self.shrunk(item, outcome)
            if outcome.outcome in ("inconclusive", "not_seen"):
                return observed or outcome
            observed = observed or (outcome if outcome.outcome == "observed" else None)
        return observed or Outcome("passed")

    def judged(self, item: Drawn) -> Outcome:
        if item.fault is None:
            error = self.endpoint.refusal(item.body) or ""
            check = sent(self.endpoint, "a generated request", item.body, error, promised=False)
            return judge(check, self.target, assumed=bool(error))
        fact, assumed = self.endpoint.basis(item.fault.comment)
        what = f"a generated request ({told(item.fault)})"
        check = sent(self.endpoint, what, item.sent, "invalid_request", item.fault.alone)
        outcome = judge(check, self.target, assumed)
        return outcome if outcome.fact else replace(outcome, fact=fact)

    def shrunk(self, item: Drawn, outcome: Outcome) -> Outcome:
        """Return the failure of the smallest body found that fails with the same status."""
        best = outcome

        def keeps(body: Json) -> bool:
            nonlocal best
            served = self.mutator.valid(body) and _served(self.endpoint.operation.wire, body, item.body)
            if not (served and _fits(self.mutator, body, item.fault)):
                return False
            found = self.judged(replace(item, body=body))
            alike = found.outcome == "failed" and _status(found) == _status(outcome)
            best = found if alike else best
            return alike

        smallest(item.body, keeps, SHRINKING)
        return best


def _status(outcome: Outcome) -> Json:
    return outcome.response["status"] if outcome.response else None


def _served(wire: Wire | None, body: Json, drawn: Json) -> bool:
    """Tell whether a smaller body is as good as the one that was drawn in what no schema says."""
    return all(body.get(name) == drawn.get(name) for name in model_fields(wire)) and answered(wire, body) == body


def _fits(mutator: Mutator, body: Json, fault: Mutation | None) -> bool:
    """Tell whether a fault can still be made in a smaller body, and is the one that breaks it."""
    if fault is None:
        return True
    try:
        return not mutator.valid(fault.apply(body))
    except (AttributeError, IndexError, KeyError, TypeError):  # its place is gone
        return False
