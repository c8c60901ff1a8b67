"""Patterns and schemas from outside: what they take together is bounded, compiled and at each judgement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import orjson

from emulator.core.errors import Json
from emulator.core.schema.bounds import BACKTRACKS, PATTERN_BYTES, looks_around, patterns, positions, schema_parts
from emulator.core.schema.cost import LETTER, Cost, TooCostly, measure
from emulator.core.schema.schema import NoPattern, Schema, compile_pattern

#: Steps of about 8 ns that the judgements of one request may take.
MOST_STEPS = 50_000_000
#: What all patterns may take compiled; a megabyte takes some 15 ms.
MOST_BYTES = 20_000_000
#: What is tried for one, the least first.
_BYTES = (5_000, 50_000, 500_000, PATTERN_BYTES)
#: Subschemas that all schemas may make the compiler unroll, at some 25 µs.
MOST_UNROLLED = 20_000
#: Below so many steps by its size, a value is not measured: that takes longer than most judgements.
QUICK = 20_000
#: Steps for each byte of one that is.
MEASURED = 5

TOO_LONG = "a value of this size can take this schema too long"

Verdict: TypeAlias = Callable[[Json], bool]


class Allowance:
    """What the patterns and schemas of one document may take; `restart` before each request, or once for many."""

    __slots__ = ("bytes", "left", "most", "unrolled")

    def __init__(self, most: int = MOST_STEPS) -> None:
        self.most = self.left = most
        self.bytes = MOST_BYTES
        self.unrolled = MOST_UNROLLED

    def restart(self) -> None:
        """Give back what judgements took."""
        self.left = self.most

    def pattern(self, pattern: str) -> Callable[[str], bool]:
        """Compile a pattern that searches; trying it raises TooCostly where the text is too long for it.

        Raises: ValueError, for what is malformed or too large.
        """
        search = self._compiled(pattern)
        each = LETTER * positions(pattern)

        def found(text: str) -> bool:
            self.spend(each * len(text), f"a text of {len(text)} characters can take this pattern too long")
            return search(text)

        return found

    def schema(self, document: Json, foreign: bool = False) -> Verdict:
        """Compile a schema to its verdict, which raises TooCostly where a value is too large for it.

        One that is `foreign` may be of draft-07, and its patterns may look around.

        Raises: ValueError, for what is no schema or too large.
        """
        cost = Cost(document)
        known = dict.fromkeys(patterns(schema_parts(document)))
        looking = sum(map(looks_around, known)) if foreign else 0
        for pattern in known:
            with suppress(NoPattern):  # for what it takes alone; what is none may stand in data
                self._compiled(pattern, foreign and looks_around(pattern))
        self.unrolled -= cost.compiled
        if self.unrolled < 0:
            raise ValueError("is too large together with the schemas before it")
        verdict = Schema(document, PATTERN_BYTES, foreign=foreign).verdict

        def judged(value: Json) -> bool:
            if looking:
                self.spend(looking * BACKTRACKS * LETTER * measure(value)[0], TOO_LONG)
            size = _size(value)
            steps = cost.at_most(size) if size else None
            if steps is None or steps > QUICK:
                self.spend(MEASURED * size, TOO_LONG)
                steps = cost.of(value)
            self.spend(steps, TOO_LONG)
            return verdict(value)

        return judged

    def _compiled(self, pattern: str, looks: bool = False) -> Callable[[str], bool]:
        """Compile a pattern within the fewest bytes that it fits in, and take those."""
        if len(pattern) > PATTERN_BYTES:  # reading it takes longer than anything compiled
            raise NoPattern(f"has a pattern of {len(pattern)} characters; up to {PATTERN_BYTES} are tried")
        for size in _BYTES:
            if size > self.bytes:
                raise ValueError("has a pattern that takes too much together with those before it")
            try:
                search = compile_pattern(pattern, size, looks)
            except NoPattern:
                if size == PATTERN_BYTES:
                    self.bytes -= size
                    raise
            else:
                self.bytes -= size
                break
        return search

    def spend(self, steps: int, message: str) -> None:
        """Take steps of about 8 ns. Raises: TooCostly, where not so many are left."""
        if steps > self.left:
            raise TooCostly(message)
        self.left -= steps


def _size(value: Json) -> int:
    """Return the bytes of a value as JSON; 0 where it has too many levels to be written."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return 0
