"""A value that conforms to a JSON Schema, for built-in replies: small, drawn, and checked before it is used.

The first two tries judge nothing but the whole: with all that is optional, and without. Most schemas need no more. Then
each part is judged by itself, and made in another way until it is good; what cannot be is left out where it may be.
Steps are counted, not seconds: the same schema ends in the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import orjson

from emulator.core.errors import Json, shown
from emulator.core.schema.cost import TooCostly
from emulator.core.schema.instances.collector import Collector
from emulator.core.schema.instances.needs import CannotConform, Needs, Turn
from emulator.core.schema.instances.scalars import make_number, make_text
from emulator.core.schema.patterns.reader import Unreadable
from emulator.core.schema.patterns.texts import Patterns
from emulator.core.schema.schema import is_draft_07
from emulator.core.schema.slow import judge_in_steps
from emulator.core.schema.untrusted import Allowance
from emulator.core.seeded_random import Draw
from emulator.core.tree import canonical

MAX_DEPTH = 40
#: From this level on what is optional is left out.
DEEP = 3
#: How many schemas, fields, items and texts are looked at before giving up: `allOf` and `$ref` multiply without end.
#: At first they take some 2 µs each, in a careful search 7.
MAX_STEPS, MAX_CAREFUL_STEPS = 100_000, 40_000
PLACED = 100  # bytes of a value in a step
#: In how many ways each part is made, how many are tried where items must differ, and how many items there are.
MOST_TURNS, MOST_UNIQUE, MAX_ITEMS = 60, 200, 1_000
TOO_LARGE = "the schema asked for is too large"


class _OutOfSteps(Exception):
    """Nothing was found in as many steps as there are."""


def instance(document: Json, draw: Draw) -> Json:
    """Return a value that conforms to a schema, of draft 2020-12 or draft-07.

    Raises: CannotConform, which says what keyword it was; also where the document is no schema.
    """
    try:
        fits = Allowance().schema(document, foreign=True)
    except ValueError as error:
        raise CannotConform(f"the schema asked for {error}") from None
    search = _Search(document, draw)
    told: str | None = None
    try:
        for turn in range(MOST_TURNS):
            if turn == 2:
                search.careful, search.left = True, MAX_CAREFUL_STEPS
            try:
                value = search.value(document, "$", 0, turn)
                orjson.dumps(value)
                if fits(value):
                    return value
            except (CannotConform, TooCostly) as error:
                reason = TOO_LARGE if isinstance(error, TooCostly) else str(error)
                told = reason if turn > 1 or told is None else told
                if turn > 2:
                    break
            except (ValueError, OverflowError, TypeError):
                raise CannotConform("the schema asked for has numbers beyond what JSON carries here") from None
    except _OutOfSteps:
        raise CannotConform(f"{TOO_LARGE}{f': {told}' if told else ''}") from None
    raise CannotConform(f"no value conforms to the schema asked for{f': {told}' if told else ''}")


class _Search:
    """Makes values of subschemas of one document; `careful` judges each of them."""

    def __init__(self, root: Json, draw: Draw) -> None:
        self.root, self.draw = root, draw
        self.careful = False
        self.left = MAX_STEPS
        self.collector = Collector(root, is_draft_07(root), self.spend, draw)
        self.judge: Callable[[Json, Json], Json] | None = None
        self.patterns = Patterns(draw, self.spend)
        self.hopeless: dict[tuple[int, bool], CannotConform] = {}

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise _OutOfSteps

    def place(self, value: Json) -> Json:
        """Return a text, or a value that was given, once what it takes is paid for."""
        self.spend(len(orjson.dumps(value)) // PLACED)
        return value

    def value(self, schema: Json, label: str, depth: int, turn: int) -> Json:
        """Return a value of a subschema; a careful one is good, and made in the first way that gives a good one."""
        if not self.careful:
            return self.make(schema, label, depth, turn)
        name = id(schema), depth > DEEP
        if name in self.hopeless:
            self.spend(1)
            raise self.hopeless[name]
        told: CannotConform | None = None
        for number in range(turn, turn + MOST_TURNS):
            try:
                made = self.make(schema, label, depth, number)
            except CannotConform as error:
                told = told or error
                continue
            wrong = self.error(schema, made)
            if wrong is None:
                return made
            told = told or CannotConform(f"{shown(wrong.validator)} at {label}{wrong.json_path[1:]} was not met")
        found = told or CannotConform(f"nothing was found for {label}")
        if not isinstance(schema, bool):
            self.hopeless[name] = found
        raise found

    def error(self, schema: Json, value: Json) -> Json:
        """Return the first error of a value, or None."""
        if isinstance(schema, bool):
            return None
        if self.judge is None:
            self.judge = judge_in_steps(self.root, self.collector.old, self.spend, self.patterns.matches)
        return self.judge(schema, value)

    def fits(self, schema: Json, value: Json) -> bool:
        return schema is not False and self.error(schema, value) is None

    def make(self, schema: Json, label: str, depth: int, number: int) -> Json:
        """Return a value that is made in one way, and may not conform."""
        self.spend(1)
        if depth > MAX_DEPTH:
            raise CannotConform(f"'$ref' at {label[:40]}… leads on without end")
        turn = Turn(number, depth > DEEP)
        needs = self.collector.collect(schema, turn)
        offered = needs.choices
        if offered is None and number < 2:
            offered = list(needs.guesses) or None
        if offered is not None:
            if not offered:
                raise CannotConform(f"'enum' and 'const' at {label} leave no value")
            return self.place(offered[(self.draw.below(turn.label(label), len(offered)) + turn.varied) % len(offered)])
        kind = needs.kind(number == 1)
        if kind in ("object", "array"):
            return (self.object if kind == "object" else self.array)(needs, label, depth, turn)
        return self.scalar(kind, needs, label, turn)

    # Objects

    def object(self, needs: Needs, label: str, depth: int, turn: Turn) -> Json:
        made: dict[str, Json] = {}
        for name in self.names(needs, label, turn):
            self.spend(1)
            try:
                made[name] = self.field(needs, name, label, depth, turn)
            except CannotConform:
                if name in needs.required:
                    raise
        least = needs.least("Properties")
        adds = turn.varied % 4 == 3 and not turn.deep
        for name in self.more_names(needs, label, depth, turn) if len(made) < least or adds else ():
            if len(made) >= max(least, 1):
                break
            self.spend(1)
            if name not in made:
                with suppress(CannotConform):
                    made[name] = self.field(needs, name, label, depth, turn)
        if len(made) < least:
            raise CannotConform(f"'minProperties' at {label} was not met")
        return made

    def field(self, needs: Needs, name: str, label: str, depth: int, turn: Turn) -> Json:
        self.place(name)
        schema = self.collector.joined(needs.field(name, self.patterns.matches))
        return self.value(schema, f"{label}.{name}", depth + 1, turn.number)

    def names(self, needs: Needs, label: str, turn: Turn) -> list[str]:
        """Return the names of an object's fields, with those that others bring along."""
        listed = [name for properties, _, _ in needs.fields for name in properties]
        if turn.varied:
            listed = [name for name in listed if self.draw.below(turn.label(f"{label}?{name}"), 2)]
        names = dict.fromkeys(needs.required if turn.lean else [*listed, *needs.required])
        self.spend(len(names))
        asked = needs.said("propertyNames")
        for name in list(names) if self.careful else ():  # only then it is known which names there may be
            if name not in needs.required and not all(self.fits(schema, name) for schema in asked):
                del names[name]
        most = needs.most("Properties", len(names))
        if len(names) > most:
            names = dict.fromkeys([*needs.required, *list(names)[: max(0, most)]])
        return self.brought(needs, names, turn)

    def brought(self, needs: Needs, names: dict[str, None], turn: Turn) -> list[str]:
        """Add the names that others bring along, and heed what they ask for."""
        applied: set[int] = set()
        left = list(names)
        while left:
            name = left.pop(0)
            dependent = needs.dependent
            asked = [other for first, named in dependent if first == name for other in named if isinstance(named, list)]
            for number, (first, schema) in enumerate(dependent):
                if first == name and number not in applied and not isinstance(schema, list):
                    applied.add(number)
                    before = set(needs.required)
                    self.collector.collect(schema, turn, needs)
                    asked += [other for other in needs.required if other not in before]
            for other in asked:
                needs.required.setdefault(other)
                if other not in names:
                    names[other] = None
                    left.append(other)
            self.spend(1)
        return list(names)

    def more_names(self, needs: Needs, label: str, depth: int, turn: Turn) -> Iterator[str]:
        """Yield names that further fields could have."""
        yield from (name for properties, _, _ in needs.fields for name in properties)
        if named := needs.said("propertyNames"):
            asked = self.collector.joined([*named, _TEXT])
            for number in range(MOST_TURNS):
                with suppress(CannotConform):
                    found = self.value(asked, f"{label}#{number}", depth + 1, number)
                    if isinstance(found, str):
                        yield found
            return
        for _, patterns, _ in needs.fields:
            for pattern in patterns:
                with suppress(Unreadable):
                    for guess in islice(self.patterns.guesses(pattern), MOST_TURNS):
                        if self.patterns.matches(pattern, guess):
                            yield guess
        yield from (f"more{number}" for number in range(1, min(needs.least("Properties"), MAX_ITEMS) + 20))

    # Lists

    def array(self, needs: Needs, label: str, depth: int, turn: Turn) -> Json:
        least, most = needs.least("Items"), needs.most("Items", MAX_ITEMS)
        held = [schema for schema, few, _ in needs.contains for _ in range(min(few, MAX_ITEMS + 1))]
        if max(least, len(held)) > MAX_ITEMS:
            raise CannotConform(f"'minItems' at {label} asks for more items than {MAX_ITEMS}")
        optional = 0 if turn.lean else max(1, needs.prefix)
        length = min(max(least, optional, len(held), needs.prefix if not turn.deep else 0), max(most, least))
        places = self.places(needs, held, length, turn)
        made: list[Json] = []
        seen: set[bytes] = set()
        for index in range(length):
            self.spend(1)
            try:
                made.append(self.item(needs, index, places.get(index, ()), seen, label, depth, turn))
            except CannotConform:
                if index < least or any(place >= index for place in places):
                    raise
                break
        return made

    def places(self, needs: Needs, held: Sequence[Json], length: int, turn: Turn) -> dict[int, list[Json]]:
        """Return what a list must contain by where it stands: at first behind the items with schemas of their own."""
        found: dict[int, list[Json]] = {}
        order = [*range(needs.prefix, length), *range(min(needs.prefix, length))]
        for number, schema in enumerate(held):
            if not order:
                raise CannotConform("'contains' leaves no place")
            found.setdefault(order[(number + turn.varied) % len(order)], []).append(schema)
        return found

    def item(
        self, needs: Needs, index: int, held: Sequence[Json], seen: set[bytes], label: str, depth: int, turn: Turn
    ) -> Json:
        """Return an item, which differs from those seen where all must."""
        out = [] if held else [schema for schema, _, most in needs.contains if most is not None]
        others = [self.collector.joined([schema], "not") for schema in out]
        schema = self.collector.joined([*needs.item(index), *held, *others])
        unique = True in needs.said("uniqueItems")
        first = turn.number + (len(seen) if unique else 0)
        for number in range(first, first + (MOST_UNIQUE if unique else 1)):
            made = self.value(schema, f"{label}[{index}]", depth + 1, number)
            if not unique:
                return made
            written = canonical(made)
            if written not in seen:
                seen.add(written)
                return made
        raise CannotConform(f"'uniqueItems' at {label} was not met")

    # Others

    def scalar(self, kind: str, needs: Needs, label: str, turn: Turn) -> Json:
        if kind == "string":
            return self.place(make_text(needs, self.draw, label, turn, self.patterns))
        if kind == "boolean":
            return (self.draw.below(turn.label(label), 2) + turn.varied) % 2 == 1
        return None if kind == "null" else make_number(needs, self.draw, label, turn, kind == "integer", self.spend)


_TEXT = {"type": "string"}
