"""The patterns of one document: guesses at what matches each, and what does, both kept, and paid for in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emulator.core.schema.bounds import PATTERN_BYTES, looks_around, positions
from emulator.core.schema.patterns.texts import guesses
from emulator.core.schema.schema import NoPattern, compile_pattern
from emulator.core.seeded_random import Draw

#: How many parts of a pattern are written in a step, and at how many places of it a character is tried.
WRITTEN, TRIED = 4, 250
#: What a pattern that looks around takes beside: it may go back at each character, and look on to the end.
LOOK = 40


class Patterns:
    """Guesses at patterns and tries them; `spend` is told the steps, of which what is known takes one."""

    def __init__(self, draw: Draw, spend: Callable[[int], None]) -> None:
        self.draw, self.spend = draw, spend
        self._guessed: dict[tuple[str, int], tuple[list[str], Iterator[str]]] = {}
        self._compiled: dict[str, tuple[Callable[[str], bool], Callable[[int], int]]] = {}
        self._matched: dict[tuple[str, str], bool] = {}

    def guesses(self, pattern: str, least: int = 0) -> Iterator[str]:
        """Yield texts that may match, the same ones each time. Raises: Unreadable."""
        name = pattern, least
        if name not in self._guessed:
            written = guesses(pattern, self.draw, least, lambda parts: self.spend(parts // WRITTEN))
            self._guessed[name] = [], written
        known, more = self._guessed[name]
        yield from known
        for guess in more:
            known.append(guess)
            yield guess

    def matches(self, pattern: str, text: str) -> bool:
        """Tell whether a text has a match of a pattern."""
        self.spend(1)
        if (pattern, text) not in self._matched:
            if pattern not in self._compiled:
                self._compiled[pattern] = _compiled(pattern), _price(pattern)
            search, price = self._compiled[pattern]
            self.spend(price(len(text)))
            self._matched[pattern, text] = search(text)
        return self._matched[pattern, text]


def _compiled(pattern: str) -> Callable[[str], bool]:
    try:
        return compile_pattern(pattern, PATTERN_BYTES, looks_around(pattern))
    except NoPattern:
        return lambda text: False


def _price(pattern: str) -> Callable[[int], int]:
    """Return what a text takes, by its length."""
    places = positions(pattern)
    if looks_around(pattern):
        return lambda letters: LOOK + letters * (places + letters) // TRIED
    return lambda letters: letters * places // TRIED
