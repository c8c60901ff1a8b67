"""What a value must be where several schemas hold at once, and in which of the ways it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.core.errors import Json

#: The kinds of values that each `type` allows; what is the customary one stands first.
KINDS: Mapping[str, Sequence[str]] = {
    **{name: (name,) for name in ("object", "array", "string", "integer", "boolean", "null")},
    "number": ("number", "integer"),
}
ALL_KINDS = ("string", "object", "array", "number", "integer", "boolean", "null")


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
            kinds = [*self.about, *(name for name in ALL_KINDS if name not in self.about)]
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
