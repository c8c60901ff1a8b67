"""Write the golden record anew, or show what differs from it; see the package."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from . import record
from .groups import GROUPS, cases
from .normal import shown
from .recorded import serving


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where something differs")
    parser.add_argument("--show", metavar="ID", help="print what the cases whose ids begin so answer now")
    parser.add_argument("--dump", metavar="FOLDER", type=Path, help="write each case's answer into a file")
    given = parser.parse_args()
    groups, broken = answered(given.show or "")
    found = {name: value for cases in groups.values() for name, value in cases.items()}
    if given.show:
        for name, value in found.items():
            if name.startswith(given.show):
                print(f"{name}\n{shown(value)}\n")
        return 0
    if given.dump:
        for name, value in found.items():
            file = given.dump / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(shown(value) + "\n", encoding="utf-8")
        return 0
    known = {
        name: value for name, value in record.read().items() if not name.startswith(tuple(f"{x}/" for x in broken))
    }
    differ = list(record.differences(known, found))
    for name, how in differ:
        print(f"{how}: {name}")
    if not given.check and not broken:
        record.write(groups)
    print(f"{len(found)} cases, {len(differ)} not as they were; {record.FILE.stat().st_size} bytes")
    for group in broken:
        print(f"{group} could not be asked; see above. Nothing was written.")
    return int(bool(broken) or (given.check and bool(differ)))


def answered(begun: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the cases of each group, or of those that an id that begins so can be in; and the groups that failed."""
    found: dict[str, dict[str, Any]] = {}
    broken: list[str] = []
    with serving() as server:
        for group in GROUPS:
            if begun.startswith(group) or group.startswith(begun):
                start = time.perf_counter()
                try:
                    found[group] = cases(group, server)
                except Exception:  # the other groups are told of all the same
                    traceback.print_exc()
                    broken.append(group)
                    continue
                print(f"{group}: {len(found[group])} cases, {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return found, broken


if __name__ == "__main__":
    sys.exit(main())
