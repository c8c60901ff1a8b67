"""A run on the terminal: how far it is, and what it came to in the end.

Progress.on_start, .on_result, ..., .close ──> write_summary
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Literal, TextIO

import click

from emulator.contract.reports.display import by_phase, in_words, json_text
from emulator.contract.reports.drift import compare
from emulator.contract.reports.report import OUTCOMES, Finding, OutcomeWord, Report, Result, gather
from emulator.core.errors import Json, many, printable, printable_lines

#: Seconds: a run shorter than the first shows no bar; then how often a bar is drawn, and a line written to a file.
QUICK_S, BAR_S, LINE_S = 1.0, 0.1, 10.0
BAR_WIDTH = 24
#: How many failures are shown whole, how many others in a line each, and how many ids of equal ones.
MOST_WHOLE, MOST_SHORT, MOST_IDS = 50, 20, 10
LONGEST = 500

_COLOURS = {
    "passed": "green",
    "failed": "red",
    "inconclusive": "yellow",
    "observed": "cyan",
    "not_seen": "bright_black",
}


class Progress:
    """Shows how far a run is: a bar on a terminal, a line now and then elsewhere, nothing while it is quick."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._bar = stream.isatty()
        self._counted: Counter[str] = Counter()
        self._drawn = False
        self._next = clock() + (QUICK_S if self._bar else LINE_S)

    def on_start(self, planned_case: int, requests: int, word: Literal["about", "at most"] = "about") -> None:
        """Begin: so many cases are planned, and so many requests."""
        if not self._bar and planned_case:
            self._write(f"{many(planned_case, 'case')}, {word} {many(requests, 'request')}\n")

    def on_result(self, result: Result, done: int, total: int) -> None:
        """Count a case that is done."""
        self._counted[result.outcome] += 1
        now = self._clock()
        if now >= self._next and done < total:
            self._next = now + (BAR_S if self._bar else LINE_S)
            self._draw(result, done, total)

    def close(self) -> None:
        """Clear the bar."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _draw(self, result: Result, done: int, total: int) -> None:
        counts = ", ".join(f"{number} {in_words(word)}" for word, number in self._counted.items() if word != "passed")
        told = f"{done} of {total} cases" + (f", {counts}" if counts else "")
        if not self._bar:
            self._write(told + "\n")
            return
        filled = "#" * (BAR_WIDTH * done // total)
        line = f"[{filled:-<{BAR_WIDTH}}] {told}  {printable_lines(result.id)}"
        self._drawn = True
        self._write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])

    def _write(self, text: str) -> None:
        with suppress(OSError):  # nobody reads it: the run goes on
            self._stream.write(_encodable(text, self._stream))
            self._stream.flush()


def write_summary(report: Report, stream: TextIO, baseline: Report | None = None) -> None:
    """Write what a run came to: failures with their exchange, the rest in short, then the totals."""
    for line in summary(report, baseline):
        click.echo(_encodable(line, stream), file=stream)  # takes the colours out where there is no terminal


def summary(report: Report, baseline: Report | None = None) -> Iterator[str]:
    """Yield the lines of a summary, in colours."""
    yield from _whole("Failed", _of(report, "failed"), {}) if baseline is None else _drift(report, baseline)
    silent = "Observed (the docs are silent, and we assumed otherwise)"
    yield from _short(silent, _of(report, "observed"), _COLOURS["observed"])
    unknown = gather(item for item in report.cases if item.outcome == "inconclusive")
    yield from _short("Inconclusive", unknown, _COLOURS["inconclusive"])
    yield from _totals(report)


def _of(report: Report, word: OutcomeWord) -> list[Finding]:
    return [found for found in report.findings if found.worst.outcome == word]


def _drift(report: Report, baseline: Report) -> Iterator[str]:
    drift = compare(report, baseline)
    yield from _whole("New failures (docs and target disagree)", gather(drift.new), {})
    before = {after.id: earlier for earlier, after in drift.changed}
    failing, others = (
        gather(after for _, after in drift.changed if (after.outcome == "failed") is fails) for fails in (True, False)
    )
    yield from _whole("The target changed since the baseline, and fails", failing, before)
    yield from _short("The target changed since the baseline", others, "cyan")
    yield from _short("Known failures (docs and target disagree as in the baseline)", gather(drift.known), "yellow")
    yield from _short("Fixed since the baseline", gather(drift.fixed), "green")
    yield from _names("Not in the baseline", drift.added)
    yield from _names("Only in the baseline", drift.gone)


def _whole(title: str, found: Sequence[Finding], before: Mapping[str, Result]) -> Iterator[str]:
    if found:
        yield _title(title, found)
        yield ""
    for finding in found[:MOST_WHOLE]:
        yield from _failure(finding, before.get(finding.worst.id))
        yield ""
    if len(found) > MOST_WHOLE:
        yield f"  and {len(found) - MOST_WHOLE} more; --report html=PATH has them all"
        yield ""


def _title(title: str, found: Sequence[Finding]) -> str:
    cases = sum(len(finding.cases) for finding in found)
    seen = f" in {many(cases, 'case')}" if cases > len(found) else ""
    return click.style(f"{title}: {len(found)}{seen}", bold=True)


def _failure(finding: Finding, before: Result | None) -> Iterator[str]:
    item, group = finding.worst, finding.cases
    about = ", ".join(word for word in (item.fact if item.fact != item.id else "", item.source) if word)
    name = click.style(printable(item.id), fg=_COLOURS[item.outcome], bold=True)
    yield f"  {name}" + f"  {printable(about)}".rstrip()
    if item.message:
        yield "    " + _cut(printable_lines(item.message)).replace("\n", "\n    ")
    for name, text in _told(item, before):
        yield f"    {name:<9} {text}"
    if len(group) > 1:
        yield f"    {len(group)} cases  {_ids(group)}"
    yield f"    run it alone: --case {printable(item.id)}"


def _told(item: Result, before: Result | None) -> Iterator[tuple[str, str]]:
    if before:
        yield "before", before.outcome if before.outcome == "passed" else _cut(json_text(before.actual))
    if item.expected is not None or item.actual is not None:
        yield "expected", _cut(json_text(item.expected))
        yield "actual", _cut(json_text(item.actual))
    if item.request:
        yield "request", _shown(item.request, "method", "url")
    if item.response:
        yield "answer", _shown(item.response, "status")
    if item.curl:
        yield "curl", printable_lines(item.curl).replace("\n", "\n" + " " * 14)


def _shown(message: Mapping[str, Json], *head: str) -> str:
    body = message.get("body")
    told = [*(str(message.get(name, "")) for name in head), "" if body in (None, "") else json_text(body)]
    return _cut(printable_lines(" ".join(told).strip()))


def _short(title: str, found: Sequence[Finding], colour: str) -> Iterator[str]:
    if not found:
        return
    yield _title(title, found)
    for finding in found[:MOST_SHORT]:
        others = f" and {len(finding.cases) - 1} more" if finding.cases[1:] else ""
        yield f"  {click.style(printable(finding.worst.id), fg=colour)}{others}  {_said(finding.worst)}".rstrip()
    if len(found) > MOST_SHORT:
        yield f"  and {len(found) - MOST_SHORT} more"
    yield ""


def _said(one: Result) -> str:
    if one.expected is None and one.actual is None:
        return _cut(printable_lines(one.message))
    told = f"{printable_lines(one.message)}: expected {_cut(json_text(one.expected), 60)}, got {json_text(one.actual)}"
    return _cut(told, 200)


def _names(title: str, results: Sequence[Result]) -> Iterator[str]:
    if results:
        yield f"{title}: {many(len(results), 'case')}: {_ids(results)}"
        yield ""


def _totals(report: Report) -> Iterator[str]:
    phases = by_phase(report)
    width = max(map(len, phases), default=0)
    for phase, items in phases.items():
        counted = Counter(item.outcome for item in items)
        yield f"{phase:<{width}}  " + "  ".join(
            click.style(f"{counted[word]} {in_words(word)}", fg=_COLOURS[word]) for word in OUTCOMES if counted[word]
        )
    sent = f"{many(len(report.cases), 'case')}, {many(report.requests, 'request')} in {report.seconds:.1f} s"
    yield printable_lines(f"{report.provider}: {sent}, seed {report.seed}, {report.url}")


def _ids(results: Sequence[Result]) -> str:
    names = ", ".join(printable(item.id) for item in results[:MOST_IDS])
    return names + (f" and {len(results) - MOST_IDS} more" if len(results) > MOST_IDS else "")


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
