"""What a conversation must keep to and JSON Schema cannot say: a closed list of rules, each one function.

A provider lists the ones it has, with fact, error and words. They are asked after the schema, in order, until one is
broken. Each yields what fills the holes of `param` and `message`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from emulator.core.errors import Json, Violation
from emulator.core.provider.conversation import fields, messages
from emulator.core.provider.conversation.rule import HOLES, Asked, ConversationRule, Finding, Rule, Selector
from emulator.core.provider.holes import holes
from emulator.core.provider.wording import said as worded
from emulator.core.schema.defaults import with_defaults
from emulator.core.tree import listed
from emulator.core.wires.request.conversation import Conversation

#: Every rule, named in provider.yaml as its function, by what must stand beside it there.
_RULES: Mapping[tuple[str, ...], Sequence[Rule]] = {
    (): (
        messages.answers_a_call, messages.answers_its_call, messages.answers_an_earlier_call,
        messages.calls_are_answered, messages.calls_have_answers, messages.alternates, messages.interjects,
    ),
    ("words",): (messages.begins_as, messages.ends_trimmed),
    ("words", "other"): (messages.ends_as,),
    ("field",): (
        fields.is_unique, fields.is_alone, fields.is_last, fields.not_everywhere, fields.is_refused,
        fields.is_within_output, fields.is_schema, fields.is_strict_schema, fields.is_whole_schema,
        fields.is_closed_schema,
    ),
    ("field", "words"): (
        fields.has_one_of, messages.says_a_word, fields.has_no_keyword, fields.have_their_form,
        messages.loop_begins_with, messages.is_as_signed, fields.is_marked,
    ),
    ("field", "other"): (
        fields.needs, fields.excludes, fields.is_at_least, fields.is_below, fields.names_one_of,
        fields.names_an_earlier, fields.is_named_or_last, fields.comes_after, fields.are_as_many,
    ),
    ("field", "other", "words"): (fields.is_followed,),
    ("field", "most"): (fields.has_at_most,),
}  # fmt: skip
RULES: Mapping[str, tuple[Rule, tuple[str, ...]]] = {
    rule.__name__: (rule, parts) for parts, rules in _RULES.items() for rule in rules
}
#: Those that look at messages of two texts too.
_OF_ROLES = (messages.begins_as, messages.alternates, messages.ends_as, messages.ends_trimmed, messages.interjects)
#: Those that depend on which model is asked.
_OF_MODELS = (fields.is_within_output,)


class ConversationRules:
    """The rules of an operation, without the muted ones; `present` are the fields that are always there.

    Most requests have none of the other fields that rules are about, and plain messages, which only rules about roles
    look at: they cost next to nothing.
    """

    __slots__ = ("_by_field", "_of_roles", "_traits", "rules")

    def __init__(self, rules: Iterable[ConversationRule], muted: frozenset[str], present: Iterable[str]) -> None:
        self.rules = tuple(rule for rule in rules if rule.fact not in muted)
        there = set(present)
        self._by_field: dict[str, list[int]] = {}
        for index, rule in enumerate(self.rules):
            for name in rule.tops - there:
                self._by_field.setdefault(name, []).append(index)
        self._of_roles = [
            index for index, rule in enumerate(self.rules)
            if rule.check in _OF_ROLES or (rule.trait is None and any(_is_flat(item, there) for item in rule.fields))
        ]  # fmt: skip
        self._traits = frozenset(rule.trait for rule in self.rules if rule.trait and rule.tops <= there)

    def first_broken(self, asked: Asked) -> tuple[ConversationRule, Finding] | None:
        """Return the first rule that a request breaks."""
        rules = self._concerned(asked)
        if rules and asked.defaults:
            asked = replace(asked, body=with_defaults(asked.body, asked.defaults))
        for rule in rules:
            finding = rule.broken(asked)
            if finding is not None:
                return rule, finding
        return None

    def concern(self, body: Mapping[str, Json], said: Conversation, traits: frozenset[str] | None) -> bool:
        """Tell whether a request can break any."""
        if not said.plain or self._of_roles or not self._by_field.keys().isdisjoint(body):
            return True
        return bool(traits) and not self._traits.isdisjoint(traits or ())

    def _concerned(self, asked: Asked) -> Sequence[ConversationRule]:
        """Return the rules that a request can break."""
        if not asked.conversation.plain or not self._traits.isdisjoint(asked.traits or ()):
            return self.rules
        found = set(self._of_roles)
        for name in asked.body:
            found.update(self._by_field.get(name, ()))
        return [self.rules[index] for index in sorted(found)]


def _is_flat(field: Selector, present: Collection[str]) -> bool:
    """Tell whether what is looked at is a field of the items of a list that is always there: a message's own."""
    return field.top in present and len(field.steps) == 3 and field.steps[1] == "[]"


def read_rule(given: Mapping[str, Json]) -> ConversationRule:
    """Return a rule as provider.yaml has it."""
    selectors = {
        name: tuple(map(Selector, listed(given.get(name, [])))) for name in ("field", "other", "when", "unless")
    }
    tops = frozenset(selector.top for selector in selectors["field"])
    check = RULES[given["rule"]][0]
    as_given = {name: given[name] for name in ("trait", "without", "most", "headers") if name in given}
    return ConversationRule(
        check, given["fact"], given.get("error", "invalid_request"), given,
        selectors["field"], selectors["other"], selectors["when"], selectors["unless"],
        words=tuple(listed(given.get("words", []))), tops=tops, of_output=check in _OF_MODELS, **as_given,
    )  # fmt: skip


def rule_problems(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield what a rule lacks, or has and does not look at, and holes that nothing fills: where, and why."""
    needed = RULES[given["rule"]][1]
    for name in needed:
        if name not in given:
            yield "rule", f"needs '{name}' beside it"
    for name in given:
        if name in ("field", "other", "words", "most") and name not in needed:
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
    words = worded(wording, filled)
    path = words.get("param") or finding.get("path") or ""
    return Violation(str(path), str(words["message"]), rule.fact), {"param": path or None, **words}
