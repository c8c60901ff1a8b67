"""What a test makes its session answer by: a rule, at its place in the test, or a scenario."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.core.errors import printable
from emulator.core.files import read_own
from emulator.core.journal.findings import Finding
from emulator.testing.client import __tracebackhide__ as __tracebackhide__

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: What `.on()` takes beside what `when` takes.
RULE_KEYS = ("id", "after_last", "count_by", "then", "expect")
#: About how long a chunk of a stream is, and the piece that holds all the rest: bytes.
_CHUNK, _REST = 200, 10**9


class Route:
    """The rule that `.on(...)` began; each `.reply(...)` is its next reply."""

    def __init__(self, ask: Callable[..., Any], rule: Mapping[str, Any], at: str) -> None:
        self._ask = ask
        self.rule = rule
        self.at = at
        self.replies: tuple[Mapping[str, Any], ...] = ()
        self.refused = False  # the latest reply did not load, which its own exception tells

    def reply(self, text: Any = None, /, **reply: Any) -> Route:
        """Add a reply, written as in a scenario: `.reply("Hello")`, `.reply(error="rate_limited", times=2)`.

        Raises: ControlError, for one that does not load.
        """
        if text is not None:
            reply["text"] = text
        return self._send((*self.replies, reply))

    def replace(self, **reply: Any) -> Route:
        """Answer with this reply instead of those so far."""
        return self._send((reply,))

    def slicings(self, text: str, **reply: Any) -> SearchStrategy[list[int]]:
        """Return a strategy of where the next streams of a text are cut: see EmulatedSession.slicings."""
        from hypothesis import strategies as st

        from emulator.core.tokens import pieces

        def cut(places: list[list[int]]) -> list[int]:
            cuts = sorted({place for group in places for place in group})
            sizes = [after - before for before, after in pairwise([0, *cuts])]
            self.replace(text=text, faults=[{"slice": {"bytes": [*sizes, _REST]}}], **reply)
            return cuts

        last = _CHUNK * (len(pieces(text)) + 4)  # the role, the end and [DONE] come beside the pieces
        place = st.sampled_from(range(1, last))  # all alike, where integers() prefers small ones
        return st.lists(st.lists(place)).map(cut)  # lists of lists: some twenty cuts on average

    def finding(self) -> Finding:
        """Return what is wrong with one that has no reply."""
        names = (self.rule["id"], self.at)
        return Finding("unused", f"the rule of .on() at {self.at} has no .reply()", "allow_unused=True", names)

    def _send(self, replies: tuple[Mapping[str, Any], ...]) -> Route:
        self.refused = True
        self._ask("POST", "/rules", {"rule": {**self.rule, "replies": replies}, "at": self.at})
        self.replies, self.refused = replies, False
        return self


def place(frame: Any) -> str:
    """Return FILE:LINE of a frame, relative to the working directory where it is below it."""
    file = Path(frame.f_code.co_filename)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file.name
    return f"{printable(str(shown))}:{frame.f_lineno}"


# Scenarios as a test names them


def read_scenario(scenario: Any, folders: Sequence[Path] = ()) -> dict[str, Any]:
    """Return what the control API takes for a mapping, YAML text, or a file (a string with no line break is a path).

    A file is looked for in the folders, then in the library.

    Raises: LookupError, where none of them has it.
    """
    if isinstance(scenario, Mapping):
        return {"scenario": dict(scenario)}
    if isinstance(scenario, str) and "\n" in scenario:
        return {"scenario": scenario}
    looked = dict.fromkeys(folders or [Path()])
    found = next((file for folder in looked if (file := folder / scenario).is_file()), None)
    text = found.read_text(encoding="utf-8") if found else _of_library(scenario)
    if text is None:
        where = ", ".join(map(str, looked)) + ", nor in the library"
        raise LookupError(
            f"there is no scenario {scenario} in {where}; set `emulator_scenarios` to the folder that has it"
        )
    return {"scenario": text, "file": printable(os.path.relpath(found or _library() / scenario))}


def _library() -> Path:
    from emulator.core.schema.formats import data_folder  # heavy, and seldom needed

    return data_folder("scenarios")


def _of_library(name: str | Path) -> str | None:
    """Read PROVIDER/FILE of the library that comes with the package, also where a test fakes files."""
    try:
        return read_own(_library() / name).decode("utf-8")
    except OSError:
        return None
