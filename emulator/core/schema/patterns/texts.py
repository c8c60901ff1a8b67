"""Texts that a regular expression matches: guesses, of which whoever asks takes one that its engine accepts.

The syntax of ECMA-262 and of Rust's regex is read. A look-around is no part of a guess: it is left out, and every other
guess has what a look-ahead looks for in its place.

    pattern -> Node     alternatives of sequences of repeated atoms
    guesses             the first repeat as little as they may, the next a little more, the rest at random

Of one document, guesses are kept, and what matches, and paid for in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from emulator.core.schema.bounds import PATTERN_BYTES, looks_around, positions
from emulator.core.schema.patterns.reader import Kind, Node, Ranges, Reader
from emulator.core.schema.schema import NoPattern, compile_pattern
from emulator.core.seeded_random import Draw

#: How long a guess may become.
MAX_LETTERS = 10_000
#: How many parts of a pattern are written for one guess, those that write nothing too: repetitions multiply.
MAX_WRITTEN = 50_000
#: How many guesses are made of one pattern, and how many parts are written for all of them together.
MOST_GUESSES, MOST_TOGETHER = 300, 150_000
#: What a repetition without end has more than it must, in guesses at random.
MORE = 12

#: How many parts of a pattern are written in a step, and at how many places of it a character is tried.
WRITTEN, TRIED = 4, 250
#: What a pattern that looks around takes beside: it may go back at each character, and look on to the end.
LOOK = 40

#: The characters that are tried first, in this order.
_PREFERRED = ((97, 122), (48, 57), (65, 90), (32, 47), (58, 64), (91, 96), (123, 126))


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


def guesses(pattern: str, draw: Draw, least: int, spend: Callable[[int], None]) -> Iterator[str]:
    """Yield texts that may match, some of them at least `least` long; `spend` is told what was written for each.

    Raises: Unreadable, for a syntax that is not read.
    """
    node = Reader(pattern).read()
    stretches = [*range(min(least, MOST_GUESSES // 3) + 2), least]
    together = 0
    for number in range(MOST_GUESSES):
        stretch = stretches[number // 2] if number < 2 * len(stretches) else None
        writer = _Writer(draw, f"{pattern[:50]}/{number}", stretch, number % 2 == 1)
        guess = None
        with suppress(_TooLong):
            guess = writer.write(node)
        spend(writer.written)
        if guess is not None:
            yield guess
        together += writer.written
        if together > MOST_TOGETHER:
            return


class _TooLong(Exception):
    """A guess that became too long."""


class _Writer:
    """Writes one guess; `stretch` is what each repetition has more than it must, None at random."""

    def __init__(self, draw: Draw, label: str, stretch: int | None, looks: bool) -> None:
        self.draw, self.label, self.stretch, self.looks = draw, label, stretch, looks
        self.drawn = self.letters = self.written = 0
        self.groups: dict[int | str, str] = {}

    def write(self, node: Node) -> str:
        self.written += 1
        if self.written > MAX_WRITTEN:
            raise _TooLong
        return _WRITERS[node.kind](self, node)

    def lengthen(self, letters: int) -> None:
        self.letters += letters
        if self.letters > MAX_LETTERS:
            raise _TooLong

    def below(self, most: int) -> int:
        self.drawn += 1
        return self.draw.below(f"{self.label}/{self.drawn}", most) if most > 1 else 0

    def set(self, node: Node) -> str:
        self.lengthen(1)
        return _plain(node.ranges, self.below) if self.stretch is not None else _anywhere(node.ranges, self.below)

    def all(self, node: Node) -> str:
        return "".join(map(self.write, node.parts))

    def any(self, node: Node) -> str:
        return self.write(node.parts[self.below(len(node.parts))])

    def repeat(self, node: Node) -> str:
        most = node.least + MORE if node.most is None else node.most
        if self.stretch is None:
            times = node.least + self.below(min(most - node.least, MORE) + 1)
        else:
            times = node.least + self.stretch if node.most is None else min(most, node.least + self.stretch)
        if times > MAX_LETTERS:
            raise _TooLong
        return "".join(self.write(node.parts[0]) for _ in range(times))

    def group(self, node: Node) -> str:
        text = self.groups[node.number] = self.write(node.parts[0])
        return text

    def back(self, node: Node) -> str:
        text = self.groups.get(node.number, "")
        self.lengthen(len(text))
        return text

    def look(self, node: Node) -> str:
        return self.write(node.parts[0]) if self.looks and node.parts else ""


_WRITERS: dict[Kind, Callable[[_Writer, Node], str]] = {
    "set": _Writer.set, "all": _Writer.all, "any": _Writer.any, "repeat": _Writer.repeat,
    "group": _Writer.group, "back": _Writer.back, "look": _Writer.look,
}  # fmt: skip


def _plain(ranges: Ranges, below: Callable[[int], int]) -> str:
    """Return a plain character: of the first kind that the ranges have one of."""
    for first, last in _PREFERRED:
        inside = [(max(first, low), min(last, high)) for low, high in ranges if low <= last and high >= first]
        if inside:
            return _anywhere(inside, below)
    return chr(ranges[0][0])


def _anywhere(ranges: Ranges, below: Callable[[int], int]) -> str:
    """Return any character below 127 of the ranges, or where there is none the first of all."""
    low = [(first, min(last, 126)) for first, last in ranges if first <= 126 and last >= 32]
    if not low:
        return chr(ranges[0][0])
    first, last = low[below(len(low))]
    return chr(max(first, 32) + below(last - max(first, 32) + 1)) if last >= 32 else chr(first)
