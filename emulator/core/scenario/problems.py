"""What is wrong in a scenario, as it is found: with its place, and which rules and chaos it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.core.errors import MOST_PROBLEMS, Json, Problem, SourceError, in_order, printable
from emulator.core.scenario.recovery import Meant
from emulator.core.source import Source
from emulator.core.tree import Path, path_of


class Found:
    """The problems of one file; `wrong` are the rules and chaos that have one."""

    def __init__(self, source: Source, label: str, meant: Meant) -> None:
        self.source, self.label = source, printable(label)
        self.problems: list[Problem] = list(meant.problems)
        self.wrong = set(meant.lacking)

    def at(self, path: Path) -> str:
        """Return FILE:LINE of a value; data that was parsed before it came has no lines, but a path."""
        return f"{self.label}:{self.source.place(path)[0] if self.source.places else path_of(path)}"

    def report(self, path: Path, message: str) -> None:
        self.problems.append(self.source.problem(path, message))
        self.wrong.add(path[:2])
        if len(self.problems) >= MOST_PROBLEMS:
            raise SourceError(in_order(self.problems))

    def tried(self, path: Path, read: Callable[[Json], Any], value: Json) -> Any:
        """Read a value if there is one; where it cannot be read the problem is kept, and the result does not count."""
        try:
            return None if value is None else read(value)
        except ValueError as error:
            self.report(path, str(error))
            return None
