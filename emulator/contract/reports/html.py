"""A report as one HTML page that needs nothing else: no assets, no scripts; the filter is CSS.

Everything from a report is escaped; the page's policy forbids scripts, forms and loading as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit
from zlib import crc32

from emulator.contract.reports.display import by_phase, in_words, json_text, request_text, response_text
from emulator.contract.reports.drift import NO_BASELINE, Became, Since
from emulator.contract.reports.report import GRAVEST, OUTCOMES, Finding, Report, Result
from emulator.core.errors import many, printable_lines


def html_page(report: Report, became: Became = NO_BASELINE) -> bytes:
    """Return a report as a page in UTF-8; `became` tells of cases what they are beside a baseline."""
    template = Template(Path(__file__).with_name("report.html").read_text("utf-8"))
    page = template.substitute(
        title=f"Contract of {_text(report.provider)}",
        facts=_facts(report, became),
        outcomes="".join(f'<th scope="col" class="{word}">{in_words(word)}</th>' for word in OUTCOMES),
        findings=_findings(report, became),
        totals="\n".join(_totals(report)),
        filters="\n".join(_filter(word, number) for word, number in report.totals.items() if number),
        phases="\n".join(_phase(phase, items, became) for phase, items in by_phase(report).items())
        or "<p>No cases.</p>",
    )
    return page.encode()


def _facts(report: Report, became: Became) -> str:
    began = datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    told = [f"requests: {report.requests}", f"{report.seconds:.1f} s", f"seed {report.seed}"]
    told += [f"{number} {word} since the baseline" for word, number in Counter(became.values()).items()]
    return "".join(f"<span>{item}</span>" for item in [_link(report.url), *map(_text, [began, *told])])


def _link(url: str) -> str:
    """Return a link to a URL of the web, and any other as text."""
    text = _text(url)
    return f'<a href="{text}" rel="noreferrer">{text}</a>' if _is_web(url) else text


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url == url.strip()


def _findings(report: Report, became: Became) -> str:
    """Return what the run found, the worst first, each once."""
    found = report.findings
    if not found:
        return '<p class="faint">Nothing differs from the docs.</p>'
    return "<div>\n" + "\n".join(_finding(item, became.get(item.worst.id)) for item in found) + "\n</div>"


def _finding(found: Finding, became: Since | None) -> str:
    item, count = found.worst, len(found.cases)
    row = f'<span class="word">{_told(item, became)}</span><span class="said">{_text(found.message)}</span>'
    row += f'<span class="faint">{many(count, "case")}</span>'
    links = ", ".join(f'<a href="#{_anchor(one)}">{_text(one.id)}</a>' for one in found.cases)
    seen = f"<h3>Seen by</h3><p>{links}</p>"
    return _folded(f'class="case finding {item.outcome}"', row, _inside(item) + seen)


def _folded(attributes: str, row: str, inside: str) -> str:
    return f'<details {attributes}><summary class="row">{row}</summary><div class="inside">{inside}</div></details>'


def _anchor(item: Result) -> str:
    return f"case-{crc32(item.id.encode('utf-8', 'replace')):x}"


def _told(item: Result, became: Since | None) -> str:
    return f"{became} {in_words(item.outcome)}" if became else in_words(item.outcome)


def _totals(report: Report) -> Iterator[str]:
    phases = by_phase(report)
    for name, items in [*phases.items(), *([("all", report.cases)] if len(phases) > 1 else [])]:
        counted = Counter(item.outcome for item in items)
        numbers = "".join(_number(counted[word]) for word in OUTCOMES)
        yield f'<tr><th scope="row">{name}</th>{numbers}<td>{len(items)}</td></tr>'


def _number(count: int) -> str:
    return f"<td>{count}</td>" if count else '<td class="none">0</td>'


def _filter(word: str, number: int) -> str:
    name = f"show-{word}"
    return f'<label for="{name}"><input type="checkbox" id="{name}" checked> {in_words(word)} ({number})</label>'


def _phase(phase: str, items: Sequence[Result], became: Became) -> str:
    ordered = sorted(items, key=lambda item: GRAVEST.index(item.outcome))
    cases = "\n".join(_case(item, became.get(item.id)) for item in ordered)
    return f"<section>\n<h2>{phase}</h2>\n<div>\n{cases}\n</div>\n</section>"


def _case(item: Result, became: Since | None) -> str:
    said = _text(item.message) or f'<span class="faint">{_text(item.source)}</span>'
    row = f'<span class="word">{_told(item, became)}</span><span class="id">{_text(item.id)}</span>'
    row += f'<span class="said">{said}</span>'
    attributes = f'class="case {item.outcome}" id="{_anchor(item)}"'
    if item.outcome == "passed" and not item.request:
        return f'<div {attributes}><div class="row">{row}</div></div>'
    return _folded(attributes, row, _inside(item))


def _inside(item: Result) -> str:
    about = [f"Fact: {item.fact}" if item.fact else "", f"Docs: {item.source}" if item.source else ""]
    about += ["assumed, where the docs are silent" if item.assumed else "", f"{item.seconds:.2f} s"]
    line = f'<p class="facts">{"".join(f"<span>{_text(text)}</span>" for text in about if text)}</p>'
    values = exchange = ""
    if item.expected is not None or item.actual is not None:
        values = _pair(("Expected", json_text(item.expected, indent=2)), ("Actual", json_text(item.actual, indent=2)))
    if item.request or item.response:
        exchange = _pair(
            ("Request", request_text(item.request) if item.request else ""),
            ("Response", response_text(item.response) if item.response else ""),
        )
    return line + values + exchange + _block("curl", item.curl or "") + _block("Run it alone", f"--case {item.id}")


def _pair(*blocks: tuple[str, str]) -> str:
    return f'<div class="two">{"".join(f"<div>{_block(*block)}</div>" for block in blocks if block[1])}</div>'


def _block(title: str, text: str) -> str:
    return f'<h3>{title}</h3><pre tabindex="0">{_text(text)}</pre>' if text else ""


def _text(text: str) -> str:
    return escape(printable_lines(text))
