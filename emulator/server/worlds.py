"""The sessions of one server: made, found by address or key, and removed. Each has its snapshot and its clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

from emulator.core.engine import Engine
from emulator.core.errors import Json, Problem, SourceError, closest
from emulator.core.load import parse_text
from emulator.core.provider import Provider
from emulator.core.scenario import Scenario
from emulator.core.session import DEFAULT, Options, Session, build_session, check_upstreams
from emulator.core.store import Store
from emulator.core.understand import bearer
from emulator.core.wire import Exchange, Sent
from emulator.server.clock import Clock, VirtualClock, make_clock
from emulator.server.metrics import Metrics

if TYPE_CHECKING:
    from emulator.server.upstream import Upstream

#: What stands for the file's name of a scenario that was sent.
SENT = "session"
#: The prefix of a generated key where the docs show none.
KEY_PREFIX = "emu-"
#: Scenarios that were sent and are kept compiled: tests send the same ones over and over.
KEPT_SCENARIOS = 256


class Unaddressed(Exception):
    """A request that no provider answers, or a control request that cannot be met: our own error."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)

    def body(self) -> Json:
        rows = [asdict(item) for item in self.problems]
        return {"error": {"code": self.code, "message": self.message, "problems": rows}}


@dataclass(slots=True)
class World:
    """A session's current snapshot and its clock."""

    session: Session
    clock: Clock
    completed: list[tuple[int, str]] = field(default_factory=list)  # exchange, text the application took as its result
    watchers: set[Callable[[Exchange | None], None]] = field(default_factory=set)  # None: the session is gone


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: `path` is below the provider's base URL."""

    world: World
    provider: str
    path: str
    base_url: str
    addressed: bool  # the path names the session


@dataclass(slots=True)
class Worlds:
    """All sessions of one process."""

    engine: Engine
    store: Store
    options: Options
    max_sessions: int = 10_000
    by_id: dict[str, World] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    version: int = 0  # of what addresses depend on
    metrics: Metrics = field(default_factory=Metrics)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)  # by provider
    records: bool = False  # every request goes to its upstream
    recorder: Callable[[Exchange, Sent], None] | None = None  # is told of each exchange that has ended
    _kept: dict[Json, Scenario] = field(default_factory=dict)

    @property
    def providers(self) -> Mapping[str, Provider]:
        return self.engine.providers

    def open_default(self, scenarios: Sequence[Scenario]) -> World:
        """Make the session that always exists.

        Raises: SourceError, where the scenarios disagree.
        """
        return self._open(DEFAULT, scenarios, self.options)

    def open(self, scenario: Json, options: Options, label: str = SENT) -> World:
        """Make a session of its own, with a generated id and key; `label` stands for the scenario's file.

        Raises: Unaddressed, 409 for too many, 422 for a scenario that does not load.
        """
        if len(self.by_id) > self.max_sessions:
            message = f"there are {self.max_sessions} sessions already (--max-sessions); delete some"
            raise Unaddressed(409, "too_many_sessions", message)
        options = replace(options.over(self.options), api_keys=())
        try:
            scenarios = [] if scenario is None else [self.read(scenario, options.provider, label)]
            return self._open(secrets.token_hex(6), scenarios, options)
        except SourceError as error:
            raise _unloadable(error) from None

    def _open(self, id: str, scenarios: Sequence[Scenario], options: Options) -> World:
        draft = build_session(id, "", self.providers, scenarios, options, 0.0)
        check_upstreams(scenarios, draft.provider, self.upstreams)
        clock = make_clock(draft.clock)
        key = self._key(draft.provider)
        world = World(replace(draft, api_key=key, started=clock.now()), clock)
        self.by_id[id] = world
        self.by_key[key] = id
        self.version += 1
        return world

    def _key(self, provider: str | None) -> str:
        prefix = self.providers[provider].key_prefix if provider else ""
        return (prefix or KEY_PREFIX) + secrets.token_hex(16)

    def read(self, scenario: Json, provider: str | None, label: str = SENT) -> Scenario:
        """Load a scenario that was sent, YAML text or an object; one that was sent before is not compiled again."""
        try:
            text = scenario if isinstance(scenario, str) else orjson.dumps(scenario)
        except orjson.JSONEncodeError:  # deeper than what can be written
            return parse_text(scenario, label, self.providers, provider)
        name = (text, provider, label)
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = parse_text(scenario, label, self.providers, provider)
            if len(self._kept) > KEPT_SCENARIOS:
                del self._kept[next(iter(self._kept))]
        return found

    def find(self, id: str) -> World:
        """Return a session's world.

        Raises: Unaddressed, 404.
        """
        world = self.by_id.get(id)
        if world is None:
            raise Unaddressed(404, "emulator_unknown_session", f"There is no session '{id[:100]}'.")
        return world

    def put_scenario(self, id: str, scenario: Json, label: str = SENT) -> World:
        """Give a session another scenario: turns and state begin anew, journal, clock and added rules stay.

        What is under way was decided by the old one and is sent to its end, also what is held or silent.
        Raises: Unaddressed, 422, for one that does not load; 409, where one of its rules has an added rule's id.
        """
        try:
            return self.give(id, [self.read(scenario, self.find(id).session.options.provider, label)])
        except SourceError as error:
            raise _unloadable(error) from None

    def give(self, id: str, scenarios: Sequence[Scenario]) -> World:
        """Give a session other scenarios that are loaded: turns and state begin anew, the rest stays.

        Raises: SourceError, where they disagree; Unaddressed, 409, where a rule has an added rule's id.
        """
        world = self.find(id)
        old = world.session
        new = build_session(id, old.api_key, self.providers, scenarios, old.options, old.started)
        check_upstreams(scenarios, new.provider, self.upstreams)
        for rule in old.added:
            _check_free(rule.id, new)
        world.session = replace(new, clock=world.clock.kind, added=old.added)
        self.version += 1
        self.store.restart(id)
        return world

    def reset(self, id: str) -> World:
        """Forget what happened in a session; its scenario and its key stay, its clock begins anew."""
        world = self.find(id)
        self.store.reset(id)
        world.clock.release()
        world.clock = make_clock(world.session.clock)
        world.session = replace(world.session, started=world.clock.now())
        world.completed.clear()
        return world

    def add_rule(self, id: str, rule: Mapping[str, Json], at: str | None) -> World:
        """Put a rule before the others; one with the id of a rule that was added takes its place and its counts.

        Raises: Unaddressed, 422, for a rule that does not load.
        """
        world = self.find(id)
        session = world.session
        name = rule.get("id", f"added-{len(session.added) + 1}")
        _check_free(name, session)
        settings = session.settings[session.provider or next(iter(session.settings))]
        data = {"emulator": 1, "vars": settings.vars, "rules": [{**rule, "id": name}]}
        if session.provider:
            data["provider"] = session.provider
        try:
            made = self.read(data, session.provider).rules[0]
        except SourceError as error:
            raise _unloadable(_placed(error, at) if at else error) from None
        known = [item.id for item in session.added]  # the newest first
        before = len(known) - (known.index(name) + 1 if name in known else 0)
        made = replace(made, at=at or f"{SENT}:added[{before}]")
        others = [made if item.id == name else item for item in session.added]
        world.session = replace(session, added=tuple(others if name in known else [made, *others]))
        return world

    def ended(self, exchange: Exchange, sent: Sent) -> None:
        """Count an exchange that has ended, and tell who watches its session's journal."""
        self.metrics.count(exchange)
        self.metrics.time(exchange, sent)
        if self.recorder:
            self.recorder(exchange, sent)
        self.tell(replace(exchange, sent=sent))

    def tell(self, exchange: Exchange) -> None:
        """Tell who watches a session's journal."""
        world = self.by_id.get(exchange.request.session)
        for watch in tuple(world.watchers) if world else ():
            watch(exchange)

    def delete(self, id: str) -> None:
        """Remove a session. The default one cannot be removed."""
        world = self.find(id)
        if id == DEFAULT:
            raise Unaddressed(409, "default_session", "The default session always exists; reset it instead.")
        world.clock.release()
        for watch in tuple(world.watchers):
            watch(None)
        del self.by_id[id]
        self.version += 1
        self.by_key.pop(world.session.api_key, None)
        self.store.delete(id)

    # Addresses

    def locate(self, path: str, headers: Mapping[str, str], origin: str) -> Address:
        """Find session and provider of a path: /s/ID/PROVIDER/v1/…, /s/ID/v1/…, /PROVIDER/v1/…, /v1/….

        Raises: Unaddressed, 404, with the base URLs that are good.
        """
        steps = path.split("/")[1:] or [""]
        addressed = steps[0] == "s" and len(steps) > 1
        if addressed:
            world, steps, prefix = self.find(steps[1]), steps[2:], f"{origin}/s/{steps[1]}"
        else:
            chosen = self.by_key.get(bearer(headers), DEFAULT)
            world, prefix = self.by_id[chosen], origin
        name: str | None
        if steps and steps[0] in self.providers:
            name, steps, base_url = steps[0], steps[1:], f"{prefix}/{steps[0]}/v1"
        else:
            name, base_url = self._implied(world, headers), f"{prefix}/v1"
        if name is None or not steps or (steps[0] != "v1" and base_url == f"{prefix}/v1"):
            raise self._nowhere(path, prefix, steps, name)
        below = "/" + "/".join(steps[1:]) if steps[0] == "v1" else "/" + "/".join(["..", *steps])
        return Address(world, name, below, base_url, addressed)

    def _implied(self, world: World, headers: Mapping[str, str]) -> str | None:
        """Return the provider of a path that names none: the session's, the only one, or by the Host header."""
        if world.session.provider:
            return world.session.provider
        host = headers.get("host", "").partition(":")[0].lower()
        for provider in self.providers.values():
            if provider.host.partition(":")[0].lower() == host:
                return provider.name
        return next(iter(self.providers)) if len(self.providers) == 1 else None

    def _nowhere(self, path: str, prefix: str, steps: Sequence[str], implied: str | None) -> Unaddressed:
        bases = ", ".join(f"{prefix}/{name}/v1" for name in self.providers)
        message = f"There is nothing at {path[:200]}{self._meant(prefix, steps, implied)}. The base URLs are: {bases}."
        if steps[:1] == ["v1"]:
            message += " For /v1 alone, name one provider: in the scenario, or by --provider."
        return Unaddressed(404, "emulator_no_provider", message)

    def _meant(self, prefix: str, steps: Sequence[str], implied: str | None) -> str:
        """Name the URL of a path whose parts stand in another order, or lack /v1, or the nearest provider's name."""
        named = next((step for step in steps if step in self.providers), implied)
        if named:
            rest = steps[steps.index(named) + 1 :] if named in steps else steps
            below = "/" + "/".join(step for step in rest if step != "v1")
            base_url = f"{prefix}/v1" if named == implied else f"{prefix}/{named}/v1"
            return f" (did you mean {base_url}{below}?)" if below in self.providers[named].routes else ""
        close = closest(steps[0], self.providers) if steps else None
        return f" (did you mean '{close}'?)" if close else ""

    def base_urls(self, session: Session, origin: str) -> dict[str, str]:
        """Return the base URL of each provider that a session is for."""
        prefix = origin if session.id == DEFAULT else f"{origin}/s/{session.id}"
        names = [session.provider] if session.provider else list(self.providers)
        return {name: f"{prefix}/{name}/v1" for name in names}


def advance(world: World, seconds: float) -> None:
    """Move a session's virtual clock.

    Raises: Unaddressed, 409, on a real clock.
    """
    if not isinstance(world.clock, VirtualClock):
        message = "This session's clock is real and cannot be moved; make the session with clock: virtual."
        raise Unaddressed(409, "real_clock", message)
    world.clock.advance(seconds)


def _unloadable(error: SourceError) -> Unaddressed:
    return Unaddressed(422, "invalid_scenario", str(error), error.problems)


def _check_free(name: Json, session: Session) -> None:
    if any(item.id == name for item in session.rules):
        raise Unaddressed(409, "rule_exists", f"The scenario has a rule with the id '{name}' already.")


def _placed(error: SourceError, at: str) -> SourceError:
    """Return the problems of a rule that was made in a test, at its place there."""
    file, _, line = at.rpartition(":")
    number = int(line) if line.isdecimal() and len(line) < 10 else 1
    return SourceError(
        [replace(item, file=file or at, line=number, where=item.where.removeprefix("rules[0]").removeprefix("."))
         for item in error.problems]
    )  # fmt: skip
