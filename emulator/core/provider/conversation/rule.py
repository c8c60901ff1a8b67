"""A rule of a conversation as a provider has it, what rules look at, and where in a body they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.model import Model
from emulator.core.wires.request.conversation import Conversation

#: So many ids are named.
MOST_NAMED = 100
#: What of the message or field at fault a text can name.
HOLES = ("path", "name", "i", "j", "value", "other", "ids", "model", "limit", "reason", "caller")


@frozen
class Asked:
    """What rules look at: a body, what it says, and what is known of the model that it names."""

    body: Mapping[str, Json]
    conversation: Conversation
    traits: frozenset[str] | None = None  # None: nothing is known of the model
    output_limit: int | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)  # what a field is that is left out
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request, by lower-case name


def asked_of(
    body: Mapping[str, Json], conversation: Conversation, model: Model | None, headers: Mapping[str, str]
) -> Asked:
    """Return what rules look at where a model is known, or not."""
    if model is None:
        return Asked(body, conversation, headers=headers)
    return Asked(body, conversation, model.traits, model.output_limit, model.defaults, headers)


# Where a rule looks: a dotted path, `[]` through the items of a list, and which values there are meant

#: Tells whether a value is meant.
Ask: TypeAlias = Callable[[Json], bool]


@frozen
class Place:
    """A value that is not null, its path (`tools[0].type`), the indexes in it, and the object that it stands in."""

    path: str
    value: Json
    index: tuple[int, ...] = ()
    holder: Json = None


class Selector:
    """Finds places in a body; `top` is the field of the body in which all of them stand."""

    __slots__ = ("_leads", "_within", "at", "steps", "top")

    def __init__(self, given: Json) -> None:
        spec: Mapping[str, Json] = {"at": given} if isinstance(given, str) else given
        self.at: str = spec["at"]
        self.steps: Sequence[str] = self.at.replace("[]", ".[]").split(".")
        self.top = self.steps[0]
        meant = _all([make(spec[name]) for name, make in _ASKS.items() if spec.get(name) is not None])
        self._leads = [_leading(self.steps[depth:], meant) for depth in range(len(self.steps) + 1)]
        self._within = _having(spec.get("within") or {})

    def find(self, body: Mapping[str, Json]) -> Iterator[Place]:
        """Yield the places in a body."""
        return self._walk(Place("", body), 0, False)

    def _walk(self, place: Place, depth: int, within: bool) -> Iterator[Place]:
        """Yield what is meant below a place; most of what a list has is not, and is passed by at once."""
        holder, step, leads = place.value, self.steps[depth], self._leads[depth + 1]
        within = within or self._within(holder)
        for key, value in _inner(holder, step):
            if value is None or not leads(value):
                continue
            if step == "[]":
                inner = Place(f"{place.path}[{key}]", value, (*place.index, key), holder)
            else:
                inner = Place(f"{place.path}.{step}" if place.path else step, value, place.index, holder)
            if depth + 1 < len(self.steps):
                yield from self._walk(inner, depth + 1, within)
            elif within or self._within(value):
                yield inner


def _leading(steps: Sequence[str], meant: Ask) -> Ask:
    """Tell whether steps lead from a value that is not null to one that is meant."""
    if not steps:
        return meant
    name, inner = steps[0], _leading(steps[1:], meant)
    if name != "[]":
        return lambda value: isinstance(value, dict) and (found := value.get(name)) is not None and inner(found)
    return lambda value: isinstance(value, list) and any(item is not None and inner(item) for item in value)


def _inner(holder: Json, step: str) -> Iterable[tuple[Any, Json]]:
    """Return what a step leads to, with its key."""
    if step == "[]":
        return enumerate(holder) if isinstance(holder, list) else ()
    return ((step, holder.get(step)),) if isinstance(holder, dict) else ()


def _having(fields: Mapping[str, Json]) -> Ask:
    """Tell whether a value is an object with some fields; anything has none."""
    return _all([_with(*item) for item in fields.items()])


def _with(name: str, item: Json) -> Ask:
    return lambda value: isinstance(value, dict) and bool(value.get(name) == item)


def _all(asks: Sequence[Ask]) -> Ask:
    """Ask several things; most selectors ask one."""
    return asks[0] if len(asks) == 1 else lambda value: all(ask(value) for ask in asks)


def _unlike(fields: Mapping[str, Json]) -> Ask:
    alike = _having(fields)
    return lambda value: not (fields and alike(value))


def _among(value: Json, known: Sequence[Json]) -> bool:
    """Tell whether a value is one of some; true is no 1."""
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in known)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


#: What tells whether a value is meant, by what a selector has.
_ASKS: Mapping[str, Callable[[Json], Ask]] = {
    "is": lambda known: lambda value: _among(value, known),
    "not": lambda known: lambda value: not _among(value, known),
    "above": lambda bound: lambda value: _is_number(value) and value > bound,
    "below": lambda bound: lambda value: _is_number(value) and value < bound,
    "with": _having,
    "unlike": _unlike,
}


# Rules

Finding: TypeAlias = dict[str, Json]


@frozen
class ConversationRule:
    """One rule as a provider has it. Raises nothing: `broken` tells."""

    check: Rule  # what tells whether a request breaks it
    fact: str
    error: str
    wording: Mapping[str, Json]
    fields: Sequence[Selector] = ()
    others: Sequence[Selector] = ()
    when: Sequence[Selector] = ()
    unless: Sequence[Selector] = ()
    words: Sequence[str] = ()
    trait: str | None = None
    without: str | None = None
    tops: frozenset[str] = field(default=frozenset(), compare=False)  # the fields of a body that it is about
    of_output: bool = False  # it is about what a model can write
    most: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)  # of the requests that it binds; None: left out

    @property
    def of_models(self) -> bool:
        """Tell whether it depends on which model is asked."""
        return self.trait is not None or self.without is not None or self.of_output

    def broken(self, asked: Asked) -> Finding | None:
        """Return what fills the holes where a request breaks the rule."""
        return next(self.check(self, asked), None) if self._concerns(asked) else None

    def _concerns(self, asked: Asked) -> bool:
        if self.trait is not None and self.trait not in (asked.traits or ()):
            return False
        if self.without is not None and (asked.traits is None or self.without in asked.traits):
            return False
        if any(asked.headers.get(name) != value for name, value in self.headers.items()):
            return False
        if not (self.when or self.unless):
            return True
        return all(first((item,), asked) for item in self.when) and first(self.unless, asked) is None


#: Yields what fills the holes of a rule's words where a request breaks it; the first is told.
Rule: TypeAlias = Callable[[ConversationRule, Asked], Iterator[Finding]]


def every(selectors: Sequence[Selector], asked: Asked) -> Iterator[Place]:
    """Yield what selectors find."""
    for selector in selectors:
        yield from selector.find(asked.body)


def first(selectors: Sequence[Selector], asked: Asked) -> Place | None:
    """Return what selectors find first."""
    return next(every(selectors, asked), None)
