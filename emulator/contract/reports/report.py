"""What a run of the contract comes to: a Result for each case, in a Report (a JSON file with a published schema).

run ──> Result, Result, ... ──> Report ──report_json──> file ──parse_report──> Report
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from emulator.core.errors import Json, Problem, SourceError
from emulator.core.schema.formats import own_schema, schema_problems
from emulator.core.source import Source, parse_source

Phase = Literal["probe", "facts", "examples", "coverage", "fuzz", "stateful"]
OutcomeWord = Literal["passed", "failed", "inconclusive", "not_seen", "observed"]

PHASES: Sequence[Phase] = get_args(Phase)
OUTCOMES: Sequence[OutcomeWord] = get_args(OutcomeWord)

#: The outcomes, from what matters most.
GRAVEST: Sequence[OutcomeWord] = ("failed", "inconclusive", "observed", "not_seen", "passed")

#: How much of what came a finding's message shows: characters.
MOST_SAID = 100

#: A target may nest its answers deeper than a reader of the report can follow.
MAX_LEVELS = 40


@dataclass(frozen=True, slots=True)
class Result:
    """What one case came to, and the exchange that decided it.

    `id` is the fact's for the case of a fact, else it begins with its phase: `coverage/chat/temperature-maximum-above`.
    `source` is the section of the docs, `expected` and `actual` are JSON, `seconds` is wall time. Keys are never in it:
    `request` says `Bearer $API_KEY`, and so does `curl`. `difference` are words that are the same for whatever request
    shows it: cases of one difference are one finding.
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
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference that a run shows, and the cases that saw it; outcome, fact and message are the worst one's."""

    cases: tuple[Result, ...]

    @property
    def worst(self) -> Result:
        """The first of the gravest cases."""
        return min(self.cases, key=lambda item: GRAVEST.index(item.outcome))

    @property
    def message(self) -> str:
        """What differs, and what came instead."""
        item = self.worst
        if item.actual is None:
            return item.message + ("; got nothing" if item.expected is not None else "")
        said = json.dumps(bounded(item.actual), ensure_ascii=False)
        return f"{item.message}; got {said if len(said) <= MOST_SAID else said[:MOST_SAID] + '…'}"


def gather(results: Iterable[Result]) -> list[Finding]:
    """Return the findings that cases are of, the worst first: by outcome, then by how many cases saw it."""
    groups: dict[str, list[Result]] = {}
    for item in results:
        groups.setdefault(item.difference or item.message or str(item.fact), []).append(item)
    found = [Finding(tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda item: (GRAVEST.index(item.worst.outcome), -len(item.cases)))


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

    @property
    def findings(self) -> list[Finding]:
        """What the target does otherwise than the docs say, or than we assumed."""
        return gather(item for item in self.cases if item.outcome in ("failed", "observed"))


def report_json(report: Report) -> dict[str, Json]:
    """Return a report as its file holds it."""
    *head, _ = fields(Report)
    return {
        "report": 1,
        **{field.name: getattr(report, field.name) for field in head},
        "totals": report.totals,
        "findings": [finding_json(item) for item in report.findings],
        "cases": [{field.name: bounded(getattr(item, field.name)) for field in fields(item)} for item in report.cases],
    }


def finding_json(found: Finding) -> dict[str, Json]:
    """Return a finding as a report's file holds it."""
    worst = found.worst
    told = {"message": found.message, "fact": worst.fact, "outcome": worst.outcome}
    return {**told, "cases": [item.id for item in found.cases]}


def bounded(value: Json, levels: int = MAX_LEVELS) -> Json:
    """Return a value as a report can hold it: no NaN, no infinity, and `…` for what is nested too deep."""
    if isinstance(value, Mapping):
        return {name: bounded(item, levels - 1) for name, item in value.items()} if levels else "…"
    if isinstance(value, list | tuple):
        return [bounded(item, levels - 1) for item in value] if levels else "…"
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def parse_report(text: bytes, file: str) -> Report:
    """Read a report's file.

    Raises: SourceError, with file:line:col of what makes it no report.
    """
    data = _parse_json(text, file)
    schema = own_schema("report")
    if not schema.verdict(data):
        raise SourceError(schema_problems(schema, _placed(text, file, data)))
    cases = tuple(Result(**item) for item in data["cases"])
    return Report(**{field.name: data[field.name] for field in fields(Report)} | {"cases": cases})


def _parse_json(text: bytes, file: str) -> Json:
    """Parse JSON as JSON: a report may be larger than a source, and hold what YAML does not take."""
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        place, reason = (text.count(b"\n", 0, error.start) + 1, 1), "is not UTF-8"
    except json.JSONDecodeError as error:
        place, reason = (error.lineno, error.colno), f"is no JSON: {error.msg}"
    except RecursionError:
        place, reason = (1, 1), "is no report: it is nested too deep"
    except ValueError as error:
        place, reason = (1, 1), f"is no JSON: {error}"
    raise SourceError([Problem(file, *place, "", reason)])


def _refuse(word: str) -> Json:
    raise ValueError(f"{word} is no number")


def _placed(text: bytes, file: str, data: Json) -> Source:
    """Return the data with the place of each value, as far as they can be found."""
    try:
        return Source(file, data, parse_source(text, file).places)
    except SourceError:
        return Source(file, data, {})
