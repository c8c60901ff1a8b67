"""Reading a regular expression, in the syntax of ECMA-262 and of Rust's regex: alternatives of sequences of atoms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: How many levels of groups are read.
MAX_GROUPS = 40

_LAST = 0x10FFFF
_DIGITS, _WORD = ((48, 57),), ((97, 122), (65, 90), (48, 57), (95, 95))
_SPACE = ((32, 32), (9, 13), (160, 160))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE, "h": _SPACE[:1]}
#: Of the classes of Unicode those that plain letters have; others are answered with a letter too.
_UNICODE = {"N": _DIGITS, "Nd": _DIGITS, "Lu": ((65, 90),), "Uppercase": ((65, 90),), "P": ((33, 47),),
            "Z": ((32, 32),), "Zs": ((32, 32),), "S": ((43, 43), (60, 62))}  # fmt: skip
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "a": "\a", "e": "\x1b"}

#: What repeats an atom; lazy and possessive repetitions match the same texts.
_REPEATED = re.compile(r"(?:(?P<sign>[*+?])|\{(?P<least>[0-9]+)(?P<more>,?)(?P<most>[0-9]*)\})[?+]?")
_SIGNS: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
#: What begins a group behind its `(`: a look-around, a name, a comment or flags alone, a group that captures nothing.
_GROUP = re.compile(
    r"""\?(?: (?P<look><?[=!]) | P?<(?P<name>[^>]*)> | (?P<aside>\#[^)]*\) | (?!P?<|[>\#])[^:)]*\))
      | (?P<plain>> | (?!P?<|\#)[^:)]*(?::|$)) ) | (?!\?)""",
    re.VERBOSE,
)

Ranges = Sequence[tuple[int, int]]
Kind = Literal["set", "all", "any", "repeat", "group", "back", "look"]


class Unreadable(ValueError):
    """A pattern in a syntax that is not read."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a pattern: a character of `ranges`; all of `parts` in order, any of them, or one repeated."""

    kind: Kind
    parts: tuple[Node, ...] = ()
    ranges: Ranges = ()
    least: int = 0
    most: int | None = None
    number: int | str = 0


class Reader:
    """Reads a pattern, from left to right."""

    def __init__(self, pattern: str) -> None:
        self.text, self.at, self.level, self.numbered = pattern, 0, 0, 0

    def read(self) -> Node:
        node = self.alternatives()
        if self.at < len(self.text):
            raise Unreadable("has a ')' too many")
        return node

    def alternatives(self) -> Node:
        self.level += 1
        if self.level > MAX_GROUPS:
            raise Unreadable("has too many groups inside one another")
        found = [self.sequence()]
        while self.took("|"):
            found.append(self.sequence())
        self.level -= 1
        return found[0] if len(found) == 1 else Node("any", tuple(found))

    def sequence(self) -> Node:
        found: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            atom = self.atom()
            if atom:
                found.append(self.repeated(atom))
        return Node("all", tuple(found))

    def took(self, word: str) -> bool:
        taken = self.text.startswith(word, self.at)
        self.at += len(word) * taken
        return taken

    def match(self, form: re.Pattern[str]) -> re.Match[str] | None:
        found = form.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found

    def next(self) -> str:
        if self.at >= len(self.text):
            raise Unreadable("ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def until(self, end: str) -> str:
        stop = self.text.find(end, self.at)
        if stop < 0:
            raise Unreadable(f"lacks a {end!r}")
        found, self.at = self.text[self.at : stop], stop + 1
        return found

    def atom(self) -> Node | None:
        char = self.next()
        if char in "^$":
            return None
        if char == "(":
            return self.grouped()
        if char == "[":
            return Node("set", ranges=self.bracket())
        if char == ".":
            return Node("set", ranges=((32, 126),))
        return self.escaped() if char == "\\" else Node("set", ranges=((ord(char), ord(char)),))

    def repeated(self, atom: Node) -> Node:
        while found := self.match(_REPEATED):
            if found["sign"]:
                least, most = _SIGNS[found["sign"]]
            else:
                least = int(found["least"][:9])
                most = int(found["most"][:9]) if found["most"] else None if found["more"] else least
            atom = Node("repeat", (atom,), (), least, most)
        return atom

    def grouped(self) -> Node | None:
        """Read a group behind its `(`: a capture, a group that is none, a look-around, or what is no group."""
        begun = self.match(_GROUP)
        if begun is None:
            raise Unreadable("has a group that is not read")
        kind, number = begun.lastgroup, self.numbered + 1
        if kind == "aside":
            return None
        self.numbered += kind in (None, "name")
        inner = self.alternatives()
        if not self.took(")"):
            raise Unreadable("lacks a ')'")
        if kind == "look":
            return Node("look", (inner,) if begun["look"] == "=" else ())
        return inner if kind == "plain" else Node("group", (inner,), number=begun["name"] or number)

    def escaped(self) -> Node | None:
        """Read what follows a backslash outside of brackets."""
        char = self.next()
        if char in "bBAzZG":
            return None
        if char == "k" and self.took("<"):
            return Node("back", number=self.until(">"))
        return Node("back", number=int(char)) if char in "123456789" else Node("set", ranges=self.ranges_of(char))

    def ranges_of(self, char: str) -> Ranges:
        """Return the characters that an escape stands for."""
        if char in "pP":
            name = self.until("}") if self.took("{") else self.next()
            found = _UNICODE.get(name.rpartition("=")[2], _WORD[:2])
            return found if char == "p" and not name.startswith("^") else _others(found)
        if char.lower() in _CLASSES:
            return _CLASSES[char] if char.islower() else _others(_CLASSES[char.lower()])
        code = self.code(char)
        return ((code, code),)

    def code(self, char: str) -> int:
        """Return the one character of an escape, as its number."""
        if char in "xuU" and self.took("{"):
            return _hexadecimal(self.until("}"))
        if char in "xuU":
            size = {"x": 2, "u": 4, "U": 8}[char]
            self.at += size
            return _hexadecimal(self.text[self.at - size : self.at])
        return ord(self.next()) % 32 if char == "c" else ord(_CONTROLS.get(char, char))

    def bracket(self) -> Ranges:
        """Read a set behind its `[`."""
        negated = bool(self.took("^"))
        found: list[tuple[int, int]] = []
        if self.took("]"):
            found.append((93, 93))
        while not self.took("]"):
            found += self.member()
        ranges = _others(found) if negated else tuple(found)
        if not ranges:
            raise Unreadable("has a set of no characters")
        return ranges

    def member(self) -> Ranges:
        """Read a character of a set, a range of them, or a class; other signs stand for themselves, as in ECMA-262."""
        ranges = self._one()
        if self.text[self.at : self.at + 1] != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return ranges
        self.at += 1
        last = self._one()
        if len(ranges) > 1 or len(last) > 1:
            return (*ranges, *last, (45, 45))
        if last[0][0] < ranges[0][0]:
            raise Unreadable("has a range that ends before it begins")
        return ((ranges[0][0], last[0][0]),)

    def _one(self) -> Ranges:
        char = self.next()
        if char != "\\":
            return ((ord(char), ord(char)),)
        char = self.next()
        return ((8, 8),) if char == "b" else self.ranges_of(char)


def _hexadecimal(text: str) -> int:
    try:
        code = int(text, 16)
    except ValueError:
        raise Unreadable("has an escape that is no number") from None
    if code > _LAST or 0xD800 <= code < 0xE000:
        raise Unreadable("has an escape that is no character")
    return code


def _others(ranges: Ranges) -> Ranges:
    """Return all other characters; control characters stay out, but for none is left otherwise."""
    found, at = [], 32
    for first, last in sorted(ranges):
        if first > at:
            found.append((at, first - 1))
        at = max(at, last + 1)
    if at <= 0xD7FF:
        found.append((at, 0xD7FF))
    return tuple(found)
