"""The record: a digest of each case in a file, and what differs from it.

An id is a group, a session and an answer: `# content/beatra`, below it `documented/text`, below it ` whole DIGEST`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

from .normal import canonical, shown

FILE = Path(__file__).with_name("record.txt")
#: Of how many cases that differ a message shows the whole, and how much of it.
MOST_SHOWN = 3
LONGEST_SHOWN = 6000


def digest(value: Any) -> str:
    return blake2b(canonical(value).encode(), digest_size=8).hexdigest()


def read() -> dict[str, str]:
    """Return the digest of each id."""
    found: dict[str, str] = {}
    group = session = ""
    for line in FILE.read_text(encoding="utf-8").splitlines() if FILE.is_file() else ():
        if line.startswith("# "):
            group, session = line[2:], ""
        elif line.startswith(" "):
            name, _, value = line.strip().partition(" ")
            found[f"{group}/{session}{name}"] = value
        else:
            session = f"{line}/"
    return found


def write(answered: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the cases of each group, by id; those of one session stand together, those of none first."""
    lines: list[str] = []
    for group, cases in answered.items():
        lines.append(f"# {group}")
        rests = sorted((name.removeprefix(f"{group}/") for name in cases), key=lambda rest: "/" in rest)
        for session, names in groupby(rests, lambda rest: rest.rpartition("/")[0]):
            lines += [session] if session else []
            lines += [f" {name.rpartition('/')[2]} {digest(cases[f'{group}/{name}'])}" for name in names]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def differences(known: Mapping[str, str], cases: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the id of each case that is not as it was, and how: changed, new or gone."""
    for name, value in cases.items():
        if name not in known:
            yield name, "new"
        elif known[name] != digest(value):
            yield name, "changed"
    yield from ((name, "gone") for name in known if name not in cases)


def told(differ: Iterable[tuple[str, str]], cases: Mapping[str, Any]) -> str:
    """Return what a test says of differences: all ids, and the first cases as they are answered now."""
    rows = list(differ)
    lines = [f"{len(rows)} cases are not as they were:", *(f"  {how}: {name}" for name, how in rows)]
    for name in [name for name, _ in rows if name in cases][:MOST_SHOWN]:
        text = shown(cases[name])
        lines += ["", f"{name} is now (at another commit: python -m tests.golden --show {name}):", text[:LONGEST_SHOWN]]
    return "\n".join(lines)
