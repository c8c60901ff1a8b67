"""YAML with a place for every value: plain data, and the line and column of each path in it.

Built from the parser's events, so that depth and size are bounded before anything walks the data. Scalars are read as
YAML 1.2 does (`on`, `yes`, `12:30`, `1_000` are strings); equal keys, tags, cycles and alias bombs are refused. `<<`
merges mappings, as in YAML 1.1; keys of the whole that begin with `x-` are left alone: a home for anchors.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import orjson
import yaml

from emulator.core.errors import MOST_PROBLEMS, Json, Problem, SourceError
from emulator.core.frozen import frozen
from emulator.core.tree import Path as Path
from emulator.core.tree import path_of

Place = tuple[int, int]

MAX_DEPTH = 60
MAX_VALUES = 200_000
MAX_BYTES = 5_000_000

_INT = re.compile(r"[-+]?[0-9]{1,20}$|0o[0-7]{1,20}$|0x[0-9a-fA-F]{1,15}$")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?$")
_NUMERIC = frozenset("+-.0123456789")  # what a number begins with
_WORDS: Mapping[str, Json] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MERGE, _ASIDE = "<<", "x-"
_PLAIN_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


@frozen
class Source:
    """A loaded file: its data, and the place of every path in it."""

    file: str
    data: Json
    places: Mapping[Path, Place] = field(repr=False)
    merged: Mapping[Path, Path] = field(repr=False, default_factory=dict)  # where what was merged stands
    problems: tuple[Problem, ...] = ()  # what is wrong with it, where it was read on all the same

    def problem(self, path: Path, message: str, where: str | None = None) -> Problem:
        """Return a problem at the place of `path`, or of its nearest ancestor that has one."""
        line, column = self.place(path)
        return Problem(self.file, line, column, path_of(path) if where is None else where, message)

    def place(self, path: Path) -> Place:
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
            if path[:end] in self.merged:
                return self.place((*self.merged[path[:end]], *path[end:]))
        return (1, 1)


def read_source(file: pathlib.Path, label: str = "", reads_on: bool = False) -> Source:
    """Read a file, as below; `label` stands for its name. Raises: SourceError, also where it cannot be read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return parse_source(data, label or str(file), reads_on)


def parse_source(text: str | bytes | Json, file: str, reads_on: bool = False) -> Source:
    """Read YAML text, or take data that was parsed already (it has no places).

    Where it `reads_on`, equal keys and bad scalars are kept as problems, so that what else is wrong is found with them.
    Raises: SourceError, with every equal key and bad scalar, or the one place where the syntax breaks.
    """
    if not isinstance(text, str | bytes):
        _check_data(text, file)
        return Source(file, _without_asides(text), {})
    if len(text) > MAX_BYTES:
        raise SourceError([Problem(file, 1, 1, "", f"is larger than {MAX_BYTES} bytes")])
    if isinstance(text, bytes):
        text = _decode(text, file)
    if bad := _UNPRINTABLE.search(text):  # lone surrogates too; the parser knows no place for it
        raise _broken(file, text, bad.start(), f"YAML: the character U+{ord(bad[0]):04X} is not allowed")
    try:
        source = _Reader(file, text).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SourceError([Problem(file, *place, "", f"is not YAML: {error.problem or error.context}")]) from None
    if source.problems and not reads_on:
        raise SourceError(source.problems)
    return source


def _without_asides(data: Json) -> Json:
    """Leave out the keys of the whole that begin with `x-`."""
    return {key: item for key, item in data.items() if key[:2] != _ASIDE} if isinstance(data, dict) else data


def _broken(file: str, text: str, at: int, what: str) -> SourceError:
    """Return what is said of the place at which a text is none of a kind."""
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return SourceError([Problem(file, line, column, "", f"is not {what}")])


def _check_data(data: Json, file: str) -> None:
    """Refuse what JSON cannot carry: lone surrogates, integers over 64 bits, keys that are no strings."""
    try:
        orjson.dumps(data)
    except orjson.JSONEncodeError as error:
        raise SourceError([Problem(file, 1, 1, "", f"is no JSON: {error}")]) from None
    if _height(data) > MAX_DEPTH:
        raise SourceError([Problem(file, 1, 1, "", f"is nested deeper than {MAX_DEPTH} levels")])


def _height(value: Json) -> int:
    """Return how many containers stand inside one another."""
    height, layer = 0, [value]
    while layer := [item for item in layer if isinstance(item, dict | list)]:
        height += 1
        layer = [part for item in layer for part in (item.values() if isinstance(item, dict) else item)]
    return height


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at, text = error.start, data.decode("latin-1")  # a column is a byte here
        raise _broken(file, text, at, f"UTF-8: byte 0x{data[at]:02x} cannot stand here") from None


class _Reader:
    """Reads data from parser events, value by value; MAX_DEPTH bounds the recursion, whatever the nesting."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.place: Place = (1, 1)
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.merged: dict[Path, Path] = {}
        self.anchors: dict[str, tuple[Json, int, Path]] = {}  # value, how many values it holds, where it stands
        self.aliased: dict[Path, Path] = {}  # below `<<`
        self.open_anchors: set[str] = set()
        self.count = 0

    def read(self) -> Source:
        root, begun = None, False
        while not isinstance(event := self.next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                if begun:
                    raise self.stopped("a second document begins; a file holds one")
                begun, root = True, self.value(self.next(), (), 0)
        return Source(self.file, _without_asides(root), self.places, self.merged, tuple(self.problems))

    def next(self) -> Any:
        event = next(self.events)
        mark = event.start_mark
        self.place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return event

    def value(self, event: Any, path: Path, depth: int, is_key: bool = False) -> Json:
        """Return the value that an event begins, inside of so many others; a key has its place with its value."""
        if not is_key:
            self.places.setdefault(path, self.place)
        before = self.counted(1)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor or "", path, depth)
        if event.tag not in _PLAIN_TAGS:
            raise self.stopped(f"the tag {event.tag} is not known here; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            value = event.value if event.style or is_key or event.tag is not None else self.scalar(event.value)
        elif depth >= MAX_DEPTH:
            raise self.stopped(f"is nested deeper than {MAX_DEPTH} levels")
        elif is_key:
            return None
        else:
            self.open_anchors.add(event.anchor)
            value = (self.mapping if isinstance(event, yaml.MappingStartEvent) else self.items)(path, depth + 1)
            self.open_anchors.discard(event.anchor)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.count - before, path)
        return value

    def scalar(self, text: str) -> Json:
        value = _plain(text)
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            self.report(f"the number {text} is too large")
            return 0
        return value

    def alias(self, anchor: str, path: Path, depth: int) -> Json:
        if anchor in self.open_anchors:
            raise self.stopped(f"*{anchor} refers to itself")
        if anchor not in self.anchors:
            raise self.stopped(f"*{anchor} refers to nothing")
        value, size, stands = self.anchors[anchor]
        self.counted(size)
        if _MERGE in path[-2:]:
            self.aliased[path] = stands
        if depth + _height(value) > MAX_DEPTH:
            raise self.stopped(f"is nested deeper than {MAX_DEPTH} levels")
        return value

    def items(self, path: Path, depth: int) -> Json:
        found: list[Json] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            found.append(self.value(event, (*path, len(found)), depth))
        return found

    def mapping(self, path: Path, depth: int) -> Json:
        found: dict[str, Json] = {}
        below: Json = None  # what `<<` names
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.value(event, (), depth, is_key=True)
            if not isinstance(key, str):
                raise self.stopped("a key must be a string")
            at = (*path, key)
            if at in self.places and (key in found or key == _MERGE):
                first = self.places[at][0]
                self.report(f"the key '{key}' stands here a second time (first on line {first})", at)
            self.places.setdefault(at, self.place)
            value = self.value(self.next(), at, depth)
            if key == _MERGE and key not in found and isinstance(event, yaml.ScalarEvent) and not event.style:
                below = value
            else:
                found[key] = value
        return found if below is None else self.merge(found, path, below)

    def merge(self, own: dict[str, Json], path: Path, below: Json) -> Json:
        """Put what `<<` names below a mapping's own keys; the first of several goes before the others."""
        listed = isinstance(below, list)
        found: dict[str, Json] = {}
        for index, given in enumerate(below if listed else [below]):
            at = (*path, _MERGE, index) if listed else (*path, _MERGE)
            if not isinstance(given, dict):
                self.place = self.places.get(at, self.place)
                raise self.stopped("<< takes a mapping, or a list of them")
            for key in given:
                if key not in found and key not in own:
                    stands = (*self.aliased.get(at, at), key)
                    self.merged[*path, key] = self.merged.get(stands, stands)
                found.setdefault(key, given[key])
        return found | own

    def counted(self, more: int) -> int:
        """Count values, and return how many came before them."""
        self.count += more
        if self.count > MAX_VALUES:
            raise self.stopped(f"holds more than {MAX_VALUES} values (aliases count in full)")
        return self.count - more

    def report(self, message: str, path: Path = ()) -> None:
        self.problems.append(Problem(self.file, *self.place, path_of(path), message))
        if len(self.problems) >= MOST_PROBLEMS:
            raise SourceError(self.problems)

    def stopped(self, message: str) -> SourceError:
        """Return all that is wrong where it cannot be read on."""
        self.problems.append(Problem(self.file, *self.place, "", message))
        return SourceError(self.problems)


def _plain(text: str) -> Json:
    if text in _WORDS or text[0] not in _NUMERIC:
        return _WORDS.get(text, text)
    if _INT.match(text):
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return number if -(2**63) <= number < 2**64 else float(number)  # JSON is written with 64 bits
    return float(text) if _FLOAT.match(text) else text
