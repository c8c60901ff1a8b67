"""A report as JUnit XML, as Jenkins and GitLab read it: a suite for each phase, a test for each case.

What is inconclusive or was not seen is skipped, and so is a failure that the baseline has too: only findings fail. What
is only observed has passed, and its output says what was seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from emulator.contract.reports.display import by_phase, json_text, request_text, response_text
from emulator.contract.reports.drift import NO_BASELINE, Became, Since
from emulator.contract.reports.report import Report, Result

#: What is skipped, and how it is told.
_SKIPPED = {
    "inconclusive": "inconclusive", "not_seen": "not seen", "known": "known: it fails as it did in the baseline",
}  # fmt: skip
#: What XML 1.0 has no way to say, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report, became: Became = NO_BASELINE) -> bytes:
    """Return a report as a JUnit file; `became` tells of cases what they are beside a baseline."""
    root = Element("testsuites", _counts(f"contract of {report.provider}", report.cases, report.seconds, became))
    for phase, items in by_phase(report).items():
        root.append(_suite(report, phase, items, became))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(report: Report, phase: str, items: Sequence[Result], became: Became) -> Element:
    suite = Element("testsuite", _counts(phase, items, sum(item.seconds for item in items), became))
    suite.set("timestamp", datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    properties = SubElement(suite, "properties")
    for name in ("provider", "url", "seed"):
        SubElement(properties, "property", {"name": name, "value": _legal(str(getattr(report, name)))})
    suite.extend(_case(report, item, became.get(item.id)) for item in items)
    return suite


def _counts(name: str, items: Sequence[Result], seconds: float, became: Became) -> dict[str, str]:
    words = [_word(item, became.get(item.id)) for item in items]
    return {
        "name": _legal(name), "tests": str(len(items)), "errors": "0",
        "failures": str(words.count("failed")), "skipped": str(sum(word in _SKIPPED for word in words)),
        "time": f"{seconds:.3f}",
    }  # fmt: skip


def _word(item: Result, became: Since | None) -> str:
    return "known" if became == "known" else item.outcome


def _case(report: Report, item: Result, became: Since | None) -> Element:
    name = {"classname": f"{report.provider}.{item.phase}", "name": item.id}
    case = Element("testcase", {**{key: _legal(text) for key, text in name.items()}, "time": f"{item.seconds:.3f}"})
    word, beside = _word(item, became), [f"{became} since the baseline"] if became else []
    if word == "failed":
        about = {"type": _legal(item.fact or item.phase), "message": _legal(item.message)}
        SubElement(case, "failure", about).text = _legal("\n".join([*beside, *_told(item)]))
    elif word in _SKIPPED:
        why = _SKIPPED[word] + (f": {item.message}" if item.message else "")
        SubElement(case, "skipped", {"message": _legal(why)}).text = _legal("\n".join(_told(item))) if beside else None
    elif item.outcome == "observed":
        told = ["observed: the docs are silent, and the target differs from what we assumed", item.message]
        SubElement(case, "system-out").text = _legal("\n".join([*beside, *told, *_told(item)]))
    elif beside:
        SubElement(case, "system-out").text = _legal(beside[0])
    return case


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
