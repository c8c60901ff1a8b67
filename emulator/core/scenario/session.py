"""A session: one isolated world as a frozen snapshot. What changes is in the Store; a new scenario is a new one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from emulator.core.errors import OPTIONS, Json, Problem, SourceError, nearest, shown
from emulator.core.frozen import frozen
from emulator.core.provider.plans import UNLIMITED
from emulator.core.provider.provider import Provider
from emulator.core.scenario.candidates import RuleIndex
from emulator.core.scenario.scenario import Chaos, Rule, Scenario
from emulator.core.tree import Path
from emulator.core.values import Plan

DEFAULT = "default"
#: How much of a request is looked at.
VALIDATION = ("documented", "compatible", "strict", "off")


class Conflict(SourceError):
    """Options or scenarios that cannot hold together: a matter of configuration, not of one file."""


@frozen
class Options:
    """What the command line or a POST decides over any scenario; None leaves it to the scenario.

    `otherwise` is the provider where neither they nor a scenario name one.
    """

    provider: str | None = None
    seed: int | None = None
    clock: str | None = None
    plan: str | Plan | None = None
    validation: str | None = None
    api_keys: tuple[str, ...] = ()
    otherwise: str | None = None

    @property
    def read_for(self) -> str | None:
        """The provider that a scenario is checked for which names none."""
        return self.provider or self.otherwise

    def over(self, other: Options) -> Options:
        """Return these options, and the other's where these say nothing."""
        mine = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(other, **{name: value for name, value in mine.items() if value not in (None, ())})


@frozen
class Settings:
    """What holds for one provider in a session."""

    plan: Plan
    validation: str = "documented"
    muted: frozenset[str] = frozenset()
    keys: frozenset[str] | None = None
    models: frozenset[str] = frozenset()
    vars: Mapping[str, Json] = field(default_factory=dict)
    unmatched: str = "refuse"


@dataclass(frozen=True, eq=False)
class Session:
    """One world's constants; `started` in Unix seconds of its clock."""

    id: str
    api_key: str
    options: Options
    provider: str | None
    seed: int
    clock: str
    started: float
    scenarios: tuple[Scenario, ...]
    rules: tuple[Rule, ...]
    settings: Mapping[str, Settings]
    chaos: tuple[Chaos, ...] = ()
    added: tuple[Rule, ...] = ()
    _index: dict[tuple[str, str], RuleIndex] = field(init=False, default_factory=dict, repr=False)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules in the order in which they are tried: those added one by one first, the newest before all."""
        return (*self.added, *self.rules)

    def chaos_for(self, provider: str, operation: str) -> tuple[Chaos, ...]:
        """Return what can strike an operation of a provider, in order."""
        return tuple(item for item in self.chaos if item.covers(provider, operation)) if self.chaos else ()

    def rules_for(self, provider: str, operation: str) -> RuleIndex:
        """Return the rules that can concern an operation of a provider, in order."""
        found = self._index.get((provider, operation))
        if found is None:
            rules = tuple(rule for rule in self.all_rules if rule.covers(provider, operation))
            found = self._index[provider, operation] = RuleIndex(rules)
        return found


def build_session(
    id: str,
    api_key: str,
    providers: Mapping[str, Provider],
    scenarios: Sequence[Scenario],
    options: Options,
    started: float,
) -> Session:
    """Settle what holds: options, then scenarios, then the provider.

    Raises: Conflict, where two scenarios disagree (both places), or an option names what does not exist.
    """
    named = {scenario.provider for scenario in scenarios} - {None}
    only = named.pop() if len(named) == 1 else None
    _check_options(options, providers, options.provider or only)
    provider = options.provider or only or options.otherwise
    _check_concerned(scenarios, options.provider)
    seed = options.seed if options.seed is not None else _agreed(scenarios, "seed")
    return Session(
        id=id,
        api_key=api_key,
        options=options,
        provider=provider,
        seed=seed if seed is not None else 0,
        clock=options.clock or _agreed(scenarios, "clock") or "real",
        started=started,
        scenarios=tuple(scenarios),
        rules=_rules(scenarios),
        settings={name: _settings(provider, scenarios, options) for name, provider in providers.items()},
        chaos=tuple(item for scenario in scenarios for item in scenario.chaos),
    )


def _check_concerned(scenarios: Sequence[Scenario], provider: str | None) -> None:
    """Check that there is a rule for a provider that was named: without one its answers would be built in, unnoticed.

    Raises: Conflict.
    """
    with_rules = [item for item in scenarios if item.rules]
    concerned = {name for item in with_rules for rule in item.rules for name, _ in rule.concerns}
    if provider is None or not with_rules or provider in concerned:
        return
    problems = [Problem(OPTIONS, 1, 1, "provider", f"{provider} is asked for, and no rule of the scenario is for it")]
    for item in with_rules:
        where = ("provider",) if item.provider else ("rules",)
        told = f"is {item.provider}, not {provider}" if item.provider else f"have no operation of {provider}"
        problems.append(item.problem(where, told))
    raise Conflict(problems)


def check_upstreams(scenarios: Iterable[Scenario], provider: str | None, upstreams: Collection[str]) -> None:
    """Check that there is somewhere to send on what scenarios leave to an upstream.

    Raises: Conflict.
    """
    problems = []
    for scenario in scenarios:
        name = scenario.provider or provider
        if name in upstreams or (name is None and upstreams):
            continue
        message = f"needs an upstream; start with --upstream {name or 'PROVIDER'}=BASE_URL"
        places: list[Path] = [("unmatched",)] if scenario.unmatched == "proxy" else []
        places += [(*reply.path, "proxy") for rule in scenario.rules for reply in rule.replies if reply.kind == "proxy"]
        problems += [scenario.problem(place, message) for place in places]
    if problems:
        raise Conflict(problems)


def _rules(scenarios: Sequence[Scenario]) -> tuple[Rule, ...]:
    """Join the rules of all files; ids that two files share get the file's number, so that each counts alone."""
    rules: list[Rule] = []
    seen: set[str] = set()
    for number, scenario in enumerate(scenarios, 1):
        for rule in scenario.rules:
            name = rule.id if rule.id not in seen else f"{rule.id}@{number}"
            seen.add(name)
            rules.append(rule if name == rule.id else replace(rule, id=name))
    return tuple(rules)


def _settings(provider: Provider, scenarios: Sequence[Scenario], options: Options) -> Settings:
    mine = [item for item in scenarios if item.provider in (None, provider.name)]
    plan = options.plan if options.plan is not None else _agreed(mine, "plan")
    keys = _agreed(mine, "keys")
    return Settings(
        plan=_plan(provider, plan),
        validation=options.validation or _agreed(mine, "validation") or "documented",
        muted=frozenset().union(*(item.mute for item in mine)),
        keys=frozenset(options.api_keys or keys) if keys is not None or options.api_keys else None,
        models=frozenset().union(*(item.models for item in mine)),
        vars=_agreed(mine, "vars") or {},
        unmatched=_agreed(mine, "unmatched") or "refuse",
    )


def _plan(provider: Provider, plan: str | Plan | None) -> Plan:
    if isinstance(plan, Plan):
        limited = plan.requests is not None or plan.tokens is not None
        return replace(plan, refills=provider.refills and limited)
    return provider.plans.get(plan or provider.default_plan) or provider.plans.get(provider.default_plan, UNLIMITED)


def _agreed(scenarios: Iterable[Scenario], name: str) -> Any:
    """Return the value that the scenarios give, or None; they must not differ."""
    given = [(item, getattr(item, name)) for item in scenarios if getattr(item, name) is not None]
    for item, value in given[1:]:
        if value != given[0][1]:
            both = ((given[0][0], given[0][1]), (item, value))
            message = "two scenarios that are served together disagree here"
            raise Conflict([scenario.problem((name,), message + _told(said)) for scenario, said in both])
    return given[0][1] if given else None


def _told(value: Any) -> str:
    """Show a value that is short and no key."""
    return f": {shown(value)}" if isinstance(value, str | int) else ""


def _check_options(options: Options, providers: Mapping[str, Provider], only: str | None) -> None:
    concerned = [providers[only]] if only and only in providers else list(providers.values())
    plans = {plan for provider in concerned for plan in provider.plans}
    checks: list[tuple[str, Any, Iterable[str]]] = [
        ("provider", options.provider, providers),
        ("plan", options.plan if isinstance(options.plan, str) else None, plans),
        ("validation", options.validation, VALIDATION),
        ("clock", options.clock, ("real", "virtual")),
    ]
    for name, value, known in checks:
        if value is not None and value not in known:
            raise Conflict([Problem(OPTIONS, 1, 1, name, f"there is no {name} '{value}'; {nearest(value, known)}")])
