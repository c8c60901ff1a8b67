"""What a conversation must keep to and JSON Schema cannot say: a closed list of rules, each one function.

A provider lists the ones it has, with fact, error and words. They are asked after the schema, in order, until one is
broken. Each returns what fills the holes of `param` and `message`, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeAlias

from emulator.core.errors import Json, Violation
from emulator.core.frozen import frozen
from emulator.core.provider.holes import holes
from emulator.core.provider.selectors import Place, Selector
from emulator.core.provider.strict_schemas import loose_problem, strict_problem
from emulator.core.provider.wording import said
from emulator.core.wires.conversation import Conversation, Message

#: What of the message or field at fault a text can name.
#: So many ids are named.
MOST_NAMED = 100
HOLES = ("path", "name", "i", "j", "value", "other", "ids", "model", "limit", "reason")


@frozen
class Asked:
    """What rules look at: a body, what it says, and what is known of the model that it names."""

    body: Mapping[str, Json]
    conversation: Conversation
    traits: frozenset[str] | None = None  # None: nothing is known of the model
    output_limit: int | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)  # what a field is that is left out


Finding: TypeAlias = dict[str, Json]


@frozen
class ConversationRule:
    """One rule as a provider has it. Raises nothing: `broken` tells."""

    name: str
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
    tops: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def of_models(self) -> bool:
        """Tell whether it depends on which model is asked."""
        return self.trait is not None or self.without is not None or self.name in _OF_MODELS

    def broken(self, asked: Asked) -> Finding | None:
        """Return what fills the holes where a request breaks the rule."""
        if not self._concerns(asked):
            return None
        return RULES[self.name](self, asked)

    def _concerns(self, asked: Asked) -> bool:
        if self.trait is not None and self.trait not in (asked.traits or ()):
            return False
        if self.without is not None and (asked.traits is None or self.without in asked.traits):
            return False
        if not (self.when or self.unless):
            return True
        return all(map(_is_at(asked), self.when)) and not any(map(_is_at(asked), self.unless))


def _is_at(asked: Asked) -> Callable[[Selector], bool]:
    """Return what tells whether a selector finds something."""
    return lambda selector: next(selector.find(asked.body), None) is not None


class ConversationRules:
    """The rules of an operation, without the muted ones; `messages` is the field in which messages are.

    Most requests have none of the fields that rules are about, and messages of two texts each, which only rules about
    roles look at: they cost next to nothing. `present` are the fields that are always there.
    """

    __slots__ = ("_by_field", "_messages", "_of_roles", "_traits", "rules")

    def __init__(
        self, rules: Iterable[ConversationRule], muted: frozenset[str], messages: str, present: Iterable[str] = ()
    ) -> None:
        self._messages = messages
        self.rules = tuple(rule for rule in rules if rule.fact not in muted)
        there = {messages, *present}
        self._by_field: dict[str, list[int]] = {}
        for index, rule in enumerate(self.rules):
            for name in rule.tops - there:
                self._by_field.setdefault(name, []).append(index)
        self._of_roles = [index for index, rule in enumerate(self.rules) if rule.name in _OF_ROLES]
        self._traits = frozenset(rule.trait for rule in self.rules if rule.trait and rule.tops <= there)

    def first_broken(self, asked: Asked) -> tuple[ConversationRule, Finding] | None:
        """Return the first rule that a request breaks."""
        rules = self._concerned(asked)
        if rules and asked.defaults:
            sent = {name: value for name, value in asked.body.items() if value is not None}
            asked = replace(asked, body={**asked.defaults, **sent})
        for rule in rules:
            finding = rule.broken(asked)
            if finding is not None:
                return rule, finding
        return None

    def _concerned(self, asked: Asked) -> Sequence[ConversationRule]:
        """Return the rules that a request can break."""
        if asked.traits and not self._traits.isdisjoint(asked.traits):
            return self.rules
        if not _is_plain(asked.body.get(self._messages)):
            return self.rules
        found = set(self._of_roles)
        for name in asked.body:
            found.update(self._by_field.get(name, ()))
        return [self.rules[index] for index in sorted(found)]


def _is_plain(messages: Json) -> bool:
    """Tell whether each message is two texts: such as its role and what it says."""
    if not isinstance(messages, list):
        return False
    for item in messages:
        if len(item) != 2:
            return False
        for value in item.values():
            if value.__class__ is not str:
                return False
    return True


def read_rule(given: Mapping[str, Json]) -> ConversationRule:
    """Return a rule as provider.yaml has it."""
    selectors = {name: tuple(map(Selector, _listed(given.get(name)))) for name in ("field", "other", "when", "unless")}
    tops = frozenset(selector.top for selector in selectors["field"])
    return ConversationRule(
        given["rule"], given["fact"], given.get("error", "invalid_request"), given, selectors["field"],
        selectors["other"], selectors["when"], selectors["unless"], tuple(_listed(given.get("words"))),
        given.get("trait"), given.get("without"), tops,
    )  # fmt: skip


def rule_problems(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield what a rule lacks, or has and does not look at, and holes that nothing fills: where, and why."""
    needed, allowed = _PARTS[given["rule"]]
    for name in needed:
        if name not in given:
            yield "rule", f"needs '{name}' beside it"
    for name in given:
        if name in _SOME and name not in (*needed, *allowed):
            yield name, f"is not for the rule '{given['rule']}'"
    for part in ("param", "message"):
        for hole in holes(given.get(part)):
            if hole not in HOLES:
                yield part, f"nothing fills ${{{hole}}}; known: {', '.join(HOLES)}"


def told(rule: ConversationRule, finding: Finding) -> tuple[Violation, dict[str, Json]]:
    """Return a broken rule as a violation, and the envelope's values in the provider's words."""
    filled = dict.fromkeys(HOLES, "") | finding
    wording = rule.wording
    if finding.get("at_end") and "param_at_end" in wording:
        wording = {**wording, "param": wording["param_at_end"]}
    words = said(wording, filled)
    path = words.get("param") or finding.get("path") or ""
    return Violation(str(path), str(words["message"]), rule.fact), {"param": path or None, **words}


def _listed(given: Json) -> Sequence[Json]:
    return () if given is None else given if isinstance(given, list) else [given]


# Messages


def answers_a_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call comes after one that calls, or after another answer to it."""
    messages = asked.conversation.messages
    for number, message in enumerate(messages):
        if _answers(message):
            before = messages[number - 1] if number else None
            if before is None or not (before.calls or _answers(before)):
                return {"i": number, "ids": message.call_id}
    return None


def answers_its_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call names one of the calls that it follows."""
    for number, calls, answers in _turns(asked.conversation.messages):
        known = set(calls)
        for offset, answer in enumerate(answers, 1):
            if answer.call_id not in known:
                return {"i": number + offset, "ids": ", ".join(calls[:MOST_NAMED])}
    return None


def calls_are_answered(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Each call is answered before the next turn, and before the end."""
    for number, calls, answers in _turns(asked.conversation.messages):
        answered = {answer.call_id for answer in answers}
        left = [call for call in calls if call not in answered]
        if left:
            following = number + len(answers) + 1
            at_end = following == len(asked.conversation.messages)
            return {"i": following, "ids": ", ".join(left[:MOST_NAMED]), "at_end": at_end}
    return None


def answers_an_earlier_call(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A message that answers a call names one that was made before it, wherever."""
    made: set[str] = set()
    for number, message in enumerate(asked.conversation.messages):
        made.update(call_id for call_id, _, _ in message.calls)
        if _answers(message) and message.call_id not in made:
            return {"i": number, "ids": message.call_id}
    return None


def calls_have_answers(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Each call is answered somewhere."""
    messages = asked.conversation.messages
    answered = {message.call_id for message in messages if _answers(message)}
    made = dict.fromkeys(call_id for message in messages for call_id, _, _ in message.calls)
    left = [call_id for call_id in made if call_id not in answered]
    return {"i": len(messages), "ids": ", ".join(left[:MOST_NAMED])} if left else None


def says_a_word(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Some message has one of the words, in any case; the field says that it must."""
    if _first(rule.fields, asked) is None:
        return None
    texts = [message.text.casefold() for message in asked.conversation.messages]
    return None if any(word in text for word in rule.words for text in texts) else {}


def begins_as(rule: ConversationRule, asked: Asked) -> Finding | None:
    """The first message after the system's is of one of the roles."""
    spoken = [(number, message) for number, message in enumerate(asked.conversation.messages) if _spoken(message)]
    number, first = spoken[0] if spoken else (0, None)
    return {"i": number, "value": first.role} if first and first.role not in rule.words else None


def alternates(rule: ConversationRule, asked: Asked) -> Finding | None:
    """No two messages that follow one another have the same role; answers to calls may."""
    last = ""
    for number, message in enumerate(asked.conversation.messages):
        if _spoken(message):
            if message.role == last and not _answers(message):
                return {"i": number, "value": message.role}
            last = message.role
    return None


def _spoken(message: Message) -> bool:
    return message.role != "system"


def _answers(message: Message) -> bool:
    return message.role == "tool" and bool(message.call_id)


def _turns(messages: Sequence[Message]) -> Iterator[tuple[int, list[str], list[Message]]]:
    """Yield of each message that calls its number, the ids of its calls, and the answers right after it."""
    for number, message in enumerate(messages):
        if message.calls:
            end = number + 1
            while end < len(messages) and _answers(messages[end]):
                end += 1
            yield number, [call_id for call_id, _, _ in message.calls], list(messages[number + 1 : end])


# Fields


def needs(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Where the field is, one of the others is too."""
    place = _first(rule.fields, asked)
    return _at(place, asked, rule) if place and _first(rule.others, asked) is None else None


def excludes(rule: ConversationRule, asked: Asked) -> Finding | None:
    """Where the field is, none of the others is."""
    place, other = _first(rule.fields, asked), _first(rule.others, asked)
    return _at(place, asked, rule) | {"other": other.path} if place and other else None


def names_one_of(rule: ConversationRule, asked: Asked) -> Finding | None:
    """What the field names is one of the others."""
    known = {item.value for item in _all(rule.others, asked) if isinstance(item.value, str)}
    for place in _all(rule.fields, asked):
        if isinstance(place.value, str) and place.value not in known:
            return _at(place, asked, rule)
    return None


def is_unique(rule: ConversationRule, asked: Asked) -> Finding | None:
    """No two of the field's values are the same."""
    seen: set[str] = set()
    for place in _all(rule.fields, asked):
        if isinstance(place.value, str):
            if place.value in seen:
                return _at(place, asked, rule)
            seen.add(place.value)
    return None


def is_alone(rule: ConversationRule, asked: Asked) -> Finding | None:
    """The list in which the field's last `[]` stands has no other item."""
    for place in _all(rule.fields, asked):
        if isinstance(place.holder, list) and len(place.holder) > 1:
            return _at(place, asked, rule)
    return None


def has_one_of(rule: ConversationRule, asked: Asked) -> Finding | None:
    """An object at the field has one of the named fields, neither null nor an empty list."""
    for place in _all(rule.fields, asked):
        if isinstance(place.value, Mapping) and all(place.value.get(name) in (None, []) for name in rule.words):
            return _at(place, asked, rule)
    return None


def is_refused(rule: ConversationRule, asked: Asked) -> Finding | None:
    """The field is not there; so for models with a trait, or without one."""
    place = _first(rule.fields, asked)
    return _at(place, asked, rule) if place else None


def is_within_output(rule: ConversationRule, asked: Asked) -> Finding | None:
    """The field asks for no more tokens than the model can write."""
    limit = asked.output_limit
    for place in _all(rule.fields, asked) if limit is not None else ():
        if isinstance(place.value, int) and place.value > (limit or 0):
            return _at(place, asked, rule) | {"limit": limit}
    return None


def is_schema(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A JSON Schema at the field is one that a tool can have."""
    return _schema_problem(rule, asked, loose_problem)


def is_strict_schema(rule: ConversationRule, asked: Asked) -> Finding | None:
    """A JSON Schema at the field, beside which `strict` is true, is one that can be kept to the letter."""
    return _schema_problem(rule, asked, strict_problem, "strict")


def _schema_problem(
    rule: ConversationRule, asked: Asked, problem_of: Callable[[Json], str | None], only: str | None = None
) -> Finding | None:
    for place in _all(rule.fields, asked):
        beside = place.holder if isinstance(place.holder, Mapping) else {}
        reason = problem_of(place.value) if only is None or beside.get(only) is True else None
        if reason:
            return _at(place, asked, rule) | {"name": beside.get("name", ""), "reason": reason}
    return None


def _all(selectors: Sequence[Selector], asked: Asked) -> Iterator[Place]:
    for selector in selectors:
        yield from selector.find(asked.body)


def _first(selectors: Sequence[Selector], asked: Asked) -> Place | None:
    return next(_all(selectors, asked), None)


def _at(place: Place, asked: Asked, rule: ConversationRule) -> Finding:
    found: Finding = dict(zip(("i", "j"), place.index, strict=False))
    value = place.value if isinstance(place.value, str | int | float) else ""
    value = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    name = place.path.rpartition(".")[2]
    return found | {"path": place.path, "name": name, "value": value, "model": asked.conversation.model}


#: Every rule, by the name that provider.yaml has for it.
RULES: Mapping[str, Callable[[ConversationRule, Asked], Finding | None]] = {
    "answers_a_call": answers_a_call,
    "answers_its_call": answers_its_call,
    "calls_are_answered": calls_are_answered,
    "answers_an_earlier_call": answers_an_earlier_call,
    "calls_have_answers": calls_have_answers,
    "says_a_word": says_a_word,
    "begins_as": begins_as,
    "alternates": alternates,
    "needs": needs,
    "excludes": excludes,
    "names_one_of": names_one_of,
    "is_unique": is_unique,
    "is_alone": is_alone,
    "has_one_of": has_one_of,
    "is_refused": is_refused,
    "is_within_output": is_within_output,
    "is_schema": is_schema,
    "is_strict_schema": is_strict_schema,
}
_OF_MODELS = ("is_within_output",)
#: Those that look at messages of two texts too.
_OF_ROLES = ("begins_as", "alternates")

#: What only some rules look at; of each rule which it needs, and which it may have.
_SOME = ("field", "other", "words")
_PARTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    **dict.fromkeys(("answers_a_call", "answers_its_call", "calls_are_answered", "alternates"), ((), ())),
    **dict.fromkeys(("answers_an_earlier_call", "calls_have_answers"), ((), ())),
    "says_a_word": (("field", "words"), ()),
    "begins_as": (("words",), ()),
    **dict.fromkeys(("needs", "excludes", "names_one_of"), (("field", "other"), ())),
    **dict.fromkeys(("is_unique", "is_alone", "is_refused", "is_within_output"), (("field",), ())),
    "has_one_of": (("field", "words"), ()),
    **dict.fromkeys(("is_schema", "is_strict_schema"), (("field",), ())),
}
