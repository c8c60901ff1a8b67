"""Values that break a JSON Schema by one fault, each proved invalid by the validator.

    valid value ──applying──> the parts that hold at each place ──_FAULTS──> candidates ──verdict──> Mutation

A fault breaks one keyword at one place: a type, a bound just passed, a word that is not listed, a field gone or added.
Fields that the value leaves out are added with a fault of their own, so that every constraint of a body is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from zlib import crc32

from hypothesis import strategies as st

from emulator.contract.generation.subschemas import Document, pointer_of
from emulator.core.errors import Json
from emulator.core.schema.instances.instance import instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.schema.schema import path_of
from emulator.core.seeded_random import Draw

Operator = Literal[
    "retype", "below", "above", "shorten", "lengthen", "rename", "recase", "remove", "extend", "combine", "forbid"
]
Steps: TypeAlias = tuple[str | int, ...]
Change: TypeAlias = tuple[Operator, Json]
#: A part of the schema, the value that it holds for, that value's steps, and the nearest `$comment`.
Place: TypeAlias = tuple[Mapping[str, Json], Json, Steps, str]

#: What is put where another type belongs; the string and the number look like what they are not.
_OF_TYPE: Mapping[str, Json] = {
    "null": None, "boolean": True, "integer": 1, "number": 0.5, "string": "1", "array": [], "object": {},
}  # fmt: skip
_UNDOCUMENTED = "undocumented_field"
#: Longer lists are not drawn, as they make megabytes of a body; the phase coverage has each of them once.
MOST_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault: where, which keyword it breaks, how, and the value before and after (None where there is none).

    `comment` is the nearest `$comment` of the schema: it names the fact that the keyword rests on.
    """

    steps: Steps
    keyword: str
    operator: Operator
    before: Json
    after: Json
    comment: str = ""

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return pointer_of(self.steps)

    @property
    def path(self) -> str:
        """The place as errors name it: `messages[0].role`."""
        return path_of(self.steps)

    @property
    def mark(self) -> str:
        """What tells the value after from others of the same operator: of a list that became too long, its length."""
        too_long = isinstance(self.after, list) and self.operator == "lengthen"
        return str(len(self.after)) if too_long else repr(self.after)

    @property
    def alone(self) -> Mapping[str, Json]:
        """The field of the body that is wrong, as it is then; none where the fault lies deeper, or is the body's."""
        return {self.steps[0]: self.after} if len(self.steps) == 1 and isinstance(self.steps[0], str) else {}

    def apply(self, value: Json) -> Json:
        """Return the value with the fault; the value itself stays."""
        return _changed(value, self.steps, self)


class Mutator:
    """Finds the faults of one schema; what depends on the schema alone is found once."""

    def __init__(self, schema: Json, nulls: bool = False, reads: Callable[[Json], Json] | None = None) -> None:
        """Find the faults of a schema; without `nulls` null for an optional field of a body may be none.

        A body that `reads` makes valid has no fault.

        Raises: UnsupportedKeyword.
        """
        self.document = Document(schema)
        self._verdict, self._reads = self.document.verdict(schema), reads
        parts = [schema, *schema.get("allOf", ())] if isinstance(schema, Mapping) else []
        self.required = frozenset(name for part in parts for name in part.get("required", ()))
        self.nulls = nulls
        self._kept: dict[int, list[tuple[str, Operator, Json]]] = {}
        self._examples: dict[int, Json] = {}

    def valid(self, value: Json) -> bool:
        """Tell whether a value is valid."""
        return self._verdict(value) or (self._reads is not None and self._verdict(self._reads(value)))

    def several(self, valid: st.SearchStrategy[Json], faults: int) -> st.SearchStrategy[Sequence[Any]]:
        """Return a strategy of valid values, each before so many broken ones with their fault."""
        # one draw for each, and no strategy made for each value: generation is the larger part of a run's time
        numbers = [st.integers(0, 2**16 - 1)] * faults
        drawn = st.tuples(valid, *numbers).map(lambda drawn: [drawn[0], *map(self._picker(drawn[0]), drawn[1:])])
        return drawn.filter(lambda drawn: None not in drawn[1:])

    def _picker(self, value: Json) -> Callable[[int], tuple[Json, Mutation] | None]:
        """Return what finds a mutation of a valid value by number: each keyword as likely, however often it stands."""
        by_keyword: dict[str, list[Mutation]] = {}
        for mutation in self.candidates(value):
            if not (isinstance(mutation.after, list) and len(mutation.after) > MOST_ITEMS):
                by_keyword.setdefault(mutation.keyword, []).append(mutation)
        groups = list(by_keyword.values())
        first = crc32(repr(value).encode("utf-8", "replace"))  # what 0 stands for, which Hypothesis likes best

        def pick(number: int) -> tuple[Json, Mutation] | None:
            turn, group = divmod(number + first, len(groups) or 1)
            for mutations in (*groups[group:], *groups[:group]):
                for index in range(len(mutations)):
                    mutation = mutations[(turn + index) % len(mutations)]
                    if not self.valid(broken := mutation.apply(value)):
                        return broken, mutation
            return None

        return pick

    def breaks(self, value: Json, mutation: Mutation) -> bool:
        """Tell whether a valid value is invalid with this fault."""
        return not self.valid(mutation.apply(value))

    def candidates(self, value: Json) -> Iterator[Mutation]:
        """Yield what may be a fault, not proved yet, each once."""
        seen: set[tuple[Steps, str, str]] = set()
        for part, found, steps, comment in self.applying(self.document.schema, value, ()):
            for mutation in self.at(part, found, steps, comment, value):
                known = (mutation.steps, mutation.operator, mutation.mark)
                if known not in seen and not self.leaves_out(mutation):
                    seen.add(known)
                    yield mutation

    def leaves_out(self, mutation: Mutation) -> bool:
        """Tell whether a fault is null for an optional field of a body, where that is as good as leaving it out."""
        if self.nulls:
            return False
        to_null = mutation.after is None and mutation.operator != "remove"
        return to_null and len(mutation.steps) == 1 and mutation.steps[0] not in self.required

    def applying(self, part: Json, value: Json, steps: Steps, comment: str = "") -> Iterator[Place]:
        """Yield every part of the schema that holds for a place of a valid value, with the nearest `$comment`."""
        if not isinstance(part, Mapping):
            return
        comment = part.get("$comment", comment)
        yield part, value, steps, comment
        for item in self.meant(part, value):
            yield from self.applying(item, value, steps, comment)
        if isinstance(value, Mapping):
            for name, item in part.get("properties", {}).items():
                if name in value:
                    yield from self.applying(item, value[name], (*steps, name), comment)
        if isinstance(value, list) and "items" in part:
            for index, item in enumerate(value):
                yield from self.applying(part["items"], item, (*steps, index), comment)

    def meant(self, part: Mapping[str, Json], value: Json) -> Iterator[Json]:
        """Yield the parts that hold for a value because this one does: those beside it, and the branches that fit."""
        yield from self.beside(part)
        for item in (*part.get("anyOf", ()), *part.get("oneOf", ())):
            if self.document.verdict(item)(value):
                yield item
        if "if" in part:
            yield part.get("then" if self.document.verdict(part["if"])(value) else "else")

    def beside(self, part: Mapping[str, Json]) -> Iterator[Json]:
        """Yield the parts that hold wherever this one does."""
        if "$ref" in part:
            yield self.document.follow(part["$ref"])
        yield from part.get("allOf", ())

    def at(self, part: Mapping[str, Json], value: Json, steps: Steps, comment: str, whole: Json) -> Iterator[Mutation]:
        """Yield the faults of one part at one place of the whole."""
        yield from (Mutation(steps, keyword, how, value, after, comment) for keyword, how, after in self.own(part))
        if isinstance(value, list):
            yield from _of_list(part, value, steps, comment)
        if isinstance(value, Mapping):
            yield from self.of_object(part, value, steps, comment, whole)

    def own(self, part: Mapping[str, Json]) -> list[tuple[str, Operator, Json]]:
        """Return the faults that depend on a part alone, whatever value is there."""
        if id(part) not in self._kept:
            found = [(keyword, find(part[keyword], part)) for keyword, find in _FAULTS.items() if keyword in part]
            self._kept[id(part)] = [(keyword, *change) for keyword, changes in found for change in changes]
        return self._kept[id(part)]

    def of_object(
        self, part: Mapping[str, Json], value: Mapping[str, Json], steps: Steps, comment: str, whole: Json
    ) -> Iterator[Mutation]:
        for name in part.get("required", ()):
            yield Mutation((*steps, name), "required", "remove", value.get(name), None, comment)
        if part.get("additionalProperties") is False:
            yield Mutation((*steps, _UNDOCUMENTED), "additionalProperties", "extend", None, 1, comment)
        if "maxProperties" in part:
            good = self.example(part.get("additionalProperties", True))
            names = (f"more_{number}" for number in range(part["maxProperties"] + 1 - len(value)))
            yield Mutation(steps, "maxProperties", "extend", value, {**value, **dict.fromkeys(names, good)}, comment)
        forbidden = part.get("not")
        if isinstance(forbidden, Mapping) and "required" in forbidden:
            known = {**self.document.schema.get("properties", {}), **part.get("properties", {})}
            more = {name: self.example(known.get(name, True)) for name in forbidden["required"] if name not in value}
            yield Mutation(steps, "not", "combine", value, {**value, **more}, comment)
        for name, item in part.get("properties", {}).items():
            at = (*steps, name)
            good = Mutation(at, "", "extend", None, self.example(item))  # else adding a bad one is two faults
            if name not in value and self.valid(_changed(whole, at, good)):
                for keyword, operator, after, nearer in self.shallow(item, set(), comment):
                    yield Mutation(at, keyword, operator, None, after, nearer)

    def shallow(self, part: Json, seen: set[int], comment: str) -> Iterator[tuple[str, Operator, Json, str]]:
        """Yield the faults of a field that a value leaves out: its own, and those of all that it could be."""
        if not isinstance(part, Mapping) or id(part) in seen:
            return
        seen.add(id(part))
        comment = part.get("$comment", comment)
        yield from ((*fault, comment) for fault in self.own(part))
        for item in (*self.beside(part), *part.get("anyOf", ()), *part.get("oneOf", ())):
            yield from self.shallow(item, seen, comment)

    def example(self, part: Json) -> Json:
        """Return a good value of a field, made once."""
        if id(part) not in self._examples:
            self._examples[id(part)] = None
            with suppress(CannotConform):
                self._examples[id(part)] = instance(self.document.alone(part), Draw("mutation"))
        return self._examples[id(part)]


def _changed(value: Json, steps: Steps, mutation: Mutation) -> Json:
    if not steps:
        return mutation.after
    step, rest = steps[0], steps[1:]
    if isinstance(value, list) and isinstance(step, int):
        return [*value[:step], _changed(value[step], rest, mutation), *value[step + 1 :]]
    if mutation.operator == "remove" and not rest:
        return {name: item for name, item in value.items() if name != step}
    return {**value, step: _changed(value.get(step), rest, mutation)}


def _of_list(part: Mapping[str, Json], value: list[Json], steps: Steps, comment: str) -> Iterator[Mutation]:
    if part.get("minItems", 0) > 0:
        yield Mutation(steps, "minItems", "shorten", value, value[: part["minItems"] - 1], comment)
    if "maxItems" in part and value:
        more = value[-1:] * (part["maxItems"] + 1 - len(value))
        yield Mutation(steps, "maxItems", "lengthen", value, value + more, comment)


def _other_types(allowed: Json, part: Json) -> Iterator[Change]:
    names = {allowed} if isinstance(allowed, str) else set(allowed)
    for name, sample in _OF_TYPE.items():
        if name not in names and not (name == "integer" and "number" in names):
            yield "retype", sample


def _other_words(words: Json, part: Json) -> Iterator[Change]:
    for word in words:
        if isinstance(word, str):
            yield "rename", f"{word}x"
            yield "recase", word.swapcase()
    yield "rename", None


def _past(keyword: str, value: Any, part: Mapping[str, Json]) -> Json:
    """Return a number just past a bound, by a step that a decimal of two places shows; past a large one by far."""
    if abs(value) >= 2**53:
        return 2.0 * value
    step = 1 if "integer" in part.get("type", ()) else 0.01
    return round(value - step if "inimum" in keyword else value + step, 2)


_FAULTS: Mapping[str, Callable[[Any, Mapping[str, Json]], Iterator[Change]]] = {
    "type": _other_types,
    "const": lambda value, part: _other_words([value], part),
    "enum": _other_words,
    "minimum": lambda value, part: iter([("below", _past("minimum", value, part))]),
    "maximum": lambda value, part: iter([("above", _past("maximum", value, part))]),
    "exclusiveMinimum": lambda value, part: iter([("below", value)]),
    "exclusiveMaximum": lambda value, part: iter([("above", value)]),
    "minLength": lambda value, part: iter([("shorten", "x" * (value - 1))] if value else []),
    "maxLength": lambda value, part: iter([("lengthen", "x" * (value + 1))]),
    "pattern": lambda value, part: iter([("rename", ""), ("rename", "~"), ("rename", "\x00")]),
    "not": lambda value, part: iter([("forbid", value["const"])] if "const" in value else []),
}
