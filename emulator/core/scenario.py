"""A scenario: ordered rules compiled from YAML, and the settings that come with them.

parse_source -> the scenario schema -> rules and replies; every problem of a file is collected before it is refused
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.faults import Fault, parse_fault
from emulator.core.folder import own_schema, schema_problems
from emulator.core.matching import Condition, MatchError, compile_when
from emulator.core.provider import Provider
from emulator.core.source import Path, Source
from emulator.core.template import Rendered, TemplateError, compile_template, reply_path_check
from emulator.core.timing import NO_WAIT, Wait, parse_wait
from emulator.core.wire import STARTED, Plan

#: Reply keys of which one is given (text and tool_calls may stand together).
CONTENT = ("text", "tool_calls", "refusal", "json", "events", "error", "embedding", "builtin")
#: Keys whose values are sent as they are.
_VERBATIM = {"text", "arguments", "json", "events", "body", "embedding", "vars"}
#: How many earlier rules a rule is compared with, to find that it can never answer.
MOST_COMPARED = 500
#: Rules of ours; their draws and counts go by these names.
RESERVED_IDS = {"built-in", "refused", "unmatched", "replay", "withheld"}
#: Headers that the server writes by itself.
RESERVED_HEADERS = {"content-length", "transfer-encoding", "connection", "date", "content-type"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream is split and timed."""

    split: Json = "tokens"
    ttft: Wait = NO_WAIT
    itl: Wait = NO_WAIT
    documented: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What the author wrote: no ids, no bytes yet. `content` and `headers` may hold templates, filled by `fill`."""

    kind: str  # message, json, events, error, embedding or builtin
    content: Json
    headers: Mapping[str, str]
    fill: Rendered | None  # fills {content, headers}
    path: Path
    times: int = 1
    latency: Wait = NO_WAIT
    pace: Pace = Pace()
    faults: tuple[Fault, ...] = ()
    status: int | None = None
    usage: Json = None
    finish_reason: str | None = None
    verbatim: bool = False
    off_contract: bool = False
    retry_after: float | None = None


@dataclass(frozen=True)
class Rule:
    """When, replies, and what comes after the last. `turns` is after how many claims it stops matching."""

    id: str
    at: str
    provider: str | None
    operation: str
    conditions: tuple[Condition, ...]
    states: tuple[frozenset[str], bool] | None
    replies: tuple[Reply, ...]
    after_last: str
    turns: int | None
    count_by: str
    then: str | None
    expect: tuple[int, float] | None
    expected: Json = None

    def covers(self, provider: str, operation: str) -> bool:
        return self.provider in (None, provider) and self.operation in ("any", operation)

    def reply_at(self, turn: int) -> int:
        """Return the index of the reply for the turn-th claim, from 1."""
        total = self._ends[-1]
        turn = (turn - 1) % total if self.after_last == "cycle" else min(turn, total) - 1
        return bisect_right(self._ends, turn)

    @functools.cached_property
    def _ends(self) -> Sequence[int]:
        """After how many claims each reply has had its times."""
        return list(accumulate(reply.times for reply in self.replies))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A compiled file. Settings that the file leaves out are None."""

    file: str
    rules: tuple[Rule, ...]
    provider: str | None = None
    description: str = ""
    seed: int | None = None
    clock: str | None = None
    validation: str | None = None
    mute: frozenset[str] = frozenset()
    keys: frozenset[str] | None = None
    models: frozenset[str] = frozenset()
    plan: str | Plan | None = None
    vars: Mapping[str, Json] | None = None
    unmatched: str | None = None
    source: Source | None = None
    warnings: tuple[Problem, ...] = ()


def parse_scenario(source: Source, providers: Mapping[str, Provider], label: str = "") -> Scenario:
    """Compile a loaded source; `label` replaces the file's name in rules' addresses.

    Raises: SourceError, with every problem.
    """
    problems = schema_problems(own_schema("scenario"), source)
    if problems:
        raise SourceError(problems)
    return _Parser(source, providers, label or source.file).parse()


class _Parser:
    """Compiles one scenario whose form is right; what is wrong beyond the form is collected."""

    def __init__(self, source: Source, providers: Mapping[str, Provider], label: str) -> None:
        self.source = source
        self.data = _whole_numbers(source.data)
        self.providers = providers
        self.label = label
        self.problems: list[Problem] = []
        self.check_path = reply_path_check(self.data.get("vars") or {})
        self.named = self.data.get("provider")

    def report(self, path: Path, message: str) -> None:
        self.problems.append(self.source.problem(path, message))

    def parse(self) -> Scenario:
        if self.named is not None and self.named not in self.providers:
            self.report(("provider",), f"there is no provider '{self.named}'; {nearest(self.named, self.providers)}")
            raise SourceError(self.problems)
        self.check_settings()
        rules = [self.rule(index, item) for index, item in enumerate(self.data.get("rules") or [])]
        self.check_ids([rule.id for rule in rules])
        if self.problems:
            raise SourceError(self.problems)
        data = self.data
        return Scenario(
            self.source.file, tuple(rules), self.named, data.get("description", ""), data.get("seed"),
            data.get("clock"), data.get("validation"), frozenset(data.get("mute", ())),
            frozenset(data["keys"]) if "keys" in data else None, frozenset(data.get("models", ())),
            _plan(data.get("plan")), data.get("vars"), data.get("unmatched"), self.source,
        )  # fmt: skip

    def scope(self) -> Iterator[Provider]:
        """Yield the providers that this file can concern."""
        yield from [self.providers[self.named]] if self.named else self.providers.values()

    def check_settings(self) -> None:
        facts = {fact for provider in self.scope() for fact in provider.facts}
        for index, fact in enumerate(self.data.get("mute", ())):
            if fact not in facts:
                self.report(("mute", index), f"there is no fact '{fact}'; {nearest(fact, facts)}")
        plan = self.data.get("plan")
        plans = {name for provider in self.scope() for name in provider.plans}
        if isinstance(plan, str) and plan not in plans:
            self.report(("plan",), f"there is no plan '{plan}'; {nearest(plan, plans)}")

    def check_ids(self, ids: Sequence[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in RESERVED_IDS:
                self.report(("rules", index, "id"), f"'{name}' names what is no rule; choose another id")
            if name in seen:
                self.report(("rules", index), f"the id '{name}' stands here a second time")
            seen.add(name)

    def rule(self, index: int, data: Mapping[str, Any]) -> Rule:
        path: Path = ("rules", index)
        when = data.get("when") or {}
        key = "replies" if "replies" in data else "reply"
        given = data[key] if key == "replies" else [data[key]]
        replies = [self.reply((*path, key, turn) if key == "replies" else (*path, key), item)
                   for turn, item in enumerate(given)]  # fmt: skip
        default = "unmatched" if "times" in given[-1] else "repeat"
        after_last = data.get("after_last", default)
        expected = data.get("expect")
        return Rule(
            id=data.get("id", f"rule-{index + 1}"),
            at=f"{self.label}:{self.source.place(path)[0]}",
            provider=self.named,
            operation=self.operation((*path, "when"), when, replies),
            conditions=self.conditions((*path, "when"), when),
            states=state_set(when["state"]) if "state" in when else None,
            replies=tuple(replies),
            after_last=after_last,
            turns=sum(reply.times for reply in replies) if after_last == "unmatched" else None,
            count_by=data.get("count_by", "session"),
            then=str(data["then"]["state"]) if "then" in data else None,
            expect=self.expect((*path, "expect"), expected) if expected else None,
            expected=expected,
        )

    def expect(self, path: Path, spec: Mapping[str, int]) -> tuple[int, float]:
        """Return the fewest and the most claims that are right."""
        least, most = spec.get("calls", spec.get("min", 0)), spec.get("calls", spec.get("max", math.inf))
        if least > most:
            self.report(path, f"min is {least} and max is {most}: nothing is between them")
        return least, most

    def operation(self, path: Path, when: Mapping[str, Any], replies: Sequence[Reply]) -> str:
        name = when.get("operation")
        if name is None:
            return "embeddings" if replies[0].kind == "embedding" else "chat"
        known = {"any", *(name for provider in self.scope() for name in provider.operations)}
        if name not in known:
            self.report((*path, "operation"), f"there is no operation '{name}'; {nearest(name, known)}")
        return str(name)

    def conditions(self, path: Path, when: Mapping[str, Any]) -> tuple[Condition, ...]:
        found: list[Condition] = []
        for name, spec in when.items():  # one by one, so that each problem is found
            several = name in ("headers", "body")
            for part in [{name: {key: item}} for key, item in spec.items()] if several else [{name: spec}]:
                try:
                    found += compile_when(part)
                except MatchError as error:
                    self.report((*path, *error.path), str(error))
        return tuple(found)

    def reply(self, path: Path, data: Mapping[str, Any]) -> Reply:
        kind, content = _content(data)
        headers = self.headers((*path, "headers"), data.get("headers", {}))
        return Reply(
            kind=kind,
            content=content,
            headers=headers,
            fill=self.template(path, kind, {"content": content, "headers": headers}),
            path=path,
            times=data.get("times", 1),
            latency=self.wait((*path, "latency"), data.get("latency", 0)),
            pace=self.pace((*path, "stream"), data),
            faults=self.faults((*path, "faults"), data.get("faults", ())),
            status=data.get("status"),
            usage=data.get("usage"),
            finish_reason=data.get("finish_reason"),
            verbatim=data.get("verbatim", False),
            off_contract=data.get("off_contract", False),
            retry_after=self.wait((*path, "retry_after"), data["retry_after"]).first if "retry_after" in data else None,
        )

    def template(self, path: Path, kind: str, value: Json) -> Rendered | None:
        try:
            return compile_template(value, self.check_path)
        except TemplateError as error:
            self.report(path, str(error))
            return None

    def headers(self, path: Path, data: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in data.items():
            if name.lower() in RESERVED_HEADERS or name.lower().startswith("x-emulator-"):
                self.report((*path, name), "is written by the server and cannot be set here")
            elif not name or not all(char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~") for char in name):
                self.report((*path, name), "is no header name; use letters, digits and dashes")
            elif not value.isascii() or any(ord(char) < 32 or ord(char) == 127 for char in value):
                self.report((*path, name), "may hold only printable ASCII characters")
        return data

    def wait(self, path: Path, value: Json) -> Wait:
        try:
            return parse_wait(value)
        except ValueError as error:
            self.report(path, str(error))
            return NO_WAIT

    def pace(self, path: Path, data: Mapping[str, Any]) -> Pace:
        given = data.get("stream")
        if not given:
            return Pace()
        split, text = given.get("split", "tokens"), data.get("text")
        if isinstance(split, list) and isinstance(text, str) and "${" not in text and "".join(split) != text:
            self.report((*path, "split"), "the pieces, joined, are not the text")
        ttft, itl = (self.wait((*path, name), given.get(name, 0)) for name in ("ttft", "itl"))
        return Pace(split, ttft, itl, given.get("pace") == "documented")

    def faults(self, path: Path, items: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
        faults = []
        for index, item in enumerate(items):
            try:
                faults.append(parse_fault(item))
            except ValueError as error:
                self.report((*path, index), str(error))
        return tuple(faults)


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


def _content(data: Mapping[str, Any]) -> tuple[str, Json]:
    """Return a reply's kind and content."""
    if "text" in data or "tool_calls" in data or "refusal" in data:
        return "message", {name: data[name] for name in ("text", "tool_calls", "refusal") if name in data}
    kind = next(name for name in CONTENT if name in data)
    content = data[kind]
    if kind == "error" and isinstance(content, str):
        content = {"name": content}
    return kind, content


def state_set(spec: Json) -> tuple[frozenset[str], bool]:
    """Return the states that a matcher names, and whether they are the good ones."""
    if not isinstance(spec, Mapping):
        return frozenset([str(spec)]), True
    operator, operand = next(iter(spec.items()))
    return frozenset(map(str, operand if isinstance(operand, list) else [operand])), operator != "not"


def _plan(spec: Json) -> str | Plan | None:
    if not isinstance(spec, Mapping):
        return spec  # type: ignore[no-any-return]
    return Plan("scenario", spec.get("requests_per_minute"), spec.get("tokens_per_minute"))


def with_warnings(scenario: Scenario, warnings: Sequence[Problem]) -> Scenario:
    """Return a scenario with more warnings, the unreachable rules among them."""
    return replace(scenario, warnings=(*scenario.warnings, *warnings, *_unreachable(scenario)))


def _unreachable(scenario: Scenario) -> Iterator[Problem]:
    """Find rules that can never answer: an earlier one takes all they match, or nothing leads to their state."""
    reached = {STARTED, *(rule.then for rule in scenario.rules if rule.then)}
    endless: list[Rule] = []  # those that go on for ever, as far as one is not covered by another
    for index, rule in enumerate(scenario.rules):
        if rule.states and rule.states[1] and not rule.states[0] & reached:
            names = " or ".join(sorted(rule.states[0]))
            message = f"can never answer: no rule's `then` leads to the state {names}"
            yield _problem(scenario, ("rules", index), message)
        earlier = next((item for item in endless[:MOST_COMPARED] if _takes_all(item, rule)), None)
        if earlier:
            what = "the same" if earlier.conditions or earlier.states else "everything"
            message = f"can never answer: '{earlier.id}' ({earlier.at}) answers {what} before it"
            yield _problem(scenario, ("rules", index), message)
        elif rule.turns is None:
            endless.append(rule)


def _takes_all(earlier: Rule, rule: Rule) -> bool:
    """Tell whether an earlier rule matches whatever a rule matches: its conditions are among the rule's."""
    wanted = [(item.field, item.expected) for item in rule.conditions]
    return (
        earlier.operation in ("any", rule.operation)
        and earlier.states in (None, rule.states)
        and all((item.field, item.expected) in wanted for item in earlier.conditions)
    )


def _problem(scenario: Scenario, path: Path, message: str) -> Problem:
    source = scenario.source or Source(scenario.file, None, {})
    return source.problem(path, message)
