"""A planned case, and what one check at one target comes to.

A difference that only our own assumption rules out is observed at a foreign target, and a failure at an emulator of
ours. What the target cannot arrange is not seen; what it did not let us find out is inconclusive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from emulator.contract.budget import Spent
from emulator.contract.exchange import answer_json, curl_line, hidden_json, request_json, scrub, scrub_json
from emulator.contract.expectations import OF_FACT, Differs
from emulator.contract.reports.report import OutcomeWord, Phase, Result
from emulator.contract.target import NotArranged, Target, TargetSession, Unreachable
from emulator.core.errors import Json
from emulator.core.provider.fact import Fact
from emulator.core.secrets.texts import redact_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to, and the exchange that decided it; `fact` where it is not the one of its case."""

    outcome: OutcomeWord
    message: str = ""
    expected: Json = None
    actual: Json = None
    request: Mapping[str, Json] | None = None
    response: Mapping[str, Json] | None = None
    curl: str | None = None
    fact: Fact | None = None
    difference: str = ""


def judge(check: Callable[[TargetSession], None], target: Target, assumed: bool = False) -> Outcome:
    """Run a check in a fresh session; `assumed`: all it looks at is."""
    key = ""
    try:
        with target.fresh() as session:
            session.client.noticed = None
            try:
                check(session)
            finally:
                key = session.key  # at last: a session that begins anew has another
            if session.client.noticed:
                raise session.client.noticed
    except NotArranged as reason:
        return Outcome("not_seen", scrub(str(reason), key))
    except (Unreachable, Spent) as reason:
        return Outcome("inconclusive", scrub(str(reason), key))
    except Differs as found:
        return _scrubbed(found, _word(found, target, assumed), key)
    return Outcome("passed")


def _word(found: Differs, target: Target, assumed: bool) -> OutcomeWord:
    status = found.answer.status if found.answer else None
    if not target.own and found.answer and (status == 429 or found.answer.ended == "unreachable"):
        return "inconclusive"
    silent = found.assumed or (assumed and found.fact is None)
    broken = status is not None and (status == 0 or status >= 500)
    return "observed" if silent and not broken and not target.own else "failed"


def _scrubbed(found: Differs, word: OutcomeWord, key: str) -> Outcome:
    answer = found.answer
    return Outcome(
        word,
        redact_text(scrub(found.message, key)),
        scrub_json(found.expected, key),
        hidden_json(scrub_json(found.actual, key)),
        request_json(answer.request, key) if answer else None,
        answer_json(answer, key) if answer else None,
        curl_line(answer.request, key) if answer else None,
        found.fact,
        redact_text(scrub(found.difference, key)),
    )


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

    def run(self, target: Target) -> Result:
        """Run the case alone."""
        start = time.perf_counter()
        outcome = self.judged(target)
        return self.result(outcome, time.perf_counter() - start)

    def result(self, outcome: Outcome, seconds: float = 0.0) -> Result:
        """Return the case with what it came to; a check that rests on a fact of its own is told by that one."""
        own = outcome.fact
        fact, source, assumed = (own.id, own.source, not own.binding) if own else (self.fact, self.source, self.assumed)
        told = {name: getattr(outcome, name) for name in _TOLD}
        told["difference"] = outcome.difference.replace(OF_FACT, f"{fact or self.id}: ")
        return Result(self.id, self.phase, fact, source, assumed, seconds=round(seconds, 6), **told)
