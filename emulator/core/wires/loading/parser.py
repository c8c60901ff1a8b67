"""Parsing the templates of a wire, with every unknown hole and word at its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from typing import TypeAlias

from emulator.core.errors import Json, nearest
from emulator.core.frozen import frozen
from emulator.core.tree import Path
from emulator.core.wires import template
from emulator.core.wires.completion import KINDS, Kind
from emulator.core.wires.template import ANSWER, ERROR, FAILURE, FILTERED, NUMBER, PART, PARTS, PIECE, ROWS, USAGE, Node

Report: TypeAlias = Callable[[Path, str], None]

_HOLE = re.compile(r"\$\{([^}]*)\}?")
_ECHOED = re.compile(r"request(\.[a-z_]+)+")


@frozen
class Parser:
    """Parses the templates of one wire; `whole` is that of its answer, `words` its tables of words."""

    report: Report
    words: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    whole: Node | None = None

    @property
    def of_answers(self) -> tuple[str, ...]:
        """What fills the holes of a whole answer."""
        return tuple(dict.fromkeys((*ANSWER, *FAILURE, *self.words)))

    @property
    def of_events(self) -> tuple[str, ...]:
        """What fills those of an event about an answer; of one about a part, PART does too."""
        return (*self.of_answers, NUMBER)

    def parse(self, shape: Json, path: Path, known: tuple[str, ...]) -> Node:
        """Parse a template; `known` is what fills its holes."""
        if isinstance(shape, str):
            return self._text(shape, path, known)
        if isinstance(shape, list):
            return template.Array(tuple(self.parse(item, (*path, index), known) for index, item in enumerate(shape)))
        if not isinstance(shape, Mapping):
            return template.Literal(shape)
        word = next((name for name in shape if name.startswith("$") and name != EVENT), None)
        return self._object(shape, path, known) if word is None else self._word(word, shape, path, known)

    def _object(self, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        fields = tuple(
            template.Field(name.removesuffix("~"), name.endswith("~"), self.parse(item, (*path, name), known))
            for name, item in shape.items()
            if name != EVENT
        )
        named = shape.get(EVENT)
        if EVENT in shape and not (_is_event(path) and isinstance(named, str) and named.isprintable() and named):
            self.report((*path, EVENT), "names an event of the stream by a text, and nothing inside of one")
        if fields and fields[0].optional and not isinstance(fields[0].node, template.Literal):
            self.report((*path, next(iter(shape))), "may be left out, and so cannot come first; put another before it")
        return template.Object(fields, named)

    def _text(self, shape: str, path: Path, known: tuple[str, ...]) -> Node:
        parts: list[str] = []
        end = 0
        for hole in _HOLE.finditer(shape):
            self._check(hole[0], hole[1], path, known)
            parts += [shape[end : hole.start()], hole[1]]
            end = hole.end()
        parts.append(shape[end:])
        if len(parts) == 1:
            return template.Literal(shape)
        if PIECE in parts[1::2] and len(parts[0] + "".join(parts[2::2])) > 0:
            self.report(path, "${piece} stands alone in its string")
        if len(parts) == 3 and parts[0] == parts[2] == "":
            return template.Hole(parts[1])
        words = {name: tuple(filter(None, self.words[name].values())) for name in parts[1::2] if name in self.words}
        return template.Text(tuple(parts), words)

    def _check(self, text: str, name: str, path: Path, known: Collection[str]) -> None:
        if not text.endswith("}"):
            self.report(path, f"'{text[:40]}' has no closing brace")
        elif name not in known and not _is_echo(name, known):
            self.report(path, f"nothing fills ${{{name}}} here; {nearest(name, known)}")

    def _word(self, word: str, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        needed = WORDS.get(word)
        if needed is None:
            self.report((*path, word), f"there is no word {word}; {nearest(word, WORDS)}")
            return template.Literal(None)
        if tuple(shape) != needed and tuple(shape) != (*needed, *MAY_FOLLOW.get(word, ())):
            self.report((*path, word), f"stands with {' and '.join(needed)} alone, not with {', '.join(shape)}")
            return template.Literal(None)
        return _PARSE[word](self, shape[word], shape, path, known)

    def _each(self, given: Json, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        found: dict[Kind, Node] = {}
        kinds = self._mapping(given, (*path, "$each"))
        for name, item in kinds.items():
            said = name.removesuffix("~")
            if said not in KINDS:
                self.report((*path, "$each", name), f"no part is a '{said}'; {nearest(said, KINDS)}")
            node = self.parse(item, (*path, "$each", name), (*known, *PART))
            found |= {kind: node for kind in KINDS if kind == said}
        return template.Each(found, frozenset(name[:-1] for name in kinds if name.endswith("~")))

    def _choices(self, given: Json, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        return template.Choices(self.parse(given, (*path, "$choices"), known))

    def _if(self, given: Json, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        names = (*known, USAGE, ERROR, FILTERED, *ROWS)
        if not _is_echo(str(given), known):
            self._check_value(str(given), (*path, "$if"), names)
        fixed = "else" in shape  # then both are the same in every answer, and tell nothing that is to be read
        other = self.parse(shape["else"], (*path, "else"), ()) if fixed else None
        return template.If(str(given), self.parse(shape["then"], (*path, "then"), () if fixed else known), other)

    def _whole(self, given: Json, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        changes = self._mapping(given, (*path, "$whole"))
        for name in changes:
            self._check_value(name, (*path, "$whole", name), (*known, PARTS, USAGE))
        if self.whole is None:
            self.report((*path, "$whole"), "stands in events alone; this is the whole answer")
        return template.Whole(self.whole or template.Literal(None), changes)

    def _check_value(self, name: str, path: Path, known: Collection[str]) -> None:
        if name not in known:
            self.report(path, f"there is no value '{name}'; {nearest(name, known)}")

    def _rows(self, given: Json, shape: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> Node:
        if given not in ROWS:
            self.report((*path, "$rows"), f"no value '{given}' has rows; {nearest(str(given), ROWS)}")
        return template.Rows(str(given), self.parse(shape["of"], (*path, "of"), (*known, *ROWS.get(str(given), ()))))

    def _mapping(self, given: Json, path: Path) -> Mapping[str, Json]:
        if isinstance(given, Mapping):
            return given
        self.report(path, "must be a mapping")
        return {}


def _is_event(path: Path) -> bool:
    """Tell whether an event's data is at a path: an item of a moment, or what follows its condition or its rows."""
    steps = path[:-1] if path[-1] in ("then", "of") else path
    return path[0] == "stream" and isinstance(steps[-1], int) and all(isinstance(step, str) for step in steps[:-1])


def _is_echo(name: str, known: Collection[str]) -> bool:
    """Tell whether a hole is for a field of the request, in the template of an answer."""
    return _ECHOED.fullmatch(name) is not None and "id" in known


#: The words, with what stands beside each.
WORDS: Mapping[str, tuple[str, ...]] = {
    "$each": ("$each",), "$choices": ("$choices",), "$if": ("$if", "then"), "$whole": ("$whole",),
    "$rows": ("$rows", "of"),
}  # fmt: skip
#: What names an event outside of its data; it stands beside the data's fields.
EVENT = "$event"
#: What may stand beside a word, after what has to.
MAY_FOLLOW: Mapping[str, tuple[str, ...]] = {"$if": ("else",)}
_PARSE: Mapping[str, Callable[[Parser, Json, Mapping[str, Json], Path, tuple[str, ...]], Node]] = {
    "$each": Parser._each, "$choices": Parser._choices, "$if": Parser._if, "$whole": Parser._whole,
    "$rows": Parser._rows,
}  # fmt: skip
