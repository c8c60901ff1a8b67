"""What a schema from outside can cost: its shape is checked before it is compiled, and each value before it is judged.

The fast validator meets a subschema once for each way that leads to it, and nothing stops it. So the ways are counted:

    visits(part, levels) = 1 + those of what meets the same value + those of what meets its parts, a level down

A value cannot take more than its size times the visits of the whole schema, as many levels down as the value has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from emulator.core.durations import whole_number
from emulator.core.errors import Json, shown
from emulator.core.schema.bounds import check_size, patterns, positions
from emulator.core.tree import parts

#: Visits that one value may get from one subschema, by references and unions, without a step into the value.
MAX_HERE = 5_000
#: How many references and unions may lead from one subschema to the next without such a step.
MAX_CHAIN = 60
#: How many subschemas may lead to one.
MAX_DEEP = 400
#: How many subschemas are weighed, one that is met on several levels of the value on each.
MAX_WEIGHED = 20_000
#: What `unevaluatedProperties` and `unevaluatedItems` multiply: what stands beside them is met again, for what it saw.
AGAIN = 3
#: Steps of about 8 ns: a visit, a comparison with a list or object, a division, a character at one place of a pattern.
VISIT, COMPARISON, DIVISION, LETTER = 4, 400, 4_000, 2

#: More levels are not written as JSON.
MAX_LEVELS = 255

TOO_LARGE = "is too large: its references and unions lead on too often"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_UNEVALUATED = {"unevaluatedProperties", "unevaluatedItems"}
#: Keywords whose subschemas may all meet the same value: that of their schema, or one of its items or fields.
_PARTS = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"), 0),
    **dict.fromkeys(("items", "prefixItems", "contains", "additionalItems", "additionalProperties", "patternProperties",
                     "propertyNames", "unevaluatedItems", "unevaluatedProperties"), 1),
}  # fmt: skip
_BY_NAME = ("dependentSchemas", "dependencies", "patternProperties")


class TooCostly(ValueError):
    """A value is too large for the schema or the pattern that would judge it; the message says which."""


class Weight(NamedTuple):
    """Visits of the value itself; steps for each place in it, the whole too; steps for each character of its texts."""

    here: int
    steps: int
    letters: int


class Part(NamedTuple):
    """A subschema: what it takes by itself, and those that meet the same value, what is in it, or one field each."""

    own: Weight
    same: list[Json]
    below: list[Json]
    fields: Iterable[Json]
    times: int  # how often those that meet the same value do


class Cost:
    """Counts what judging a value by a schema can take, every `$ref` followed."""

    __slots__ = ("compiled", "known", "read", "root", "totals")

    def __init__(self, document: Json) -> None:
        """Check a schema: `compiled` is what its compiler unrolls.

        Raises: ValueError, for one that is too large, meets itself, or refers in ways that are not followed.
        """
        check_size(document)
        self.root = document
        self.read: dict[int, Part] = {}  # by identity
        self.known: dict[tuple[int, int], Weight] = {}  # by identity and the levels below
        self.totals: dict[int, Weight | None] = {}  # of the whole, by levels
        self.compiled = self._check()

    def at_most(self, size: int) -> int | None:
        """Return the most steps that a value of so many bytes of JSON can take; None where nobody can say."""
        most = self._total(MAX_LEVELS)
        return most.steps * (size // 2 + 1) + most.letters * size if most else None

    def of(self, value: Json) -> int:
        """Return the steps of about 8 ns that judging a value can take. Raises: TooCostly, where nobody can say."""
        places, letters, levels = measure(value)
        weight = self._total(levels)
        if weight is None:
            raise TooCostly(f"the schema is too large for a value of {levels} levels")
        return weight.steps * places + weight.letters * letters

    def _total(self, levels: int) -> Weight | None:
        """Return the weight of the whole for values of so many levels; None where it is too large to be told."""
        if levels not in self.totals:
            self.known.clear()
            try:
                self.totals[levels] = self.weigh(self.root, levels)
            except ValueError:
                self.totals[levels] = None
        return self.totals[levels]

    def _check(self) -> int:
        """Weigh what meets one value, at each subschema: that is unrolled where unevaluated fields are looked for."""
        compiled, seen = 0, set()
        left = [self.root]
        while left:
            schema = left.pop()
            if isinstance(schema, dict) and id(schema) not in seen:
                seen.add(id(schema))
                weight = self.weigh(schema, 0)
                part = self.read[id(schema)]
                compiled += weight.here if part.times > 1 else 0
                left += [*part.same, *part.below, *part.fields]
        if compiled > MAX_HERE:
            raise ValueError(TOO_LARGE)
        return compiled

    def weigh(self, schema: Json, levels: int, above: tuple[int, ...] = (), deep: int = 0) -> Weight:
        """Return the weight of a subschema for values of so many levels; `above` are those that meet the same value.

        Raises: ValueError, for one that is too heavy, meets itself, or refers in ways that are not followed.
        """
        if not isinstance(schema, dict):
            return _LEAF
        if id(schema) in above:
            raise ValueError("refers to itself without end")
        name = id(schema), levels
        if name not in self.known:
            if len(above) > MAX_CHAIN or deep > MAX_DEEP or len(self.known) >= MAX_WEIGHED:
                raise ValueError(TOO_LARGE)
            if id(schema) not in self.read:
                self.read[id(schema)] = self._part(schema)
            weight = self._sum(self.read[id(schema)], levels, (*above, id(schema)), deep + 1)
            if weight.here > MAX_HERE:
                raise ValueError(TOO_LARGE)
            self.known[name] = weight
        return self.known[name]

    def _sum(self, part: Part, levels: int, above: tuple[int, ...], deep: int) -> Weight:
        here, steps, letters = part.own
        for item in part.same:
            weight = self.weigh(item, levels, above, deep)
            here += part.times * weight.here
            steps += part.times * weight.steps
            letters += part.times * weight.letters
        if not levels:
            return Weight(here, steps, letters)
        for item in part.below:
            weight = self.weigh(item, levels - 1, (), deep)
            steps, letters = steps + weight.steps, letters + weight.letters
        most_steps = most_letters = 0  # each field meets a value of its own, so the heaviest counts
        for item in part.fields:
            weight = self.weigh(item, levels - 1, (), deep)
            most_steps, most_letters = max(most_steps, weight.steps), max(most_letters, weight.letters)
        return Weight(here, steps + most_steps, letters + most_letters)

    def _part(self, schema: Mapping[str, Json]) -> Part:
        """Read a subschema; what it refers to by pointer, within the document, meets the same value."""
        if schema is not self.root and isinstance(schema.get("$id"), str):
            raise ValueError("has an $id inside; only '#/…' of the whole is followed")
        same = [self._target(schema[keyword]) for keyword in _REFERENCES if isinstance(schema.get(keyword), str)]
        below: list[Json] = []
        for keyword in schema.keys() & _PARTS.keys():
            inner, by_name = schema[keyword], keyword in _BY_NAME and isinstance(schema[keyword], dict)
            (below if _PARTS[keyword] else same).extend(parts(inner) if isinstance(inner, list) or by_name else [inner])
        steps = VISIT + sum(_OWN[keyword](schema[keyword]) for keyword in schema.keys() & _OWN.keys())
        own = Weight(1, steps, LETTER * sum(map(positions, patterns([schema]))))
        times = 1 if schema.keys().isdisjoint(_UNEVALUATED) else AGAIN
        return Part(own, same, below, parts(schema.get("properties")), times)

    def _target(self, to: str) -> Json:
        if to != "#" and not to.startswith("#/"):
            raise ValueError(f"refers to {shown(to)}; only '#/…' is followed")
        part = follow(self.root, to)
        if part is None:
            raise ValueError(f"refers to {shown(to)}, where no schema stands")
        return part


def follow(root: Json, pointer: str) -> Json:
    """Return what a local `$ref` points to; None where there is nothing."""
    node = root if pointer in ("#", "") or pointer.startswith("#/") else None
    for step in unquote(pointer).removeprefix("#").split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and (number := whole_number(step)) is not None:
            node = node[number] if number < len(node) else None
        else:
            node = node.get(step) if isinstance(node, Mapping) else None
    return node


def measure(value: Json) -> tuple[int, int, int]:
    """Return how many values JSON holds, itself too, the characters of its texts and names, and its levels."""
    places, letters, levels = 1, 0, 0
    layer = [value]
    while True:
        letters += sum([len(item) for item in layer if item.__class__ is str])
        inner = [item for item in layer if item and item.__class__ in (dict, list)]
        if not inner:
            return places, letters, levels
        letters += sum([len(name) for item in inner if item.__class__ is dict for name in item])
        layer = [part for item in inner for part in parts(item)]
        places, levels = places + len(layer), levels + 1


def _listed(names: Json) -> int:
    return 3 * VISIT * sum(1 + len(list(parts(item))) for item in parts(names))


def _compared(values: Json) -> int:
    """Lists and objects are compared one by one; other words are looked up."""
    return COMPARISON * measure(values)[0] if any(item.__class__ in (dict, list) for item in parts(values)) else 0


_LEAF = Weight(1, VISIT, 0)
_OWN: Mapping[str, Callable[[Json], int]] = {
    **dict.fromkeys(("required", "dependentRequired", "dependentSchemas", "dependencies"), _listed),
    "enum": _compared,
    "const": lambda value: _compared([value]),
    "multipleOf": lambda value: DIVISION,
    "uniqueItems": lambda value: 3 * VISIT,
}
