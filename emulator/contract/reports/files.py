"""The files of a report: each is renamed into place when it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from emulator.contract.reports.drift import Became, since
from emulator.contract.reports.html import html_page
from emulator.contract.reports.junit import junit_xml
from emulator.contract.reports.report import Report, report_json
from emulator.core.files import replace_whole

Kind = Literal["json", "junit", "html"]


def write_reports(report: Report, wanted: Mapping[Kind, Path], baseline: Report | None = None) -> None:
    """Write a report in each kind that is wanted; a page and JUnit tell what was known from what is new.

    Raises: OSError, when the others are written, with what each file that could not be lacked.
    """
    became = since(report, baseline)
    failures = [text for kind, path in wanted.items() if (text := _write(path, _KINDS[kind](report, became)))]
    if failures:
        raise OSError("\n".join(failures))


def _write(path: Path, content: bytes) -> str:
    try:
        if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
            path.write_bytes(content)
        else:
            replace_whole(path, content)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return ""


def _json(report: Report, became: Became) -> bytes:
    """Escape all but ASCII: an answer may hold half a surrogate pair, which no encoding takes."""
    return json.dumps(report_json(report), indent=2, allow_nan=False).encode() + b"\n"


_KINDS: Mapping[Kind, Callable[[Report, Became], bytes]] = {
    "json": _json,
    "junit": junit_xml,
    "html": html_page,
}
