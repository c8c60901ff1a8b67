"""Parsing a scenario: from a loaded source to rules and replies; every problem of a file is collected first.

parse_source -> the scenario schema, read as it was meant -> rules and replies
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.core.errors import Json, Problem, SourceError, closest, in_order, nearest, shown
from emulator.core.faults.faults import Fault
from emulator.core.provider.plans import read_plan
from emulator.core.provider.provider import Provider
from emulator.core.scenario.matchers import Condition, MatchError, compile_when, state_set
from emulator.core.scenario.problems import Found, Meant, as_meant
from emulator.core.scenario.replies import Replies
from emulator.core.scenario.scenario import MANNERS, MISFITS, Chaos, Reply, Rule, Scenario
from emulator.core.schema.formats import own_schema
from emulator.core.schema.untrusted import Allowance
from emulator.core.source import Source
from emulator.core.tree import Path

#: Keys whose values are sent as they are.
_VERBATIM = {"text", "arguments", "json", "events", "body", "embedding", "vars", "logprobs"}
#: Keys that a Scenario has under the same name, as they are.
_AS_GIVEN = ("description", "clock", "validation", "vars", "unmatched")
#: Rules of ours; their draws and counts go by these names.
RESERVED_IDS = {"built-in", "proxy", "refused", "unmatched", "replay", "withheld"}


def parse_scenario(source: Source, providers: Mapping[str, Provider], label: str) -> tuple[Scenario, Sequence[Problem]]:
    """Compile a loaded source; `label` replaces the file's name in rules' addresses.

    With its problems, if there are any; the scenario has the rules then that have none.
    Raises: SourceError, where they leave nothing that can be compiled.
    """
    meant = as_meant(own_schema("scenario"), source)
    if meant.source is None:
        raise SourceError(in_order(meant.problems))
    parser = _Parser(meant.source, providers, label or source.file, meant)
    return parser.parse(), parser.found.problems


class _Parser:
    """Compiles one scenario whose form is right; what is wrong beyond the form is collected."""

    def __init__(self, source: Source, providers: Mapping[str, Provider], label: str, meant: Meant) -> None:
        self.found = Found(source, label, meant)
        self.source, self.providers = source, providers
        self.data = _whole_numbers(source.data)
        self.allowed = Allowance()
        self.named = self.data.get("provider")
        if self.named is not None and self.named not in providers:
            self.found.report(("provider",), f"there is no provider '{self.named}'; {nearest(self.named, providers)}")
            self.named = closest(self.named, providers)
            if self.named is None:
                raise SourceError(in_order(self.found.problems))
        self.scope = [providers[self.named]] if self.named else list(providers.values())
        self.replies = Replies(self.found, self.scope, self.data.get("vars") or {})

    def parse(self) -> Scenario:
        self.check_settings()
        rules = [self.rule(index, item) for index, item in enumerate(self.data.get("rules") or [])]
        chaos = [self.chaos(index, item) for index, item in enumerate(self.data.get("chaos") or [])]
        self.check_ids([rule.id for rule in rules])
        data = self.data
        plan = data.get("plan")
        if isinstance(plan, Mapping):
            plan = read_plan("scenario", plan)
        return Scenario(
            file=self.source.file,
            rules=tuple(rule for index, rule in enumerate(rules) if ("rules", index) not in self.found.wrong),
            provider=self.named,
            seed=self.seed(),
            mute=frozenset(data.get("mute", ())),
            keys=frozenset(data["keys"]) if "keys" in data else None,
            models=frozenset(data.get("models", ())),
            plan=plan,
            chaos=tuple(item for index, item in enumerate(chaos) if ("chaos", index) not in self.found.wrong),
            source=self.source,
            **{name: data[name] for name in _AS_GIVEN if name in data},
        )

    def seed(self) -> int | None:
        """Return the seed as it was given: other numbers over 63 bits are floats by now."""
        given = self.source.data.get("seed")
        return None if given is None else int(given)

    def check_settings(self) -> None:
        facts = {fact for provider in self.scope for fact in provider.known_facts} | {*MISFITS, *MANNERS}
        for index, fact in enumerate(self.data.get("mute", ())):
            if fact not in facts:
                self.found.report(("mute", index), f"there is no fact '{fact}'; {nearest(fact, facts)}")
        seed = self.source.data.get("seed", 0)
        if isinstance(seed, float) and abs(seed) >= 2**63:  # as loading reads what has more than 64 bits
            self.found.report(("seed",), f"must be a whole number of at most 64 bits, not {shown(seed)}")
        plan = self.data.get("plan")
        plans = {name for provider in self.scope for name in provider.plans}
        if isinstance(plan, str) and plan not in plans:
            self.found.report(("plan",), f"there is no plan '{plan}'; {nearest(plan, plans)}")

    def check_ids(self, ids: Sequence[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in RESERVED_IDS:
                self.found.report(("rules", index, "id"), f"'{name}' names what is no rule; choose another id")
            if name in seen:
                self.found.report(("rules", index), f"the id '{name}' stands here a second time")
            seen.add(name)

    def rule(self, index: int, data: Mapping[str, Any]) -> Rule:
        path: Path = ("rules", index)
        when = data.get("when") or {}
        key = "replies" if "replies" in data else "reply"
        given = data[key] if key == "replies" else [data[key]]
        replies = [self.replies.reply((*path, key, turn) if key == "replies" else (*path, key), item)
                   for turn, item in enumerate(given)]  # fmt: skip
        default = "unmatched" if "times" in given[-1] else "repeat"
        after_last = data.get("after_last", default)
        expected = data.get("expect")
        kind = "embeddings" if replies[0].kind == "embedding" else "chat"
        operation, concerns = self.operation((*path, "when"), when, kind)
        return Rule(
            id=data.get("id", f"rule-{index + 1}"),
            at=self.found.at(path),
            provider=self.named,
            operation=operation,
            conditions=self.conditions((*path, "when"), when),
            states=state_set(when["state"]) if "state" in when else None,
            replies=tuple(replies),
            after_last=after_last,
            turns=sum(reply.times for reply in replies) if after_last == "unmatched" else None,
            count_by=data.get("count_by", "session"),
            then=str(data["then"]["state"]) if "then" in data else None,
            expect=self.expect((*path, "expect"), expected) if expected else None,
            expected=expected,
            concerns=concerns,
        )

    def chaos(self, index: int, data: Mapping[str, Any]) -> Chaos:
        path: Path = ("chaos", index)
        when = data.get("when") or {}
        if "state" in when:
            self.found.report((*path, "when", "state"), "cannot be used here; chaos strikes in every state")
        return Chaos(
            at=self.found.at(path),
            chance=data["chance"],
            provider=self.named,
            operation=self.operation((*path, "when"), when, "any")[0],
            conditions=self.conditions((*path, "when"), when),
            strike=self.strike(path, data),
        )

    def strike(self, path: Path, data: Mapping[str, Any]) -> Reply | Fault:
        if "error" in data:
            return self.replies.reply(path, {name: data[name] for name in ("error", "retry_after") if name in data})
        fault = self.replies.fault((*path, "fault"), data["fault"])
        if "chance" in data["fault"]:
            self.found.report((*path, "fault", "chance"), "stands here a second time; the one of the chaos is enough")
        return fault

    def expect(self, path: Path, spec: Mapping[str, int]) -> tuple[int, float]:
        """Return the fewest and the most claims that are right."""
        least, most = spec.get("calls", spec.get("min", 0)), spec.get("calls", spec.get("max", math.inf))
        if least > most:
            self.found.report(path, f"min is {least} and max is {most}: nothing is between them")
        return least, most

    def operation(self, path: Path, when: Mapping[str, Any], left_out: str) -> tuple[str, frozenset[tuple[str, str]]]:
        """Return what a `when` calls the operation, and all that it concerns; left out, those of a kind."""
        name = str(when.get("operation", left_out))
        known = [(provider.name, item) for provider in self.scope for item in provider.operations.values()]
        of_kind = [pair for pair in known if "operation" not in when and pair[1].kind == left_out]
        named = of_kind or [pair for pair in known if name in ("any", pair[1].name)]
        if not named:
            names = {"any", *(item.name for _, item in known)}
            self.found.report((*path, "operation"), f"there is no operation '{name}'; {nearest(name, names)}")
        return name, frozenset((provider, item.name) for provider, item in named)

    def conditions(self, path: Path, when: Mapping[str, Any]) -> tuple[Condition, ...]:
        found: list[Condition] = []
        for name, spec in when.items():  # one by one, so that each problem is found
            several = name in ("headers", "body")
            for part in [{name: {key: item}} for key, item in spec.items()] if several else [{name: spec}]:
                try:
                    found += compile_when(part, self.allowed)
                except MatchError as error:
                    self.found.report((*path, *error.path), str(error))
        return tuple(found)


def _whole_numbers(value: Json) -> Json:
    """Return data whose 3.0 are 3: JSON Schema takes both for integers. What is sent as it is stays so.

    From 2**63 on they are floats instead: the sum of two would be more than JSON is written with.
    """
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, Mapping):
        return {key: item if key in _VERBATIM else _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return value
    return int(value) if abs(value) < 2**63 else float(value)
