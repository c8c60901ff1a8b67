"""What a run of the contract comes to: a Result for each case, in a Report (a JSON file with a published schema).

run ──> Result, Result, ... ──> Report ──report_json──> file ──parse_report──> Report
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from emulator.core.errors import Json

Phase = Literal["probe", "facts", "examples", "coverage", "fuzz", "stateful"]
OutcomeWord = Literal["passed", "failed", "inconclusive", "not_seen", "observed"]

PHASES: Sequence[Phase] = get_args(Phase)
OUTCOMES: Sequence[OutcomeWord] = get_args(OutcomeWord)


@dataclass(frozen=True, slots=True)
class Result:
    """What one case came to, and the exchange that decided it.

    `id` is the fact's for the case of a fact, else it begins with its phase: `coverage/chat/temperature-maximum-above`.
    `source` is the section of the docs, `expected` and `actual` are JSON, `seconds` is wall time. Keys are never in it:
    `request` says `Bearer $API_KEY`, and so does `curl`.
    """

    id: str
    phase: Phase
    fact: str | None
    source: str
    assumed: bool
    outcome: OutcomeWord
    message: str = ""
    expected: Json = None
    actual: Json = None
    request: Mapping[str, Json] | None = None
    response: Mapping[str, Json] | None = None
    curl: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `started_at` is in Unix seconds, `requests` counts what was sent to the target."""

    provider: str
    url: str
    seed: int
    started_at: float
    seconds: float
    requests: int
    cases: tuple[Result, ...]

    @property
    def totals(self) -> dict[OutcomeWord, int]:
        """How many cases came to each outcome, all of them named."""
        counted = Counter(item.outcome for item in self.cases)
        return {word: counted[word] for word in OUTCOMES}


def report_json(report: Report) -> dict[str, Json]:
    """Return a report as its file holds it."""
    head = {
        "report": 1, "provider": report.provider, "url": report.url, "seed": report.seed,
        "started_at": report.started_at, "seconds": report.seconds, "requests": report.requests,
    }  # fmt: skip
    return {**head, "totals": report.totals, "cases": [asdict(item) for item in report.cases]}
