"""What a value must be where several schemas hold at once: references followed, `allOf` taken together, of each union
one branch.

Which branch it is depends on the turn: they are counted through, so that enough turns try every combination. What only
judging tells (`not`, that no other branch of `oneOf` fits) is left to who tries the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from emulator.core.errors import Json
from emulator.core.schema.cost import follow
from emulator.core.schema.instances.needs import ALL_KINDS, KINDS, CannotConform, Needs, Turn
from emulator.core.seeded_random import Draw
from emulator.core.tree import canonical, listed

#: How many bytes of `enum` and `const` are compared in a step.
COMPARED = 100
#: Up to which turn combinations of branches are counted through; later ones are drawn.
MOST_COUNTED = 30
#: Keywords that give the values that there are.
_GIVEN = ("enum", "const")
#: Keywords of a schema that may lead on: where a value is deep already, branches without them are taken first.
_LEADS_ON = frozenset(("$ref", "allOf", "anyOf", "oneOf", "properties", "items", "prefixItems", "additionalProperties"))


class Collector:
    """Collects the needs of schemas of one document; `spend` is called for each schema that is looked at."""

    def __init__(self, root: Json, old: bool, spend: Callable[[int], None], draw: Draw) -> None:
        self.root, self.spend, self.draw = root, spend, draw
        self.old = old
        self._opposites: dict[int, tuple[Sequence[Json], Json]] = {}  # by identity, which what is kept keeps
        self._joined: dict[tuple[int, ...], tuple[Json, Sequence[Json]]] = {}

    def joined(self, schemas: Sequence[Json], keyword: str = "allOf") -> Json:
        """Return one schema for several: the same one each time, so that what is known of it can be kept."""
        if len(schemas) == 1 and keyword == "allOf":
            return schemas[0]
        name = (hash(keyword), *map(id, schemas))
        if name not in self._joined:
            joined: Json = {keyword: list(schemas) if keyword == "allOf" else schemas[0]} if schemas else True
            self._joined[name] = joined, schemas
        return self._joined[name][0]

    def collect(self, schema: Json, turn: Turn, into: Needs | None = None) -> Needs:
        """Return what a schema needs in a turn, together with what was needed before."""
        needs = into or Needs(self.old)
        left = [schema]
        branches, unions = turn.varied, 0
        while left:
            part = left.pop(0)
            self.spend(1)
            if part is False:
                raise CannotConform("'false' allows no value")
            if not isinstance(part, Mapping):
                continue
            if self.old and "$ref" in part:  # nothing beside it counts
                part = {"$ref": part["$ref"]}
            inner = [follow(self.root, part["$ref"])] if isinstance(part.get("$ref"), str) else []
            inner += part.get("allOf", ())
            for union in self._unions(part):
                ordered = sorted(union, key=lambda branch: _weight(branch, turn))
                unions += 1
                if turn.number > MOST_COUNTED:  # there are too many combinations to count through
                    index = self.draw.below(f"{turn.number}/{unions}", len(ordered))
                else:
                    branches, index = divmod(branches, len(ordered))
                inner.append(ordered[index])
            left[:0] = inner
            needs.add(part)
            for values in [[value] if name == "const" else value for name, value in part.items() if name in _GIVEN]:
                if needs.choices is not None:  # they are compared
                    self.spend((len(canonical(needs.choices)) + len(canonical(values))) // COMPARED)
                needs.choose(values)
        needs.spare = branches
        return needs

    def _unions(self, part: Mapping[str, Json]) -> Iterator[Sequence[Json]]:
        """Yield lists of branches, of each of which one is to be taken."""
        for keyword in ("anyOf", "oneOf"):
            if part.get(keyword):
                yield part[keyword]
        if "if" in part and ("then" in part or "else" in part):
            asked = part["if"]
            other = self.joined([asked], "not")
            yield [self.joined([asked, part.get("then", True)]), self.joined([other, part.get("else", True)])]
        if "not" in part:
            out = part["not"]
            if id(out) not in self._opposites:
                self._opposites[id(out)] = list(_opposites(out, self.root)) or [False], out
            yield self._opposites[id(out)][0]


def _weight(branch: Json, turn: Turn) -> tuple[bool, bool, bool]:
    """Order branches: those that can be, those that end, those that are more than null."""
    leads = turn.deep and isinstance(branch, Mapping) and not _LEADS_ON.isdisjoint(branch)
    null = isinstance(branch, Mapping) and branch.get("type") == "null"
    return branch is False, leads, null is not (turn.number == 1)


def _opposites(schema: Json, root: Json) -> Iterator[Json]:
    """Yield schemas of which each breaks one keyword of a schema; what is `True` leaves that to chance."""
    if not isinstance(schema, Mapping):
        yield schema is False
        return
    for keyword, value in schema.items():
        if keyword in _OPPOSITES:
            kind, opposites = _OPPOSITES[keyword]
            yield from ({"type": kind, **opposite} if kind else opposite for opposite in opposites(value))
        elif keyword == "not":
            yield value
        elif keyword == "$ref":
            yield {"not": follow(root, value)}
        elif keyword not in ("then", "else", "$defs", "definitions"):
            yield True


def _other_kinds(value: Json) -> list[Json]:
    out = {kind for name in listed(value) for kind in KINDS[name]}
    others = [kind for kind in ALL_KINDS if kind not in out]
    return [{"type": others}] if others else []


#: By keyword: of which kind a value is that breaks it, and what breaks it then.
_OPPOSITES: Mapping[str, tuple[str, Callable[[Json], Sequence[Json]]]] = {
    "type": ("", _other_kinds),
    "minimum": ("number", lambda value: [{"exclusiveMaximum": value}]),
    "maximum": ("number", lambda value: [{"exclusiveMinimum": value}]),
    "exclusiveMinimum": ("number", lambda value: [{"maximum": value}]),
    "exclusiveMaximum": ("number", lambda value: [{"minimum": value}]),
    "minLength": ("string", lambda value: [{"maxLength": value - 1}] if value else []),
    "maxLength": ("string", lambda value: [{"minLength": value + 1}]),
    "minItems": ("array", lambda value: [{"maxItems": value - 1}] if value else []),
    "maxItems": ("array", lambda value: [{"minItems": value + 1}]),
    "minProperties": ("object", lambda value: [{"maxProperties": value - 1}] if value else []),
    "maxProperties": ("object", lambda value: [{"minProperties": value + 1}]),
    "required": ("object", lambda value: [{"properties": {name: False}} for name in value]),
    "properties": ("object", lambda value: [
        {"required": [name], "properties": {name: {"not": schema}}} for name, schema in value.items()]),
    "contains": ("array", lambda value: [{"items": {"not": value}}]),
    "anyOf": ("", lambda value: [{"allOf": [{"not": schema} for schema in value]}]),
    "allOf": ("", lambda value: [{"not": schema} for schema in value]),
}  # fmt: skip
