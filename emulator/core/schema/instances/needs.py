"""What a value must be where several schemas hold at once: references followed, `allOf` taken together, of each union
one branch.

Which branch it is depends on the turn: they are counted through, so that enough turns try every combination. What only
judging tells (`not`, that no other branch of `oneOf` fits) is left to who tries the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.schema.cost import follow
from emulator.core.tree import canonical

#: How many bytes of `enum` and `const` are compared in a step.
COMPARED = 100
#: Up to which turn combinations of branches are counted through; later ones are drawn.
MOST_COUNTED = 30
#: Keywords of a schema that may lead on: where a value is deep already, branches without them are taken first.
_LEADS_ON = frozenset(("$ref", "allOf", "anyOf", "oneOf", "properties", "items", "prefixItems", "additionalProperties"))
#: The kinds of values that each `type` allows; what is the customary one stands first.
KINDS: Mapping[str, Sequence[str]] = {
    **{name: (name,) for name in ("object", "array", "string", "integer", "boolean", "null")},
    "number": ("number", "integer"),
}
#: What a schema without `type` is about, by the keywords that it has.
_ABOUT = {
    "object": ("properties", "required", "patternProperties", "additionalProperties", "propertyNames", "minProperties",
               "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
    "array": ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
_ALL_KINDS = ("string", "object", "array", "number", "integer", "boolean", "null")


class CannotConform(ValueError):
    """No conforming value was found; the message says for what."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the ways in which a value is made: 0 with all that is optional, 1 without, others vary what they can."""

    number: int = 0
    deep: bool = False

    @property
    def lean(self) -> bool:
        return self.deep or self.number.bit_count() % 2 == 1  # so that it goes with each kind, and each branch

    def label(self, path: str) -> str:
        """Return by what is drawn at a path, so that each way draws anew."""
        return f"{path}~{self.number}" if self.number > 1 else path

    @property
    def varied(self) -> int:
        """How many ways were tried before this one, of those that vary."""
        return max(0, self.number - 1)


@dataclass(slots=True)
class Needs:
    """What is needed, of each keyword what all schemas say together."""

    kinds: list[str] | None = None
    about: dict[str, None] = field(default_factory=dict)
    choices: list[Json] | None = None
    guesses: list[list[Json]] = field(default_factory=list)  # examples and defaults
    lows: list[tuple[Json, bool]] = field(default_factory=list)  # whether the bound itself is out
    highs: list[tuple[Json, bool]] = field(default_factory=list)
    steps: list[Json] = field(default_factory=list)
    least: dict[str, int] = field(default_factory=dict)  # by Length, Items, Properties
    most: dict[str, int] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    fields: list[tuple[Mapping[str, Json], Mapping[str, Json], Json]] = field(default_factory=list)
    rows: list[tuple[Sequence[Json], Json]] = field(default_factory=list)  # None: nothing is said of the rest
    contains: list[tuple[Json, int, int | None]] = field(default_factory=list)
    unique: bool = False
    required: dict[str, None] = field(default_factory=dict)
    names: list[Json] = field(default_factory=list)
    brings: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    applies: list[tuple[str, Json]] = field(default_factory=list)
    other_fields: list[Json] = field(default_factory=list)
    other_items: list[Json] = field(default_factory=list)
    spare: int = 0  # what is left of a turn's number once each union has its branch

    def kind(self, lean: bool) -> str:
        """Choose a kind; null last, unless little is wanted."""
        kinds = self.kinds
        if kinds is None:
            kinds = [*self.about, *(name for name in _ALL_KINDS if name not in self.about)]
        if not kinds:
            raise CannotConform("'type' leaves no value")
        ordered = sorted(kinds, key=lambda name: (name == "null") is not lean)
        return ordered[self.spare % len(ordered)]

    def field(self, name: str, matches: Callable[[str, str], bool]) -> list[Json]:
        """Return the schemas of a field."""
        found: list[Json] = []
        covered = False
        for properties, patterns, rest in self.fields:
            own = [properties[name]] if name in properties else []
            own += [schema for pattern, schema in patterns.items() if matches(pattern, name)]
            own = own or ([] if rest is None else [rest])
            covered = covered or bool(own)
            found += own
        return found if covered else [*found, *self.other_fields]

    def item(self, index: int) -> list[Json]:
        """Return the schemas of an item."""
        found: list[Json] = []
        for prefix, rest in self.rows:
            own = prefix[index] if index < len(prefix) else rest
            found += [] if own is None else [own]
        return found or list(self.other_items)

    @property
    def prefix(self) -> int:
        """How many items have schemas of their own."""
        return max((len(prefix) for prefix, _ in self.rows), default=0)


class Collector:
    """Collects the needs of schemas of one document; `spend` is called for each schema that is looked at."""

    def __init__(self, root: Json, old: bool, spend: Callable[[int], None], draw: Draw) -> None:
        self.root, self.spend, self.draw = root, spend, draw
        self._keywords = _DRAFT_07 if old else _DRAFT_2020
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
        needs = into or Needs()
        left = [schema]
        branches, unions = turn.varied, 0
        while left:
            part = left.pop(0)
            self.spend(1)
            if part is False:
                raise CannotConform("'false' allows no value")
            if not isinstance(part, Mapping):
                continue
            inner = list(self._held(part))
            if self.old and "$ref" in part:
                part = {}
            for union in self._unions(part):
                ordered = sorted(union, key=lambda branch: _weight(branch, turn))
                unions += 1
                if turn.number > MOST_COUNTED:  # there are too many combinations to count through
                    index = self.draw.below(f"{turn.number}/{unions}", len(ordered))
                else:
                    branches, index = divmod(branches, len(ordered))
                inner.append(ordered[index])
            left[:0] = inner
            for keyword in part:
                if keyword in ("enum", "const") and needs.choices is not None:  # they are compared
                    self.spend((len(canonical(needs.choices)) + len(canonical(part[keyword]))) // COMPARED)
                if keyword in self._keywords:
                    self._keywords[keyword](needs, part[keyword], part)
            for kind, keywords in _ABOUT.items() if "type" not in part else ():
                if not part.keys().isdisjoint(keywords):
                    needs.about.setdefault(kind)
        needs.spare = branches
        return needs

    def _held(self, part: Mapping[str, Json]) -> Iterator[Json]:
        """Yield the schemas that hold for the same value as a part."""
        if isinstance(part.get("$ref"), str):
            yield follow(self.root, part["$ref"])
            if self.old:
                return
        yield from part.get("allOf", ())

    def _unions(self, part: Mapping[str, Json]) -> Iterator[Sequence[Json]]:
        """Yield lists of branches, of each of which one is to be taken."""
        for keyword in ("anyOf", "oneOf"):
            if part.get(keyword):
                yield part[keyword]
        if "if" in part and ("then" in part or "else" in part):
            asked = part["if"]
            other = self.joined([asked], "not")
            yield [
                self.joined([asked, part.get("then", True)]),
                self.joined([other, part.get("else", True)]),
            ]
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
    out = {kind for name in ([value] if isinstance(value, str) else value) for kind in KINDS[name]}
    others = [kind for kind in _ALL_KINDS if kind not in out]
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


# Keywords


def _type(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    allowed = list(
        dict.fromkeys(kind for name in ([value] if isinstance(value, str) else value) for kind in KINDS[name])
    )
    needs.kinds = allowed if needs.kinds is None else [kind for kind in needs.kinds if kind in allowed]


def _enum(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    if needs.choices is None:
        needs.choices = list(value)
    else:
        known = {canonical(item) for item in value}
        needs.choices = [item for item in needs.choices if canonical(item) in known]


def _low(exclusive: bool) -> Handler:
    return lambda needs, value, schema: needs.lows.append((value, exclusive))


def _high(exclusive: bool) -> Handler:
    return lambda needs, value, schema: needs.highs.append((value, exclusive))


def _least(name: str) -> Handler:
    def handle(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
        needs.least[name] = max(needs.least.get(name, 0), int(value))

    return handle


def _most(name: str) -> Handler:
    def handle(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
        needs.most[name] = min(needs.most.get(name, int(value)), int(value))

    return handle


def _fields(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    """Take the three keywords about fields together, at the first of them."""
    first = next(name for name in schema if name in _FIELDS)
    if schema[first] is value:
        scope = schema.get("properties", {}), schema.get("patternProperties", {}), schema.get("additionalProperties")
        needs.fields.append(scope)


_FIELDS = ("properties", "patternProperties", "additionalProperties")


def _items(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    if "prefixItems" not in schema or value is schema["prefixItems"]:
        needs.rows.append((schema.get("prefixItems", ()), schema.get("items")))


def _old_items(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    several = isinstance(value, list)
    needs.rows.append((value, schema.get("additionalItems")) if several else ((), value))


def _contains(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    most = schema.get("maxContains")
    needs.contains.append((value, int(schema.get("minContains", 1)), None if most is None else int(most)))


def _unique(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    needs.unique = needs.unique or value is True


def _dependencies(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    for name, asked in value.items():
        if isinstance(asked, list):
            needs.brings.append((name, asked))
        else:
            needs.applies.append((name, asked))


Handler = Callable[[Needs, Json, Mapping[str, Json]], None]
_COMMON: Mapping[str, Handler] = {
    "type": _type,
    "enum": _enum,
    "const": lambda needs, value, schema: _enum(needs, [value], schema),
    "examples": lambda needs, value, schema: needs.guesses.append(value) if value else None,
    "default": lambda needs, value, schema: needs.guesses.append([value]),
    "minimum": _low(False),
    "exclusiveMinimum": _low(True),
    "maximum": _high(False),
    "exclusiveMaximum": _high(True),
    "multipleOf": lambda needs, value, schema: needs.steps.append(value),
    **{f"min{name}": _least(name) for name in ("Length", "Items", "Properties")},
    **{f"max{name}": _most(name) for name in ("Length", "Items", "Properties")},
    "pattern": lambda needs, value, schema: needs.patterns.append(value),
    "format": lambda needs, value, schema: needs.formats.append(value),
    **dict.fromkeys(_FIELDS, _fields),
    "required": lambda needs, value, schema: needs.required.update(dict.fromkeys(value)),
    "propertyNames": lambda needs, value, schema: needs.names.append(value),
    "uniqueItems": _unique,
}
_DRAFT_07: Mapping[str, Handler] = {
    **_COMMON,
    "items": _old_items,
    "contains": lambda needs, value, schema: needs.contains.append((value, 1, None)),
    "dependencies": _dependencies,
}
_DRAFT_2020: Mapping[str, Handler] = {
    **_COMMON,
    "items": _items,
    "prefixItems": _items,
    "contains": _contains,
    "dependentRequired": lambda needs, value, schema: needs.brings.extend(value.items()),
    "dependentSchemas": lambda needs, value, schema: needs.applies.extend(value.items()),
    "unevaluatedProperties": lambda needs, value, schema: needs.other_fields.append(value),
    "unevaluatedItems": lambda needs, value, schema: needs.other_items.append(value),
}
