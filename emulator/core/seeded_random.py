"""Random draws that can be repeated: all from a digest of what they depend on, none from a global source."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from uuid import UUID

_ALNUM = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CROCKFORD = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HEX = b"0123456789abcdef"
_ROOT = 32  # bytes of the digest that all others are made from


class Draw:
    """Draws from a seed and the things named with it; each `label` gives its own, whatever the order of asking."""

    __slots__ = ("_root",)

    def __init__(self, *parts: object) -> None:
        self._root = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=_ROOT).digest()

    def bytes(self, label: str, size: int) -> bytes:
        """Return at most 64 bytes."""
        return blake2b(label.encode(), key=self._root, digest_size=size).digest()

    def number(self, label: str, bits: int = 64) -> int:
        """Return a whole number below 2**bits (at most 512)."""
        return int.from_bytes(self.bytes(label, (bits + 7) // 8)) & ((1 << bits) - 1)

    def below(self, label: str, bound: int) -> int:
        return self.number(label) % bound

    def uniform(self, label: str) -> float:
        """Return a number in (0, 1)."""
        return (self.number(label, 53) + 0.5) / (1 << 53)

    def normal(self, label: str) -> float:
        """Return a number of the standard normal distribution (Box and Muller)."""
        radius = math.sqrt(-2 * math.log(self.uniform(label + "/r")))
        return radius * math.cos(2 * math.pi * self.uniform(label + "/a"))

    def random(self, label: str) -> Random:
        """Return a generator of the standard library, for distributions that are not worth writing."""
        return Random(self.number(label, 128))

    def alnum(self, label: str, length: int = 24) -> str:
        return self.bytes(label, length).translate(_TO_ALNUM).decode()

    def hex(self, label: str, length: int = 24) -> str:
        return self.bytes(label, length).translate(_TO_HEX).decode()

    def ulid(self, label: str, at: float) -> str:
        """Return a ULID: ten characters of the time in milliseconds, sixteen drawn."""
        return (_crockford(int(at * 1000)) + self.bytes(label, 16).translate(_TO_CROCKFORD)).decode()

    def uuid(self, label: str) -> str:
        """Return a UUID of version 4."""
        return str(UUID(int=self.number(label, 128), version=4))


def series(*parts: object) -> Callable[[int], Draw]:
    """Return what makes the draws of these parts and a number: faster than one by one, where there are many."""
    begun = blake2b("\x1f".join(map(str, (*parts, ""))).encode(), digest_size=_ROOT)

    def nth(number: int) -> Draw:
        digest = begun.copy()
        digest.update(b"%d" % number)
        draw = Draw.__new__(Draw)
        draw._root = digest.digest()
        return draw

    return nth


@functools.lru_cache(maxsize=1024)
def _crockford(milliseconds: int) -> bytes:
    """Write a time as the ten characters that begin a ULID."""
    return bytes(_CROCKFORD[milliseconds >> shift & 31] for shift in range(45, -1, -5))


def _table(alphabet: bytes) -> bytes:
    return bytes(alphabet[byte % len(alphabet)] for byte in range(256))


_TO_ALNUM, _TO_HEX, _TO_CROCKFORD = map(_table, (_ALNUM, _HEX, _CROCKFORD))
