"""The report: figures with their spread and goal, as a Markdown table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

PACKAGES = ["uvicorn", "uvloop", "httptools", "starlette", "orjson", "jsonschema-rs"]
DIGITS = {"x": 2, "/s": 0, "ms": 2, "s": 3, "MB": 1, "": 0}


@dataclass(frozen=True, slots=True)
class Goal:
    """What a median should be at least, or at most."""

    sign: Literal["≥", "≤"]
    value: float

    def is_met(self, value: float) -> bool:
        return value >= self.value if self.sign == "≥" else value <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once a round; unit: x (a ratio), /s, ms, s, MB."""

    part: str
    what: str
    values: Sequence[float]
    unit: str
    goal: Goal | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def row(self) -> list[str]:
        low, high = (self.written(edge(self.values)) for edge in (min, max))
        spread = f"{low} – {high}" if len(self.values) > 1 else ""
        goal, met = "", ""
        if self.goal:
            goal = f"{self.goal.sign} {self.goal.value:g}"
            met = "yes" if self.goal.is_met(self.median) else "no"
        return [self.part, self.what, f"{self.written(self.median)} {self.unit}".strip(), spread, goal, met]

    def written(self, value: float) -> str:
        return f"{value:,.{DIGITS[self.unit]}f}"


def ratio(part: str, what: str, over: Sequence[float], under: Sequence[float], goal: Goal | None = None) -> Figure:
    """Return the ratio of two measurements, round by round."""
    return Figure(part, what, [one / other for one, other in zip(over, under, strict=True)], "x", goal)


def table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table."""
    rows = [["part", "what", "median", "spread", "goal", "met"], ["---"] * 6, *(figure.row() for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def environment() -> dict[str, str]:
    """Return the versions and the machine that figures depend on."""
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split(" [")[0]
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in PACKAGES},
        "wrk": wrk.removeprefix("wrk "),
    }


def processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write(file: Path, figures: Iterable[Figure], about: Mapping[str, Any]) -> None:
    """Write everything measured as JSON."""
    rows = [{**asdict(figure), "median": figure.median} for figure in figures]
    file.write_text(json.dumps({**about, "figures": rows}, indent=1, ensure_ascii=False) + "\n")
