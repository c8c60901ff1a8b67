"""Rules about fields, and what must stand beside them; each yields what fills the holes of its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from emulator.core.errors import Json
from emulator.core.provider.conversation import strict_schemas
from emulator.core.provider.conversation.rule import Asked, ConversationRule, Finding, Place, every, first
from emulator.core.schema.untrusted import Allowance


def needs(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Where the field is, one of the others is too."""
    if first(rule.others, asked) is None:
        yield from is_refused(rule, asked)


def excludes(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Where the field is, none of the others is."""
    if other := first(rule.others, asked):
        yield from (found | {"other": other.path} for found in is_refused(rule, asked))


def is_at_least(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The field is a number no smaller than any of the others."""
    others = [other.value for other in every(rule.others, asked) if isinstance(other.value, int)]
    for place in every(rule.fields, asked):
        if isinstance(place.value, int) and place.value < max(others, default=place.value):
            yield _at(place, asked) | {"limit": max(others)}


def names_one_of(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """What the field names is one of the others."""
    known = {item.value for item in every(rule.others, asked) if isinstance(item.value, str)}
    return _where(rule, asked, lambda place: isinstance(place.value, str) and place.value not in known)


def comes_after(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """An item of the first list with the field comes right after one with one of the others."""
    found = {place.index[0] for place in every(rule.others, asked)}
    return _where(rule, asked, lambda place: place.index[0] - 1 not in found)


def are_as_many(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """After an item of the first list with the field, if it is not the last, comes one with as many of the other."""
    others = Counter(place.index[0] for place in every(rule.others, asked))
    places = list(every(rule.fields, asked))
    items = asked.body.get(rule.fields[0].top)
    for index, number in Counter(place.index[0] for place in places).items():
        if isinstance(items, list) and index + 1 < len(items) and others[index + 1] != number:
            yield _at(next(place for place in places if place.index[0] == index), asked)


def is_unique(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """No two of the field's values are the same."""
    seen: set[str] = set()
    for place in every(rule.fields, asked):
        if isinstance(place.value, str):
            if place.value in seen:
                yield _at(place, asked)
            seen.add(place.value)


def is_alone(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The list in which the field's last `[]` stands has no other item."""
    return _where(rule, asked, lambda place: isinstance(place.holder, list) and len(place.holder) > 1)


def not_everywhere(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Some item of the list lacks what the field finds."""
    places = list(every(rule.fields, asked))
    items = asked.body.get(rule.fields[0].top)
    if places and isinstance(items, list) and len(places) == len(items):
        yield _at(places[0], asked)


def have_their_form(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """In each object, the values of the second field of `words` conform to the JSON Schema that is the first."""
    shape, values = rule.words
    for place in every(rule.fields, asked):
        given = place.value if isinstance(place.value, Mapping) else {}
        for number, value in enumerate(given.get(values) or ()):
            with suppress(ValueError):  # a schema that is none, or takes too long
                if not Allowance().schema(given.get(shape, True))(value):
                    yield _at(place, asked) | {"j": number}


def names_an_earlier(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """What the field names is one of the others that stand before it."""
    first_at: dict[str, tuple[int, ...]] = {}
    for place in every(rule.others, asked):
        if isinstance(place.value, str):
            first_at.setdefault(place.value, place.index)
    return _where(rule, asked, lambda place: (
        isinstance(place.value, str) and not (place.value in first_at and first_at[place.value] < place.index)
    ))  # fmt: skip


def is_named_or_last(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """What is at the field is named by one of the others, or it stands in the last item of its list."""
    known = {item.value for item in every(rule.others, asked) if isinstance(item.value, str)}
    return _where(rule, asked, lambda place: (
        isinstance(place.value, str) and place.value not in known and not _is_in_last(place, asked)
    ))  # fmt: skip


def is_last(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """What the field finds stands in the last item of its list."""
    return _where(rule, asked, lambda place: not _is_in_last(place, asked))


def is_below(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The number at the field is less than the other."""
    place, other = first(rule.fields, asked), first(rule.others, asked)
    numbers = [item.value for item in (place, other) if item and isinstance(item.value, int | float)]
    if place and len(numbers) == 2 and numbers[0] >= numbers[1]:
        yield _at(place, asked) | {"limit": numbers[1]}


def has_at_most(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The field is found so many times at most."""
    found = sum(1 for _ in every(rule.fields, asked))
    if found > rule.most:
        yield {"value": found, "limit": rule.most}


def has_no_keyword(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A JSON Schema at the field has none of some keywords."""
    return _schema_problem(rule, asked, lambda schema: strict_schemas.keyword_problem(schema, rule.words))


def is_closed_schema(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A JSON Schema at the field lets no object have other fields, and refers neither outside nor to itself."""
    return _schema_problem(rule, asked, strict_schemas.closed_problem)


def is_followed(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The item at the field has another after it in its list, which is none of the others; `words` names it."""
    wrong = {other.path for other in every(rule.others, asked)}
    for place in every(rule.fields, asked):
        number = place.index[-1] + 1
        after = f"{place.path.rpartition('[')[0]}[{number}]"
        if isinstance(place.holder, list) and (number == len(place.holder) or after in wrong):
            named = place.value.get(rule.words[0]) if isinstance(place.value, Mapping) else None
            yield _at(place, asked) | {"value": named if isinstance(named, str) else ""}


def has_one_of(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """An object at the field has one of the named fields, neither null nor an empty list."""
    return _where(rule, asked, lambda place: (
        isinstance(place.value, Mapping) and all(place.value.get(name) in (None, []) for name in rule.words)
    ))  # fmt: skip


def is_marked(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """Since the user last said something, the first field in each item of the first list has a word beside it."""
    said = [message.at for message in asked.conversation.messages if message.role == "user" and message.text]
    seen = set[int]()
    for place in every(rule.fields, asked):
        item = place.index[0]
        if item <= max(said, default=-1) or item in seen:
            continue
        seen.add(item)
        beside = place.holder if isinstance(place.holder, Mapping) else {}
        if not any(beside.get(word) for word in rule.words):
            name = place.value.get("name", "") if isinstance(place.value, Mapping) else ""
            yield _at(place, asked) | {"name": name}


def is_refused(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The field is not there; so for models with a trait, or without one."""
    return _where(rule, asked, lambda place: True)


def is_within_output(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """The field asks for no more tokens than the model can write."""
    limit = asked.output_limit
    for place in every(rule.fields, asked) if limit is not None else ():
        if isinstance(place.value, int) and place.value > (limit or 0):
            yield _at(place, asked) | {"limit": limit}


def is_schema(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A JSON Schema at the field is one that a tool can have."""
    return _schema_problem(rule, asked, strict_schemas.loose_problem)


def is_whole_schema(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A JSON Schema at the field defines what it requires, and says what its lists have."""
    return _schema_problem(rule, asked, strict_schemas.whole_problem)


def is_strict_schema(rule: ConversationRule, asked: Asked) -> Iterator[Finding]:
    """A JSON Schema at the field, beside which `strict` is true, is one that can be kept to the letter."""
    return _schema_problem(rule, asked, strict_schemas.strict_problem, "strict")


def _schema_problem(
    rule: ConversationRule, asked: Asked, problem_of: Callable[[Json], str | None], only: str | None = None
) -> Iterator[Finding]:
    for place in every(rule.fields, asked):
        beside = place.holder if isinstance(place.holder, Mapping) else {}
        reason = problem_of(place.value) if only is None or beside.get(only) is True else None
        if reason:
            yield _at(place, asked) | {"name": beside.get("name", ""), "reason": reason}


def _where(rule: ConversationRule, asked: Asked, wrong: Callable[[Place], bool]) -> Iterator[Finding]:
    return (_at(place, asked) for place in every(rule.fields, asked) if wrong(place))


def _is_in_last(place: Place, asked: Asked) -> bool:
    """Tell whether a place is in the last item of the list that its path begins with."""
    items = asked.body[place.path.partition("[")[0]]
    return not isinstance(items, list) or place.index[:1] == (len(items) - 1,)


def _at(place: Place, asked: Asked) -> Finding:
    found: Finding = dict(zip(("i", "j"), place.index, strict=False))
    value = place.value if isinstance(place.value, str | int | float) else ""
    value = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    name = place.path.rpartition(".")[2]
    return found | {"path": place.path, "name": name, "value": value, "model": asked.conversation.model}
