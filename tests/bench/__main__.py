"""The benchmark: what the emulator costs beside a floor and, where they are found, beside aimock and llmock.

Figures are ratios within one run: wrk (`-t1 -c32`) loads the servers in alternating rounds, a ratio is taken in each
round, and its median is shown with the smallest and the largest. The floor is a bare ASGI app that reads the request
and sends the same bytes on the same uvicorn, uvloop and httptools, a stream's events in one write. All are asked the
same and answer the same text, whole or in 60 chunks, which is checked before the load; each is a process of its own.
The other mocks run with their logs off and their default delays, which are none. Lateness of paced streams is counted
from each stream's first event, by an asyncio client in a process of its own, the streams begun over one second. A cold
start runs from the spawn to the first answer. Resident memory is VmRSS after the unary rounds. Leave the machine alone
while it runs, for under five minutes; what stands beside a goal is not asserted, only shown.

    python -m tests.bench [--quick] [--json FILE] [--only PART]... [--aimock COMMAND] [--llmock COMMAND]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.bench.paced import allow_files
from tests.bench.parts import MOCKS, PARTS, Run
from tests.bench.report import Figure, environment, table, write

SHORT = partial(Run, rounds=3, seconds=1, paced_s=2, repeats=3)
WHOLE = partial(Run, rounds=5, seconds=2, paced_s=5, repeats=9)
NOT_FOUND = "it was not found; name its command with --{} or ${}, or put it on the PATH"


def main() -> None:
    given = parse()
    if not shutil.which("wrk"):
        sys.exit("The benchmark needs wrk, which is not on the PATH; Debian's package is called wrk.")
    allow_files()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the servers are ended all the same
    mocks = {name: command for name in MOCKS if (command := getattr(given, name))}
    missing = {name: NOT_FOUND.format(name, name.upper()) for name in MOCKS if name not in mocks}
    start = time.perf_counter()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        run = (SHORT if given.quick else WHOLE)(Path(folder), mocks, missing=missing)
        for name in given.only or PARTS:
            print(f"{time.perf_counter() - start:5.0f} s: {name}", file=sys.stderr)
            figures += PARTS[name](run)
    seconds, versions = time.perf_counter() - start, environment()
    print(table(figures), "", ", ".join(f"{name} {text}" for name, text in versions.items()), sep="\n")
    print(f"{'quick, ' if given.quick else ''}{seconds:.0f} s in all")
    for name, command in run.commands.items():
        print(f"{name}: `{command}`")
    for name, why in run.missing.items():
        print(f"{name} was not measured: {why}")
    about = {"quick": given.quick, "seconds": seconds, "versions": versions, "commands": run.commands}
    write(given.json, figures, {**about, "not_measured": run.missing})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: figures only to try it")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="default: %(default)s")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"of: {', '.join(PARTS)}")
    for name in MOCKS:
        default = os.environ.get(name.upper()) or shutil.which(name)
        parser.add_argument(f"--{name}", default=default, help=f"its command; default: ${name.upper()}, or on the PATH")
    return parser.parse_args()


if __name__ == "__main__":
    main()
