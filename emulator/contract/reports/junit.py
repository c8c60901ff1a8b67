"""A report as JUnit XML, as Jenkins and GitLab read it: a suite of the findings, and one for each phase.

In the first suite each finding is a test, the worst first, and only these fail: a case that fails is skipped in the
suite of its phase, and names its finding. What is inconclusive or was not seen is skipped, and so is what the baseline
has too. What is only observed has passed, and its output says what was seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from emulator.contract.reports.display import by_phase, json_text, request_text, response_text
from emulator.contract.reports.drift import NO_BASELINE, Became, Since
from emulator.contract.reports.report import Finding, Report, Result
from emulator.core.errors import many

#: What is skipped, and how it is told.
_SKIPPED = {
    "inconclusive": "inconclusive", "not_seen": "not seen", "known": "known: it fails as it did in the baseline",
}  # fmt: skip
#: What XML 1.0 has no way to say, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report, became: Became = NO_BASELINE) -> bytes:
    """Return a report as a JUnit file; `became` tells of cases what they are beside a baseline."""
    found = {item.id: finding for finding in report.findings for item in finding.cases}
    suites = [_findings(report, became)] if found else []
    for phase, items in by_phase(report).items():
        tests = [_case(report, item, became, found.get(item.id)) for item in items]
        suites.append(_filled(report, phase, sum(item.seconds for item in items), tests))
    root = Element("testsuites", _counts(f"contract of {report.provider}", report.seconds, suites))
    root.extend(suites)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _findings(report: Report, became: Became) -> Element:
    """Return the suite of what the run found; a finding is known if all that fails in it is."""
    tests = []
    for finding in report.findings:
        new = [item for item in finding.cases if _word(item, became.get(item.id)) == "failed"]
        tests.append(_case(report, new[0] if new else finding.worst, became, finding, "findings"))
    return _filled(report, "findings", 0.0, tests)


def _filled(report: Report, name: str, seconds: float, tests: Sequence[Element]) -> Element:
    suite = Element("testsuite", _counts(name, seconds, tests))
    suite.set("timestamp", datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    properties = SubElement(suite, "properties")
    for key in ("provider", "url", "seed"):
        SubElement(properties, "property", {"name": key, "value": _legal(str(getattr(report, key)))})
    suite.extend(tests)
    return suite


def _counts(name: str, seconds: float, inside: Sequence[Element]) -> dict[str, str]:
    """Count the tests of a suite, or of suites."""
    count = {kind: sum(1 for item in inside for _ in item.iter(kind)) for kind in ("testcase", "failure", "skipped")}
    return {
        "name": _legal(name), "tests": str(count["testcase"]), "errors": "0", "failures": str(count["failure"]),
        "skipped": str(count["skipped"]), "time": f"{seconds:.3f}",
    }  # fmt: skip


def _word(item: Result, became: Since | None) -> str:
    return "known" if became == "known" else item.outcome


def _case(report: Report, item: Result, became: Became, finding: Finding | None, suite: str = "") -> Element:
    """Return a test: a finding's in the suite of these, else a case's, which names the finding that it is of."""
    name = {"classname": f"{report.provider}.{suite or item.phase}", "name": item.id}
    seconds = 0.0 if suite else item.seconds
    case = Element("testcase", {**{key: _legal(text) for key, text in name.items()}, "time": f"{seconds:.3f}"})
    since = became.get(item.id)
    word, beside = _word(item, since), [f"{since} since the baseline"] if since else []
    if word == "failed" and finding:
        see = _legal(f"failed; see the finding {finding.worst.id}: {finding.message}")
        case.append(_failure(item, finding, beside) if suite else Element("skipped", {"message": see}))
    elif word in _SKIPPED:
        why = _SKIPPED[word] + (f": {item.message}" if item.message else "")
        SubElement(case, "skipped", {"message": _legal(why)}).text = _legal("\n".join(_told(item))) if beside else None
    elif item.outcome == "observed":
        told = ["observed: the docs are silent, and the target differs from what we assumed", item.message]
        SubElement(case, "system-out").text = _legal("\n".join([*beside, *told, *_told(item)]))
    elif beside:
        SubElement(case, "system-out").text = _legal(beside[0])
    return case


def _failure(item: Result, finding: Finding, beside: Sequence[str]) -> Element:
    failure = Element("failure", {"type": _legal(item.fact or item.phase), "message": _legal(finding.message)})
    others = f"{many(len(finding.cases), 'case')}: {', '.join(one.id for one in finding.cases)}"
    failure.text = _legal("\n".join([*beside, others, *_told(item)]))
    return failure


def _told(item: Result) -> Iterator[str]:
    if item.source:
        yield f"docs: {item.source}"
    yield f"expected: {json_text(item.expected)}"
    yield f"actual: {json_text(item.actual)}"
    if item.request:
        yield "\n" + request_text(item.request)
    if item.response:
        yield "\n" + response_text(item.response)
    if item.curl:
        yield "\n" + item.curl
    yield f"\nrun it alone: --case {item.id}"


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
