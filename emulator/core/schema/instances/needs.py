"""What a value must be where several schemas hold at once, in the two drafts that are read, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.core.errors import Json
from emulator.core.tree import canonical, listed

#: The kinds of values that each `type` allows; what is the customary one stands first.
KINDS: Mapping[str, Sequence[str]] = {
    **{name: (name,) for name in ("object", "array", "string", "integer", "boolean", "null")},
    "number": ("number", "integer"),
}
ALL_KINDS = ("string", "object", "array", "number", "integer", "boolean", "null")
#: What a schema without `type` is about, by the keywords that it has.
_ABOUT = {
    "object": ("properties", "required", "patternProperties", "additionalProperties", "propertyNames", "minProperties",
               "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
    "array": ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
_FIELDS = ("properties", "patternProperties", "additionalProperties")


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
    """What is needed: `parts` are the schemas that hold; what a keyword asks for is what all of them say together."""

    old: bool  # they are of draft-07
    parts: list[Mapping[str, Json]] = field(default_factory=list)
    choices: list[Json] | None = None  # by `enum` and `const`
    required: dict[str, None] = field(default_factory=dict)
    spare: int = 0  # what is left of a turn's number once each union has its branch

    def add(self, part: Mapping[str, Json]) -> None:
        self.parts.append(part)
        self.required.update(dict.fromkeys(part.get("required", ())))

    def choose(self, values: Sequence[Json]) -> None:
        """Leave of what there can be what is among some values."""
        if self.choices is None:
            self.choices = list(values)
        else:
            known = {canonical(item) for item in values}
            self.choices = [item for item in self.choices if canonical(item) in known]

    def said(self, *keywords: str) -> list[Json]:
        """Return what the schemas say by some keywords."""
        return [part[keyword] for part in self.parts for keyword in keywords if keyword in part]

    def least(self, what: str, usual: int = 0) -> int:
        """Return the least of Length, Items, or Properties."""
        return max(map(int, self.said(f"min{what}")), default=usual)

    def most(self, what: str, usual: int) -> int:
        return min(map(int, self.said(f"max{what}")), default=usual)

    @property
    def lows(self) -> list[tuple[Json, bool]]:
        """Lower bounds, and whether the bound itself is out."""
        return [(low, False) for low in self.said("minimum")] + [(low, True) for low in self.said("exclusiveMinimum")]

    @property
    def highs(self) -> list[tuple[Json, bool]]:
        return [(top, False) for top in self.said("maximum")] + [(top, True) for top in self.said("exclusiveMaximum")]

    @property
    def patterns(self) -> list[str]:
        return self.said("pattern")

    @property
    def guesses(self) -> Sequence[Json]:
        """The first examples, or the default."""
        given = [(keyword, value) for part in self.parts for keyword, value in part.items()]
        guesses = ([value] if keyword == "default" else value for keyword, value in given
                   if keyword == "default" or (keyword == "examples" and value))  # fmt: skip
        return next(guesses, ())

    def kind(self, lean: bool) -> str:
        """Choose a kind; null last, unless little is wanted."""
        kinds: list[str] | None = None
        for given in self.said("type"):
            named = dict.fromkeys(kind for name in listed(given) for kind in KINDS[name])
            kinds = list(named) if kinds is None else [kind for kind in kinds if kind in named]
        if kinds is None:
            about = dict.fromkeys(
                kind for part in self.parts for kind, keywords in _ABOUT.items() if not part.keys().isdisjoint(keywords)
            )
            kinds = [*about, *(name for name in ALL_KINDS if name not in about)]
        if not kinds:
            raise CannotConform("'type' leaves no value")
        ordered = sorted(kinds, key=lambda name: (name == "null") is not lean)
        return ordered[self.spare % len(ordered)]

    @property
    def fields(self) -> list[tuple[Mapping[str, Json], Mapping[str, Json], Json]]:
        """The schemas of fields by name, by pattern, and of the rest; None: nothing is said of it."""
        return [(part.get("properties", {}), part.get("patternProperties", {}), part.get("additionalProperties"))
                for part in self.parts if not part.keys().isdisjoint(_FIELDS)]  # fmt: skip

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
        return found if covered or self.old else self.said("unevaluatedProperties")

    @property
    def dependent(self) -> list[tuple[str, Json]]:
        """What a field brings along: names of others, or a schema that then holds too."""
        keywords = ("dependencies",) if self.old else ("dependentRequired", "dependentSchemas")
        return [item for given in self.said(*keywords) for item in given.items()]

    @property
    def _rows(self) -> list[tuple[Sequence[Json], Json]]:
        """The schemas of the first items, and of the rest; None: nothing is said of it."""
        if not self.old:
            given = [part for part in self.parts if "items" in part or "prefixItems" in part]
            return [(part.get("prefixItems", ()), part.get("items")) for part in given]
        return [(part["items"], part.get("additionalItems")) if isinstance(part["items"], list) else ((), part["items"])
                for part in self.parts if "items" in part]  # fmt: skip

    def item(self, index: int) -> list[Json]:
        """Return the schemas of an item."""
        given = [prefix[index] if index < len(prefix) else rest for prefix, rest in self._rows]
        found = [schema for schema in given if schema is not None]
        return found if found or self.old else self.said("unevaluatedItems")

    @property
    def prefix(self) -> int:
        """How many items have schemas of their own."""
        return max((len(prefix) for prefix, _ in self._rows), default=0)

    @property
    def contains(self) -> list[tuple[Json, int, int | None]]:
        """What a list contains, how often at least, and at most."""
        given = [part for part in self.parts if "contains" in part]
        if self.old:
            return [(part["contains"], 1, None) for part in given]
        most = [None if (most := part.get("maxContains")) is None else int(most) for part in given]
        return [(part["contains"], int(part.get("minContains", 1)), few) for part, few in zip(given, most, strict=True)]
