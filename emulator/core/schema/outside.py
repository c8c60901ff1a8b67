"""Patterns and schemas from outside: what they take together is bounded, compiled and at each judgement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from emulator.core.errors import Json
from emulator.core.schema.bounds import PATTERN_BYTES, patterns, positions, schema_parts
from emulator.core.schema.cost import Cost, TooCostly
from emulator.core.schema.schema import NoPattern, Schema, compile_pattern

#: Steps of about 8 ns that the judgements of one request may take.
MOST_STEPS = 50_000_000
#: What all patterns may take compiled; a megabyte takes some 15 ms.
MOST_BYTES = 20_000_000
#: What is tried for one, the least first.
_BYTES = (5_000, 50_000, 500_000, PATTERN_BYTES)
#: Subschemas that all schemas may make the compiler unroll, at some 25 µs.
MOST_UNROLLED = 20_000

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
        size = positions(pattern)

        def found(text: str) -> bool:
            self.spend(size * len(text), f"a text of {len(text)} characters can take this pattern too long")
            return search(text)

        return found

    def schema(self, document: Json) -> Verdict:
        """Compile a schema to its verdict, which raises TooCostly where a value is too large for it.

        Raises: ValueError, for what is no schema or too large.
        """
        cost = Cost(document)
        for pattern in dict.fromkeys(patterns(schema_parts(document))):
            with suppress(NoPattern):  # for what it takes alone; what is none may stand in data
                self._compiled(pattern)
        self.unrolled -= cost.compiled
        if self.unrolled < 0:
            raise ValueError("is too large together with the schemas before it")
        verdict = Schema(document, PATTERN_BYTES).verdict

        def judged(value: Json) -> bool:
            self.spend(cost.of(value), "a value of this size can take this schema too long")
            return verdict(value)

        return judged

    def _compiled(self, pattern: str) -> Callable[[str], bool]:
        """Compile a pattern within the fewest bytes that it fits in, and take those."""
        for size in _BYTES:
            if size > self.bytes:
                raise ValueError("has a pattern that takes too much together with those before it")
            try:
                search = compile_pattern(pattern, size)
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
        self.left -= steps
        if self.left < 0:
            raise TooCostly(message)
