"""How reports show what they hold: values as JSON, exchanges as HTTP, cases by phase."""

from __future__ import annotations

import json
from collections.abc import Mapping

from emulator.contract.reports.report import PHASES, Report, Result, bounded
from emulator.core.errors import Json, printable_lines


def json_text(value: Json, *, indent: int | None = None) -> str:
    """Return a value as JSON, its characters unescaped where they can be seen."""
    return printable_lines(json.dumps(bounded(value), ensure_ascii=False, indent=indent))


def request_text(request: Mapping[str, Json]) -> str:
    """Return a request of a report as HTTP shows it."""
    return _message(f"{request.get('method', '')} {request.get('url', '')}", request)


def response_text(response: Mapping[str, Json]) -> str:
    """Return an answer of a report as HTTP shows it; the first line says how it ended, if not well."""
    ended = response.get("ended")
    broken = f" ({ended})" if ended not in (None, "complete") else ""
    return _message(f"{response.get('status') or 'no answer'}{broken}", response)


def _message(first: str, message: Mapping[str, Json]) -> str:
    headers = message.get("headers")
    lines = [f"{name}: {value}" for name, value in headers.items()] if isinstance(headers, Mapping) else []
    body = message.get("body")
    text = printable_lines(body) if isinstance(body, str) else json_text(body, indent=2)
    return "\n".join([*map(printable_lines, [first, *lines]), *(["", text] if body not in (None, "") else [])])


def by_phase(report: Report) -> dict[str, list[Result]]:
    """Return the cases of each phase that has any."""
    phases = {phase: [item for item in report.cases if item.phase == phase] for phase in PHASES}
    return {phase: items for phase, items in phases.items() if items}


def in_words(outcome: str) -> str:
    return outcome.replace("_", " ")
