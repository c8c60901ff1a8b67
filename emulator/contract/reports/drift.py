"""Drift: what a run shows that an earlier one, its baseline, did not; and the exit code that follows.

    Report + baseline Report ──compare──> Drift: new, known, changed, fixed, added, gone

A target gives new ids, times and fingerprints at every run. Ids and fingerprints are compared as references: each
distinct one in a result is replaced by the order of its first appearance, so a repeated id that becomes two ids
differs. Of times only the form is compared: whether two of them are equal is chance.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from emulator.contract.reports.report import Report, Result, bounded
from emulator.core.errors import Json

#: What a case is beside a baseline; a failure that is known is no finding.
Since = Literal["new", "known", "changed", "fixed"]
Became: TypeAlias = Mapping[str, Since]
NO_BASELINE: Became = {}

OK, FINDINGS, UNREACHABLE, INCONCLUSIVE = 0, 1, 3, 4

#: Nothing can be said of a target that cannot be reached or refuses the key.
_PROBES = ("probe/reachable", "probe/key")
_SETTLED = ("passed", "failed", "observed")

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_UNIX = r"(?:1[5-9]|2[0-4])\d{8}"  # seconds from 2017 to 2049
_FORMS: Mapping[str, str] = {
    "iso": r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?",
    "date": rf"[A-Z][a-z]{{2}}, \d\d (?:{_MONTHS}) \d{{4}} \d\d:\d\d:\d\d GMT",  # as HTTP writes it
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "fp": r"(?<=fp_)[0-9A-Za-z]+",
    "id": r"(?<=[A-Za-z]{2}[_-])(?=[A-Za-z]*\d)(?!20\d{6}(?!\d))[0-9A-Za-z]{8,}"  # after chatcmpl-, req_; no date
    r"|(?=[a-z]*\d)(?=\d*[a-z])[0-9a-f]{16,}|(?=[A-Z]*\d)(?=\d*[A-Z])[0-9A-HJKMNP-TV-Z]{26}",  # hexadecimal, ULID
    "seconds": rf"{_UNIX}(?:\.\d+)?",
    "milliseconds": rf"{_UNIX}\d{{3}}",
}
#: By kind: what each value was replaced by.
_Seen: TypeAlias = dict[str, dict[str, str]]
_REFERENCES = ("uuid", "fp", "id")
_EITHER = "|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items())
_VOLATILE = re.compile(rf"(?<![0-9A-Za-z])(?:{_EITHER})(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Drift:
    """Two runs compared, case by case.

    `new`: fails now, and the baseline does not say how it was. `known`: docs and target disagree, as they did.
    `changed`: the target changed since the baseline, as (before, after); a finding if it fails now. `fixed`: no longer
    fails. `added`, `gone`: cases that only one of the runs has; an added one that fails is new too.
    """

    new: tuple[Result, ...]
    known: tuple[Result, ...]
    changed: tuple[tuple[Result, Result], ...]
    fixed: tuple[Result, ...]
    added: tuple[Result, ...]
    gone: tuple[Result, ...]

    @property
    def findings(self) -> tuple[Result, ...]:
        """The failures that the baseline does not have."""
        return self.new + tuple(after for _, after in self.changed if after.outcome == "failed")


def compare(report: Report, baseline: Report) -> Drift:
    """Tell what a run shows that its baseline did not; the cases in the order of the run."""
    earlier = {item.id: item for item in baseline.cases}
    now = {item.id for item in report.cases}
    pairs = [(earlier.get(item.id), item) for item in report.cases]
    found: dict[Since | None, list[tuple[Result | None, Result]]] = defaultdict(list)
    for before, after in pairs:
        found[_kind(before, after)].append((before, after))
    new, known, fixed = (tuple(after for _, after in found[kind]) for kind in ("new", "known", "fixed"))
    changed = tuple((before, after) for before, after in found["changed"] if before)
    added = tuple(after for before, after in pairs if before is None)
    return Drift(new, known, changed, fixed, added, gone=tuple(item for item in baseline.cases if item.id not in now))


def since(report: Report, baseline: Report | None) -> Became:
    """Return what became of each case since the baseline, by its id; those that did not change are left out."""
    if baseline is None:
        return NO_BASELINE
    earlier = {item.id: item for item in baseline.cases}
    return {item.id: kind for item in report.cases if (kind := _kind(earlier.get(item.id), item))}


def _kind(before: Result | None, after: Result) -> Since | None:
    if after.outcome not in _SETTLED:
        return None
    if before is None or before.outcome not in _SETTLED:
        return "new" if after.outcome == "failed" else None
    if "passed" not in (before.outcome, after.outcome) and _way(before) == _way(after):
        return _SAME_WAY.get((before.outcome, after.outcome))
    if before.outcome == after.outcome == "passed":
        return None
    return "fixed" if (before.outcome, after.outcome) == ("failed", "passed") else "changed"


#: The target does as it did; where the outcome is another, it is our reading of the docs that changed.
_SAME_WAY: Mapping[tuple[str, str], Since] = {
    ("failed", "failed"): "known", ("observed", "failed"): "new", ("failed", "observed"): "fixed",
}  # fmt: skip


def _way(result: Result) -> str:
    """Return in which way a case differs from the docs, as text that is equal for two results that are alike."""
    found = bounded([result.fact, result.message, result.expected, result.actual])
    return json.dumps(referenced(found), sort_keys=True)


def referenced(value: Json) -> Json:
    """Replace each distinct id by the order of its first appearance (`req_<id-1>`), each time by its form."""
    return _referenced(value, {})


def _referenced(value: Json, seen: _Seen) -> Json:
    if isinstance(value, Mapping):
        return {name: _field(name, value[name], seen) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_referenced(item, seen) for item in value]
    if isinstance(value, str):
        return _VOLATILE.sub(lambda found: _reference(str(found.lastgroup), found[0], seen), value)
    return _time(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _field(name: str, value: Json, seen: _Seen) -> Json:
    if name == "system_fingerprint" and isinstance(value, str):
        return _reference("fp", value, seen)
    return _referenced(value, seen)


def _reference(kind: str, text: str, seen: _Seen) -> str:
    if kind not in _REFERENCES:
        return f"<{kind}>"
    known = seen.setdefault(kind, {})
    return known.setdefault(text, f"<{kind}-{len(known) + 1}>")


def _time(number: float) -> Json:
    for kind, unit in (("seconds", 1), ("milliseconds", 1000)):
        if 1_500_000_000 * unit <= number < 2_500_000_000 * unit:
            return f"<{type(number).__name__} {kind}>"
    return number


def findings(report: Report, baseline: Report | None = None) -> bool:
    """Tell whether something fails; with a baseline, whether something fails that did not, or in another way."""
    if baseline is not None:
        return bool(compare(report, baseline).findings)
    return any(item.outcome == "failed" for item in report.cases)


def exit_code(report: Report, baseline: Report | None = None) -> int:
    """Return 0 (ok), 1 (findings), 3 (unreachable, or key refused), or 4 (no failure, but something inconclusive)."""
    if any(item.outcome == "failed" for item in report.cases if item.id in _PROBES):
        return UNREACHABLE
    if findings(report, baseline):
        return FINDINGS
    return INCONCLUSIVE if report.totals["inconclusive"] else OK
