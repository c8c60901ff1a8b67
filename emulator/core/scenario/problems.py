"""What is wrong in a scenario, as it is found. A file whose form is wrong is read on as its author meant it.

So one run tells what else is wrong. A misspelt key is taken for the known one. Whatever else is wrong is left out; a
rule or a reply that lacks what it needs then gives a built-in answer. Nothing is ever answered from such a file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from emulator.core.errors import MOST_PROBLEMS, Json, Problem, SourceError, Violation, in_order, printable
from emulator.core.frozen import frozen
from emulator.core.scenario.scenario import CONTENT, SAID
from emulator.core.schema.schema import Schema
from emulator.core.source import Source
from emulator.core.tree import Path, at, path_of

#: How often a file is looked at again after what was wrong is left out.
MOST_LOOKS = 8
#: With so many problems of its form a file is read no further: not all of them are known.
MOST_OF_FORM = 50


@frozen
class Meant:
    """A file as it was meant (None where nobody can tell), the problems of its form, and which parts lack something."""

    source: Source | None
    problems: tuple[Problem, ...] = ()
    lacking: frozenset[Path] = frozenset()


def as_meant(schema: Schema, source: Source) -> Meant:
    """Check a source's form, and read what is wrong as it was meant."""
    if schema.verdict(source.data):
        return Meant(source, source.problems)
    errors: Sequence[Violation] = schema.violations(source.data)
    problems = dict.fromkeys([*source.problems, *(_problem(source, error) for error in errors)])
    data = orjson.loads(orjson.dumps(source.data))  # without what aliases share
    renamed: dict[Path, Path] = {}
    lacking: set[Path] = set()
    for _ in range(MOST_LOOKS):
        if len(errors) >= MOST_OF_FORM or not all(_mend(data, error, renamed, lacking) for error in _first(errors)):
            break
        source = replace(source, data=data, merged={**source.merged, **renamed})
        if schema.verdict(data):
            return Meant(source, tuple(problems), frozenset(lacking))
        errors = schema.violations(data)
        problems |= dict.fromkeys(_problem(source, error) for error in errors if _was_hidden(error, renamed))
    return Meant(None, tuple(problems))


def _problem(source: Source, error: Violation) -> Problem:
    return source.problem(error.steps, error.message, where=error.path)


def _was_hidden(error: Violation, renamed: Collection[Path]) -> bool:
    """Tell whether a misspelt key hid what is wrong; a value of another type shows that another key was meant."""
    if error.steps in renamed and error.keyword == "type":
        return False
    return any(error.steps[: len(path)] == path for path in renamed)


def _first(errors: Sequence[Violation]) -> Sequence[Violation]:
    """Return the unknown keys, if there are any: that another one is missing may come of them."""
    return [error for error in errors if error.keyword == "additionalProperties"] or errors


def _mend(data: Json, error: Violation, renamed: dict[Path, Path], lacking: set[Path]) -> bool:
    """Make one wrong value right; False where nobody can tell how, or much rests on it."""
    if error.steps in ((), ("vars",)):
        return False
    *above, name = error.steps
    holder = at(data, above)
    if error.keyword == "additionalProperties" and error.wanted and error.wanted not in holder:
        holder[error.wanted] = holder.pop(name)
        renamed[*above, error.wanted] = error.steps
        return True
    lacking.add(error.steps[:2])
    return any(_left_out(data, error.steps[:end]) for end in range(len(error.steps), 0, -1))


def _left_out(data: Json, path: Path) -> bool:
    """Leave out what is at a path; False where it is an item of a list or is missing: then its holder is left out."""
    *above, name = path
    holder = at(data, above)
    if holder is None:
        return True  # with what is above it
    instead = _INSTEAD.get(".".join("*" if isinstance(step, int) else step for step in path))
    if instead:
        holder[name] = instead(at(holder, [name]))
    elif not isinstance(holder, dict) or name not in holder:
        return False
    else:
        del holder[name]
    return True


def _without(given: Json, *names: str) -> dict[str, Json]:
    return {key: item for key, item in given.items() if key not in names} if isinstance(given, dict) else {}


def _built_in(reply: Json) -> Json:
    return _without(reply, *SAID, *CONTENT) | {"builtin": True}


#: What stands in the place of what cannot be left out, by its path without numbers.
_INSTEAD: Mapping[str, Callable[[Json], Json]] = {
    "emulator": lambda version: 1,
    "rules.*": lambda rule: _without(rule, "reply", "replies") | {"reply": {"builtin": True}},
    "rules.*.reply": _built_in,
    "rules.*.replies.*": _built_in,
    "chaos.*": lambda item: _without(item, "error", "fault") | {"error": "server_error"},
    "chaos.*.chance": lambda chance: 0,
}


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
