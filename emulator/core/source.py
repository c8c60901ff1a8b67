"""YAML with a place for every value: plain data, and the line and column of each path in it.

Built from the parser's events, so that depth and size are bounded before anything walks the data. Scalars are read as
YAML 1.2 does (`on`, `yes`, `12:30`, `1_000` are strings); equal keys, tags, cycles and alias bombs are refused. `<<`
merges mappings, as in YAML 1.1; keys of the whole that begin with `x-` are left alone: a home for anchors.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Mapping
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
        source = _Builder(file).build(text)
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


class _Builder:
    """Builds data from parser events with an explicit stack: no recursion, whatever the nesting."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.merged: dict[Path, Path] = {}
        self.anchors: dict[str, tuple[Json, int, Path]] = {}  # value, how many values it holds, where it stands
        self.aliased: dict[Path, Path] = {}  # below `<<`
        self.open_anchors: set[str] = set()
        # container, path, its anchor, values counted when it began, the key that waits for its value, what `<<` is
        self.stack: list[list[Any]] = []
        self.root: Json = None
        self.begun = False
        self.count = 0

    def build(self, text: str) -> Source:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if take := _EVENTS.get(type(event)):
                mark = event.start_mark
                self.place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
                take(self, event)
        return Source(self.file, _without_asides(self.root), self.places, self.merged, tuple(self.problems))

    def document(self, event: yaml.DocumentStartEvent) -> None:
        if self.begun:
            self.stop("a second document begins; a file holds one")
        self.begun = True

    def open(self, event: yaml.CollectionStartEvent) -> None:
        container: Json = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.check_tag(event.tag)
        if len(self.stack) >= MAX_DEPTH:
            self.stop(f"is nested deeper than {MAX_DEPTH} levels")
        before, path = self.count, self.add(container)
        if event.anchor:
            self.open_anchors.add(event.anchor)
        self.stack.append([container, path, event.anchor, before, None, None])

    def close(self, event: yaml.Event) -> None:
        container, path, anchor, before, _, below = self.stack.pop()
        if below is not None:
            self.merge(container, path, below)
        if anchor:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = (container, self.count - before, path)

    def merge(self, container: dict[str, Json], path: Path, below: Json) -> None:
        """Put what `<<` names below a mapping's own keys; the first of several goes before the others."""
        listed = isinstance(below, list)
        found: dict[str, Json] = {}
        for index, given in enumerate(below if listed else [below]):
            at = (*path, _MERGE, index) if listed else (*path, _MERGE)
            if not isinstance(given, dict):
                self.place = self.places.get(at, self.place)
                self.stop("<< takes a mapping, or a list of them")
            for key in given:
                if key not in found and key not in container:
                    stands = (*self.aliased.get(at, at), key)
                    self.merged[*path, key] = self.merged.get(stands, stands)
                found.setdefault(key, given[key])
        own = dict(container)
        container.clear()
        container |= found | own

    def scalar(self, event: yaml.ScalarEvent) -> None:
        self.check_tag(event.tag)
        top = self.stack[-1] if self.stack else None
        is_key = top is not None and top[4] is None and isinstance(top[0], dict)
        value = event.value if event.style or is_key or event.tag is not None else _plain(event.value)
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            self.report(f"the number {event.value} is too large")
            value = 0
        path = self.add(value, merges=not event.style)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, path)

    def alias(self, event: yaml.AliasEvent) -> None:
        anchor = event.anchor or ""
        if anchor in self.open_anchors:
            self.stop(f"*{anchor} refers to itself")
        if anchor not in self.anchors:
            self.stop(f"*{anchor} refers to nothing")
        value, size, stands = self.anchors[anchor]
        self.count += size
        path = self.add(value)
        if _MERGE in path[-2:]:
            self.aliased[path] = stands
        if len(self.stack) + _height(value) > MAX_DEPTH:
            self.stop(f"is nested deeper than {MAX_DEPTH} levels")

    def add(self, value: Json, merges: bool = False) -> Path:
        """Put a value where it belongs: as the root, an item, a key that may merge, or the value of the key before."""
        self.count += 1
        if self.count > MAX_VALUES:
            self.stop(f"holds more than {MAX_VALUES} values (aliases count in full)")
        if not self.stack:
            self.root, path = value, ()
        elif isinstance(self.stack[-1][0], list):
            container, parent = self.stack[-1][:2]
            path = (*parent, len(container))
            container.append(value)
        else:
            return self.add_to_mapping(value, merges)
        self.places[path] = self.place
        return path

    def add_to_mapping(self, value: Json, merges: bool) -> Path:
        top = self.stack[-1]
        if top[4] is None:
            if not isinstance(value, str):
                self.stop("a key must be a string")
            path = (*top[1], value)
            if path in self.places and (value in top[0] or value == _MERGE):
                first = self.places[path][0]
                self.report(f"the key '{value}' stands here a second time (first on line {first})", path)
            self.places.setdefault(path, self.place)
            if value != _MERGE or not merges:
                top[0][value] = None
            top[4] = value
        else:
            path = (*top[1], top[4])
            if top[4] in top[0]:
                top[0][top[4]] = value
            else:
                top[5] = value
            top[4] = None
        return path

    def check_tag(self, tag: str | None) -> None:
        if tag not in _PLAIN_TAGS:
            self.stop(f"the tag {tag} is not known here; write plain values")

    def report(self, message: str, path: Path = ()) -> None:
        self.problems.append(Problem(self.file, *self.place, path_of(path), message))
        if len(self.problems) >= MOST_PROBLEMS:
            raise SourceError(self.problems)

    def stop(self, message: str) -> None:
        self.report(message)
        raise SourceError(self.problems)


def _plain(text: str) -> Json:
    if text in _WORDS or text[0] not in _NUMERIC:
        return _WORDS.get(text, text)
    if _INT.match(text):
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return number if -(2**63) <= number < 2**64 else float(number)  # JSON is written with 64 bits
    return float(text) if _FLOAT.match(text) else text


_EVENTS: Mapping[type[yaml.Event], Callable[[_Builder, Any], None]] = {
    yaml.ScalarEvent: _Builder.scalar,
    yaml.MappingStartEvent: _Builder.open,
    yaml.SequenceStartEvent: _Builder.open,
    yaml.MappingEndEvent: _Builder.close,
    yaml.SequenceEndEvent: _Builder.close,
    yaml.AliasEvent: _Builder.alias,
    yaml.DocumentStartEvent: _Builder.document,
}
