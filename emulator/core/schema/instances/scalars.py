"""Numbers and texts that meet what is needed of them: candidates, the customary ones first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from itertools import islice, permutations

from emulator.core.errors import Json
from emulator.core.schema.instances.needs import CannotConform, Needs, Turn
from emulator.core.schema.patterns.reader import Unreadable
from emulator.core.schema.patterns.texts import Patterns
from emulator.core.seeded_random import Draw

#: How many multiples, and how many texts, are tried before giving up.
MOST_MULTIPLES, MOST_TEXTS = 200, 700
#: How many steps it takes to try a number, by exact fractions.
RECKONED = 5
#: The longest text that is made.
MAX_LETTERS = 10_000
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "haven")
#: Tried where what is usual does not conform.
_SPECIAL = (0, -1, 0.5, 1_000, -0.5)

_FORMATS: Mapping[str, Callable[[int], str]] = {
    "date-time": lambda n: f"2026-01-{31 - n % 31:02}T12:00:00Z",
    "date": lambda n: f"2026-01-{31 - n % 31:02}",
    "time": lambda n: f"12:{n % 60:02}:00Z",
    "duration": lambda n: f"P{n + 1}D",
    **dict.fromkeys(("email", "idn-email"), lambda n: f"ada{n or ''}@example.com"),
    **dict.fromkeys(("hostname", "idn-hostname"), lambda n: f"{f'h{n}.' if n else ''}example.com"),
    **dict.fromkeys(("uri", "uri-reference", "uri-template", "iri", "iri-reference", "url"),
                    lambda n: f"https://example.com/{n or ''}"),
    "uuid": lambda n: f"123e4567-e89b-42d3-a456-42661417{0x4000 + n % 0x8000:04x}",
    "ipv4": lambda n: f"192.0.2.{1 + n % 254}",
    "ipv6": lambda n: f"2001:db8::{1 + n:x}",
    "json-pointer": lambda n: f"/{n or 'a'}",
    "relative-json-pointer": lambda n: f"{n}/a",
    "regex": lambda n: f"^a{'b' * n}$",
}  # fmt: skip
#: Which formats can be made longer, and before what.
_STRETCHED = {"email": "@", "idn-email": "@", "uri": "", "uri-reference": "", "iri": "", "iri-reference": "", "url": ""}


def make_number(needs: Needs, draw: Draw, label: str, turn: Turn, whole: bool, spend: Callable[[int], None]) -> Json:
    """Return a number within the bounds, a multiple of each step; `spend` is told the tries. Raises: CannotConform."""
    steps = [_exact(step) for step in needs.said("multipleOf")] + ([Fraction(1)] if whole else [])
    given = needs, draw, label, turn
    found = _multiples(*given, _common(steps), whole) if steps else _anywhere(*given)

    def is_good(value: Json) -> bool:
        spend(RECKONED)
        return _is_good(needs, value)

    good = list(islice(filter(is_good, found), turn.varied % 20 + 1))
    if not good:
        keyword = "multipleOf" if steps else "minimum"
        raise CannotConform(f"'{keyword}' and the bounds beside it leave no number")
    return good[-1]


def _multiples(needs: Needs, draw: Draw, label: str, turn: Turn, step: Fraction, whole: bool) -> Iterator[Json]:
    low, high = _bounds(needs, Fraction(1))
    first = math.ceil(low / step)
    if any(exclusive and _exact(bound) >= first * step for bound, exclusive in needs.lows):
        first += 1
    last = math.floor(high / step)
    below = [] if any(_exact(bound) >= 0 for bound, _ in needs.lows) else range(1, MOST_MULTIPLES)
    if not below and needs.highs and first > last:
        return
    picked = draw.below(turn.label(label), min(max(0, last - first), 9) + 1)
    lowest = [math.ceil(max(map(_exact, (bound for bound, _ in needs.lows))) / step)] if needs.lows else []
    others = (*range(first + picked + 1, first + picked + MOST_MULTIPLES), *range(first, first + picked))
    floats = any(isinstance(given, float) for given in needs.said("multipleOf"))
    for times in (first + picked, *(lowest if below else ()), *others, *(first - n for n in below)):
        value = times * step
        yield int(value) if whole or (value.denominator == 1 and not floats) else float(value)


def _anywhere(needs: Needs, draw: Draw, label: str, turn: Turn) -> Iterator[Json]:
    low, high = (float(bound) for bound in _bounds(needs, Fraction(1, 1000)))
    yield round(low + (min(high, low + 10) - low) * draw.below(turn.label(label), 11) / 10, 3)
    yield from (low, high, (low + high) / 2, low + (high - low) / 3, *_SPECIAL)
    lowest = max((float(bound) for bound, _ in needs.lows), default=low)
    yield from (start + (high - start) * n / 16 for start in dict.fromkeys((low, lowest)) for n in range(16))


def _bounds(needs: Needs, nudge: Fraction) -> tuple[Fraction, Fraction]:
    """Return between what a number is looked for: near 0 where that is allowed; bounds that are out move by a nudge."""
    lows = [_exact(bound) + (nudge if exclusive else 0) for bound, exclusive in needs.lows]
    highs = [_exact(bound) - (nudge if exclusive else 0) for bound, exclusive in needs.highs]
    top = min(highs, default=None)
    near = Fraction(1) if top is None or top >= 1 else top - 10
    bottom = max(lows, default=near)
    bottom = max(bottom, near) if bottom < 0 else bottom
    return bottom, bottom + 10 if top is None else top


def _is_good(needs: Needs, value: Json) -> bool:
    """Tell whether a number is within all bounds and a multiple of all steps, exactly and in floats."""
    exact = _exact(value)
    low = all(exact > _exact(bound) or (exact == _exact(bound) and not out) for bound, out in needs.lows)
    high = all(exact < _exact(bound) or (exact == _exact(bound) and not out) for bound, out in needs.highs)
    return low and high and all(_is_multiple(value, exact, step) for step in needs.said("multipleOf"))


def _is_multiple(value: Json, exact: Fraction, step: Json) -> bool:
    if (exact / _exact(step)).denominator != 1:
        return False
    quotient = value / step
    return (isinstance(step, int) and isinstance(value, int)) or (math.isfinite(quotient) and int(quotient) == quotient)


def _exact(value: Json) -> Fraction:
    """Return a number as it is written."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def _common(steps: list[Fraction]) -> Fraction:
    """Return the least number that is a multiple of all."""
    found = steps[0]
    for step in steps[1:]:
        found = Fraction(math.lcm(found.numerator, step.numerator), math.gcd(found.denominator, step.denominator))
    return found


def make_text(needs: Needs, draw: Draw, label: str, turn: Turn, patterns: Patterns) -> str:
    """Return a text of the format, the pattern and the length. Raises: CannotConform."""
    least, most = needs.least("Length"), needs.most("Length", MAX_LETTERS)
    if least > MAX_LETTERS:
        raise CannotConform(f"'minLength' {least} is more than the {MAX_LETTERS} characters that are made at most")
    if least > most:
        raise CannotConform(f"'minLength' {least} cannot be met")
    wanted = turn.varied % 40
    found: dict[str, None] = {}
    with suppress(Unreadable):
        for text in islice(_texts(needs, patterns, draw, turn.label(label), least, most, wanted), MOST_TEXTS):
            if least <= len(text) <= most and all(patterns.matches(pattern, text) for pattern in needs.patterns):
                found.setdefault(text)
                if len(found) > wanted:
                    break
    if not found:
        raise CannotConform(f"'{'pattern' if needs.patterns else 'maxLength'}' is met by no text that was tried")
    return list(found)[wanted % len(found)]


def _texts(needs: Needs, patterns: Patterns, draw: Draw, label: str, least: int, most: int, size: int) -> Iterator[str]:
    for name in needs.said("format"):
        if name in _FORMATS:
            yield from (_stretched(name, _FORMATS[name](n), least) for n in range(size + 1))
    for pattern in needs.patterns:
        yield from patterns.guesses(pattern, least)
    yield from _in_a_row(needs.patterns, patterns, least)
    chosen = draw.below(label, len(_WORDS))
    for n in range(size + 1):
        word = _WORDS[(chosen + n) % len(_WORDS)] + (str(n) if n >= len(_WORDS) else "")
        while len(word) < least:
            word += word
        yield word[: min(max(least, len(word)), most)]
    yield from (chr(letter) * max(1, least) for letter in range(97, 123))
    yield ""


def _in_a_row(wanted: list[str], patterns: Patterns, least: int) -> Iterator[str]:
    """Yield texts that have what one pattern looks for behind what another does."""
    first = [next(patterns.guesses(pattern), "") for pattern in wanted[:4]]
    for order in permutations(first) if len(first) > 1 else ():
        between = "a" * max(0, least - sum(map(len, order)))
        yield order[0] + between + "".join(order[1:])


def _stretched(name: str, text: str, least: int) -> str:
    if name not in _STRETCHED or len(text) >= least:
        return text
    before, sign, after = text.partition(_STRETCHED[name]) if _STRETCHED[name] else (text, "", "")
    return before + "a" * (least - len(text)) + sign + after
