"""A scenario: ordered rules with their replies, chaos, and the settings that come with them, as a file compiles to.

What chaos strikes is drawn by (seed, rule, n): the same again.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeAlias

from emulator.core.durations import NO_WAIT, Wait
from emulator.core.errors import Json, Problem
from emulator.core.faults.faults import Fault
from emulator.core.frozen import frozen
from emulator.core.scenario.matchers import Condition
from emulator.core.scenario.template import Rendered
from emulator.core.seeded_random import Draw
from emulator.core.source import Source
from emulator.core.tree import Path
from emulator.core.values import STARTED, Call, Note, Plan

# The names of what is noted of exchanges, and found in sessions: a scenario can mute them as it can facts of providers

#: Notes of what a scripted reply says that its request did not ask for.
NOT_OFFERED = "emulator:call-not-offered"
ARGUMENTS_BREAK = "emulator:arguments-break-schema"
TEXT_BREAKS = "emulator:text-breaks-schema"
CALL_LEFT_OUT = "emulator:call-left-out"
MISFITS = (NOT_OFFERED, ARGUMENTS_BREAK, TEXT_BREAKS, CALL_LEFT_OUT)
#: The path of the note that an error of chaos took an answer's place.
CHAOS_ERROR = "chaos.error"
#: What the verdict asks of a client at every provider.
MANNERS = ("no-vain-retry", "bounded-attempts", "retry-after", "cut-stream", "stalled-stream", "valid-requests")

#: How many earlier rules a rule is compared with, to find that it can never answer.
MOST_COMPARED = 500
#: More claims than come.
NEVER = 10**15


#: Reply keys of which one is given (text and tool_calls may stand together, and reasoning beside what is said).
SAID = ("reasoning", "text", "logprobs", "annotations", "tool_calls", "refusal", "outputs")
CONTENT = ("text", "tool_calls", "refusal", "outputs", "json", "events", "error", "embedding", "builtin", "proxy")


@frozen
class Pace:
    """How a stream is split and timed."""

    split: Json = "tokens"
    ttft: Wait = NO_WAIT
    itl: Wait = NO_WAIT
    documented: bool = False
    waits: tuple[Wait, ...] = ()  # in turn, before `itl` goes on


@frozen
class Reply:
    """What the author wrote: no ids, no bytes yet. `content` and `headers` may hold templates, filled by `fill`."""

    kind: str  # message, json, events, error, embedding, builtin or proxy
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
    operation: str  # a name, `any`, or a kind where none was named
    conditions: tuple[Condition, ...]
    states: tuple[frozenset[str], bool] | None
    replies: tuple[Reply, ...]
    after_last: str
    turns: int | None
    count_by: str
    then: str | None
    expect: tuple[int, float] | None
    expected: Json = None
    concerns: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)  # provider, operation

    def covers(self, provider: str, operation: str) -> bool:
        return (provider, operation) in self.concerns

    def reply_at(self, turn: int) -> int:
        """Return the index of the reply for the turn-th claim, from 1."""
        if len(self.replies) == 1:
            return 0
        total = self._ends[-1]
        turn = (turn - 1) % total if self.after_last == "cycle" else min(turn, total) - 1
        return bisect_right(self._ends, turn)

    def failing(self, fails: Callable[[Reply], bool]) -> tuple[tuple[int, int], ...]:
        """Return the first and the last of the claims that get such replies, until the replies begin anew."""
        ends = [*self._ends[:-1], self._ends[-1] if self.after_last == "cycle" else NEVER]
        return tuple(
            (end - reply.times + 1, last)
            for reply, end, last in zip(self.replies, self._ends, ends, strict=True)
            if fails(reply)
        )

    @functools.cached_property
    def exact_text(self) -> str | None:
        """The only last user text that it answers; None where it is not a single one."""
        wanted = [item.expected for item in self.conditions if item.field == "last_user"]
        texts = [item["equals"] if isinstance(item, Mapping) and "equals" in item else item for item in wanted]
        return texts[0] if texts and isinstance(texts[0], str) else None

    @functools.cached_property
    def conditions_beside_text(self) -> tuple[Condition, ...]:
        """The conditions that are left to look at where the last user text is the only one that it answers."""
        return tuple(item for item in self.conditions if item.field != "last_user" or self.exact_text is None)

    @functools.cached_property
    def _ends(self) -> Sequence[int]:
        """After how many claims each reply has had its times."""
        return list(accumulate(reply.times for reply in self.replies))


#: What the conditions of a rule expect, and of which fields.
Wanted: TypeAlias = Sequence[tuple[str, Json]]


@frozen
class Chaos:
    """What strikes any answer at random: an error instead of it, or a fault."""

    at: str
    chance: float
    provider: str | None
    operation: str
    conditions: tuple[Condition, ...]
    strike: Reply | Fault

    def covers(self, provider: str, operation: str) -> bool:
        return self.provider in (None, provider) and self.operation in ("any", operation)


@frozen
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
    chaos: tuple[Chaos, ...] = ()
    source: Source | None = None
    warnings: tuple[Problem, ...] = ()

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem at the place of `path` in the file."""
        return (self.source or Source(self.file, None, {})).problem(path, message)


def with_warnings(scenario: Scenario, warnings: Sequence[Problem]) -> Scenario:
    """Return a scenario with more warnings, the unreachable rules among them."""
    return replace(scenario, warnings=(*scenario.warnings, *warnings, *_unreachable(scenario)))


def _unreachable(scenario: Scenario) -> Iterator[Problem]:
    """Find rules that can never answer: an earlier one takes all they match, or nothing leads to their state."""
    reached = {STARTED, *(rule.then for rule in scenario.rules if rule.then)}
    for index, rule in enumerate(scenario.rules):
        if rule.states and rule.states[1] and not rule.states[0] & reached:
            names = " or ".join(sorted(rule.states[0]))
            message = f"can never answer: no rule's `then` leads to the state {names}"
            yield scenario.problem(("rules", index), message)
    yield from (problem for _, problem in _covered([scenario]))


def covered_by_others(scenarios: Sequence[Scenario]) -> Iterator[Problem]:
    """Find rules that can never answer because one of an earlier file takes all they match."""
    own = {id(rule): scenario.file for scenario in scenarios for rule in scenario.rules}
    for earlier, problem in _covered(scenarios):
        if own[id(earlier)] != problem.file:
            yield problem


def _covered(scenarios: Sequence[Scenario]) -> Iterator[tuple[Rule, Problem]]:
    """Yield what is wrong with each rule behind one that takes all it matches, and that earlier rule."""
    endless: list[tuple[Rule, Wanted]] = []  # those that go on for ever, as far as one is not covered by another
    for scenario in scenarios:
        for index, rule in enumerate(scenario.rules):
            wanted = [(item.field, item.expected) for item in rule.conditions]
            compared = endless[:MOST_COMPARED]
            earlier = next((item for item, others in compared if _takes_all(item, others, rule, wanted)), None)
            if earlier:
                what = "the same" if earlier.conditions or earlier.states else "everything"
                message = f"can never answer: '{earlier.id}' ({earlier.at}) answers {what} before it"
                yield earlier, scenario.problem(("rules", index), message)
            elif rule.turns is None:
                endless.append((rule, wanted))


def _takes_all(earlier: Rule, others: Wanted, rule: Rule, wanted: Wanted) -> bool:
    """Tell whether an earlier rule matches whatever a rule matches: what it wants is among what the rule wants."""
    return (
        earlier.concerns >= rule.concerns
        and earlier.states in (None, rule.states)
        and all(item in wanted for item in others)
    )


# Chaos


@frozen
class Strikes:
    """What strikes one answer: an error that takes its place, and faults, by what they are drawn by."""

    error: Reply | None = None
    faults: Mapping[str, Fault] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)  # FILE:LINE of each fault, and of "error"

    @property
    def any(self) -> bool:
        return self.error is not None or bool(self.faults)

    def notes(self, idle: Sequence[str], drawn_by: str) -> list[Note]:
        """Return a note for each that struck; `idle` are the faults that had nothing to act on."""
        what = {"error": (CHAOS_ERROR, f"the error {self.error.content['name']}")} if self.error else {}
        what |= {label: ("chaos", f"the fault {fault.kind}") for label, fault in self.faults.items()}
        return [
            Note(None, path, f"{text} had nothing to act on here")
            if label in idle
            else Note(None, path, f"{text} struck ({self.at[label]}; {drawn_by} bring it again)")
            for label, (path, text) in what.items()
        ]


NONE = Strikes()


def strikes(chaos: Sequence[Chaos], call: Call, draw: Draw) -> Strikes:
    """Draw what strikes: the first error that does, and every fault."""
    if not chaos:
        return NONE
    for condition in (condition for item in chaos for condition in item.conditions):
        condition.allowed.restart()
    struck = {
        f"chaos/{index}": item
        for index, item in enumerate(chaos)
        if draw.uniform(f"chaos/{index}") < item.chance and all(condition.holds(call) for condition in item.conditions)
    }
    errors = [(item.strike, item.at) for item in struck.values() if isinstance(item.strike, Reply)]
    error, at = errors[0] if errors else (None, "")
    faults = {label: item.strike for label, item in struck.items() if isinstance(item.strike, Fault)}
    return Strikes(error, faults, {"error": at} | {label: item.at for label, item in struck.items()})
