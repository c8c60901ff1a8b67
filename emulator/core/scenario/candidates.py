"""Candidates: the rules that could answer a call, and where none does, those that came nearest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from emulator.core.errors import Json
from emulator.core.provider.operation import Fallbacks
from emulator.core.scenario.scenario import Reply, Rule
from emulator.core.schema.untrusted import Allowance
from emulator.core.tree import canonical, compact
from emulator.core.values import Call, Candidate
from emulator.core.wires.request.conversation import last_text

#: What counts the answers of the emulator itself, beside the ids of rules.
OTHERWISE = "\x1fbuilt-in"


class RuleIndex:
    """Rules in order, found by the last user text that they want exactly.

    `steady`: which of them could answer depends on nothing but what is sent.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.by_id = {rule.id: rule for rule in rules}
        self.steady = all(condition.field != "elapsed" for rule in rules for condition in rule.conditions)
        self.allowed = _allowed(rules)
        self._same = {rule.id: _candidate(rule, rule.id) for rule in rules if rule.count_by == "session"}
        self._texts = frozenset(rule.exact_text for rule in rules)
        self._by_text: dict[str | None, tuple[Rule, ...]] = {}

    def candidate(self, rule: Rule, call: Call, key: str) -> Candidate:
        """Return a rule as a candidate: made at load where all calls count together."""
        return self._same.get(rule.id) or _candidate(rule, _count_key(rule, call, key))

    def possible(self, text: str | None) -> Sequence[Rule]:
        """Return, in order, the rules that want exactly this text, and those that want none exactly."""
        wanted = text if text in self._texts else None
        found = self._by_text.get(wanted)
        if found is None:
            found = tuple([rule for rule in self.rules if rule.exact_text in (None, wanted)])
            self._by_text[wanted] = found
        return found


def _allowed(rules: Iterable[Rule]) -> set[Allowance]:
    return {condition.allowed for rule in rules for condition in rule.conditions}


def _candidate(rule: Rule, count_key: str) -> Candidate:
    return Candidate(rule.id, count_key, rule.states, rule.turns, rule.then)


def candidates(index: RuleIndex, call: Call, key: str) -> tuple[Candidate, ...]:
    """Return the rules whose conditions hold, up to the first that always answers; state and turns are the store's."""
    for allowed in index.allowed:
        allowed.restart()
    return _fitting(index, call, key)


def _fitting(index: RuleIndex, call: Call, key: str) -> tuple[Candidate, ...]:
    """Do so with what is left of the steps that conditions may take for one request."""
    found: list[Candidate] = []
    for rule in index.possible(last_text(call.conversation.messages, "user")) if index.rules else ():
        for condition in rule.conditions_beside_text:
            if not condition.holds(call):
                break
        else:
            found.append(index.candidate(rule, call, key))
            if rule.states is None and rule.turns is None:
                break
    return tuple(found)


def with_fallbacks(
    index: RuleIndex, found: tuple[Candidate, ...], call: Call, key: str, fallbacks: Fallbacks
) -> tuple[Candidate, ...]:
    """Return the candidates of a call, and where one may answer with an error those of the models that are asked then.

    Behind those of each model stands what answers where none of them does.
    """
    models = fallbacks.asked(call.model, call.body)

    def fails(reply: Reply) -> bool:
        return reply.kind == "error" and reply.content.get("name") not in fallbacks.not_after

    if len(models) == 1 or not any(index.by_id[item.rule].failing(fails) for item in found):
        return found
    chain: list[Candidate] = []
    for model in models:
        own = found if model == call.model else _fitting(index, call.asking(model), key)
        onward = len(chain) + len(own) + 1
        for item in own:
            rule = index.by_id[item.rule]
            failing = rule.failing(fails) if model != models[-1] else ()
            period = sum(reply.times for reply in rule.replies) if rule.after_last == "cycle" else 0
            chain.append(replace(item, model=model, failing=failing, period=period, onward=onward))
        chain.append(Candidate(OTHERWISE, OTHERWISE, None, None, None, model))
    return tuple(chain)


def _count_key(rule: Rule, call: Call, key: str) -> str:
    by = rule.count_by
    if by == "request":
        asked = canonical([call.body, call.params] if call.params else call.body)
        return f"{rule.id}\x1f{blake2b(asked, digest_size=16).hexdigest()}"
    if by == "key":
        return f"{rule.id}\x1f{key}"
    return f"{rule.id}\x1f{call.request.headers.get(by.removeprefix('header:').lower(), '')}"


#: How many rules are told of that came nearest.
_NEAREST = 3


def nearest_rules(rules: Sequence[Rule], call: Call, state: str, matching: set[str]) -> list[dict[str, Json]]:
    """Return the rules that came nearest to answering, and field by field what differed."""
    found = []
    for allowed in _allowed(rules):
        allowed.restart()
    for rule in rules:
        differences = [row for item in rule.conditions if (row := item.mismatch(call))]
        if rule.states and (state in rule.states[0]) is not rule.states[1]:
            names = sorted(rule.states[0])
            wanted = names[0] if rule.states[1] and len(names) == 1 else {"one_of" if rule.states[1] else "not": names}
            differences.append({"field": "state", "expected": wanted, "actual": state})
        elif rule.id in matching:
            differences.append({"field": "times", "expected": f"at most {rule.turns} calls", "actual": "used up"})
        found.append({"rule": rule.at, "id": rule.id, "differences": differences})
    return sorted(found, key=lambda item: len(item["differences"]))[:_NEAREST]


def difference_text(differences: Sequence[Mapping[str, Json]]) -> str:
    """Return differences as a message shows them."""
    return ", ".join(
        f"{item['field']}: expected {_short(item['expected'])}, got {_short(item['actual'])}{why_of(item)}"
        for item in differences
    )


def why_of(difference: Mapping[str, Json]) -> str:
    """Return why a field differs, as it stands behind a difference; empty where its values tell."""
    if "why" in difference:
        return f" ({difference['why']})"
    return " (in another case)" if _in_another_case(difference["expected"], difference["actual"]) else ""


def _in_another_case(expected: Json, actual: Json) -> bool:
    """Tell whether two texts, or one and what it has to contain, differ in nothing but upper and lower case."""
    if isinstance(expected, Mapping):
        part = expected.get("contains")
        return isinstance(part, str) and isinstance(actual, str) and part.casefold() in actual.casefold()
    return isinstance(expected, str) and isinstance(actual, str) and expected.casefold() == actual.casefold()


def _short(value: Json) -> str:
    text = compact(value)
    return text if len(text) <= 120 else text[:119] + "…"
