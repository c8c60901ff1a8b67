"""Vectors of texts: of length 1, the same for the same text, and nearer to those of texts that share words.

A vector is the sum of two. One is drawn from the whole text, so that no two texts have the same. The other is a hashed
bag of words: each word, without its ending too, and its beginning have a few places each. Longer words weigh more.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b, shake_256
from itertools import chain

#: The length of what is drawn from the whole text; the words have the rest.
OWN = 0.25
#: How many places a word has, how many letters its beginning, and from how many letters on a word weighs no more.
PLACES, BEGINNING, LONG = 6, 5, 8
#: How many characters of a text are read for its words.
MOST_READ = 8_000

_ENDING = re.compile(r"(?<=...)(ing|ed|es|s)$")
_WORD = re.compile(r"[^\W_]+")


def vector(model: str, text: str, size: int) -> list[float]:
    """Return a vector of so many numbers, to eight places as models give them."""
    words = _bag(model, text, size)
    if not words:
        return _drawn(f"{model}\x1f{text}", size, 1.0)
    found = _drawn(f"{model}\x1f{text}", size, OWN)
    both = sum(found[place] * value for place, value in words.items())
    weight = math.sqrt(both * both + 1 - OWN * OWN) - both  # with which the length of the sum is 1
    for place, value in words.items():
        found[place] = round(found[place] + weight * value, 8)
    return found


def _bag(model: str, text: str, size: int) -> dict[int, float]:
    """Return the places of a text's words, as a vector of length 1; nothing, where it has none."""
    found: dict[int, float] = {}
    for feature, number in Counter(_features(text[:MOST_READ])).items():
        weight = math.sqrt(number) * min(len(feature), LONG)
        for place, sign in _places(f"{model}\x1f{feature}", size):
            found[place] = found.get(place, 0.0) + sign * weight
    length = math.sqrt(sum(value * value for value in found.values()))
    return {place: value / length for place, value in found.items()} if length > 1e-6 else {}


def _features(text: str) -> Iterator[str]:
    """Yield each word, without its ending too, and its beginning; of one that is not in ASCII, each two characters."""
    for word in _WORD.findall(text.lower()):
        if word.isascii():
            yield from dict.fromkeys((word, _ENDING.sub("", word), word[:BEGINNING]))
        else:
            yield word
            yield from (word[index : index + 2] for index in range(len(word) - 1))


@functools.lru_cache(maxsize=20_000)
def _places(feature: str, size: int) -> list[tuple[int, int]]:
    digest = blake2b(feature.encode(errors="surrogatepass"), digest_size=4 * PLACES).digest()
    numbers = (int.from_bytes(digest[index : index + 4]) for index in range(0, len(digest), 4))
    return [((number >> 1) % size, 1 if number & 1 else -1) for number in numbers]


def _drawn(text: str, size: int, length: float) -> list[float]:
    """Draw each two numbers as a point of a circle: the length of the whole is then known without being computed."""
    *digest, last = shake_256(text.encode(errors="surrogatepass")).digest(size // 2 + 1)
    numbers = list(chain.from_iterable(map(_circle(size, length).__getitem__, digest)))
    if size % 2:
        numbers.append(round(math.copysign(length * size**-0.5, last - 127.5), 8))
    return numbers


@functools.lru_cache(maxsize=16)
def _circle(size: int, length: float) -> list[tuple[float, float]]:
    """Return the points that a byte can draw for vectors of a size."""
    radius, turn = length * math.sqrt(2 / size), math.tau / 256
    return [(round(radius * math.cos(turn * byte), 8), round(radius * math.sin(turn * byte), 8)) for byte in range(256)]
