"""The sessions of one server: made, found by address or key, and removed. Each has its snapshot and its clock."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from emulator.core.engine.engine import Engine
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.keys import KeyPlace, keys_sent
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import DEFAULT, Options, Session, build_session, check_upstreams
from emulator.core.store import Store
from emulator.core.values import Exchange, Request, Sent
from emulator.server.metrics import Metrics
from emulator.server.own_errors import OwnError
from emulator.server.sessions.addresses import find_place, implied_provider, nowhere
from emulator.server.sessions.clock import Clock, make_clock
from emulator.server.sessions.source import SENT, Builder, SessionSource

if TYPE_CHECKING:
    from emulator.server.upstream.client import Upstream

#: The prefix of a generated key where the docs show none.
KEY_PREFIX = "emu-"
#: Bytes of the scenarios and rules that all sessions may have been sent together.
MOST_SCENARIO_BYTES = 200_000_000
#: Results of the application that a session remembers.
MOST_COMPLETED = 1000


class Sharing(Protocol):
    """The sessions of all workers that share a store, as far as others ask for them."""

    store: Any

    async def decide(
        self, path: str, query: str, headers: Mapping[str, str], locate: Callable[[], tuple[LiveSession, Request]]
    ) -> tuple[LiveSession, Exchange]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def meet(self, id: str) -> None: ...
    async def meet_all(self) -> None: ...
    def changing(self, id: str) -> AbstractAsyncContextManager[None]: ...
    async def share(self, live: LiveSession) -> None: ...
    async def count(self) -> int: ...
    async def complete(self, live: LiveSession, number: int, mark: str) -> None: ...
    async def completed(self, live: LiveSession) -> list[tuple[int, str]]: ...
    async def watch(self, live: LiveSession) -> None: ...
    async def unwatch(self, live: LiveSession) -> None: ...


@dataclass(slots=True)
class LiveSession:
    """A session's current snapshot and its clock, and what the snapshot was built from."""

    session: Session
    clock: Clock
    source: SessionSource
    completed: list[tuple[int, str]] = field(default_factory=list)  # exchange, mark of the text taken of it
    watchers: set[Callable[[Exchange | None], None]] = field(default_factory=set)  # None: the session is gone
    size: int = 0  # bytes of the scenario and the rules that it was sent
    forgets: str = ""  # what a change makes a shared store forget: turns, or all


@frozen
class Address:
    """Where a request goes: `path` is below the provider's base URL."""

    live: LiveSession
    provider: str
    path: str
    base_url: str
    addressed: bool  # the path names the session


@dataclass(slots=True)
class LiveSessions:
    """All sessions of one process, or with `sharing` those of all workers that this one has met."""

    engine: Engine
    store: Store
    options: Options
    max_sessions: int = 10_000
    by_id: dict[str, LiveSession] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    sharing: Sharing | None = None
    version: int = 0  # of what addresses depend on
    size: int = 0  # of all sessions
    metrics: Metrics = field(default_factory=Metrics)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)  # by provider
    records: bool = False  # every request goes to its upstream
    reviewer: Callable[[LiveSession], Awaitable[None]] | None = None  # sees each session before it is forgotten
    recorder: Callable[[Exchange, Sent], None] | None = None  # is told of each exchange that has ended
    builder: Builder = field(init=False)
    ways: Sequence[KeyPlace] = field(init=False)  # in which any provider takes keys

    def __post_init__(self) -> None:
        self.builder = Builder(self.providers)
        self.ways = list(dict.fromkeys(way for provider in self.providers.values() for way in provider.accepts))

    @property
    def providers(self) -> Mapping[str, Provider]:
        return self.engine.providers

    def open_default(self, scenarios: Sequence[Scenario]) -> LiveSession:
        """Make the session that always exists.

        Raises: SourceError, where the scenarios disagree.
        """
        return self._open(DEFAULT, scenarios, SessionSource((), self.options))

    def open(
        self, scenario: Json, options: Options, label: str = SENT, size: int = 0, id: str = "", key: str = ""
    ) -> LiveSession:
        """Make a session of its own; `label` stands for the scenario's file, id and key are made where none is given.

        Raises: OwnError, 409 for too many, too many bytes (`size`), or an id or a key that another session has;
        SourceError, for a scenario that does not load.
        """
        if id in self.by_id or key in self.by_key:
            raise OwnError(409, "session_exists", "Another session has this id, or this key; delete it first.")
        if len(self.by_id) > self.max_sessions:
            raise self.too_many()
        self.check_room(size)
        own = replace(self.options, provider=None, otherwise=self.options.provider)
        options = replace(options.over(own), api_keys=())
        scenarios = [] if scenario is None else [self.builder.read(scenario, options.read_for, label)]
        source = SessionSource(() if scenario is None else ((scenario, label),), options)
        live = self._open(id or secrets.token_hex(6), scenarios, source, key)
        self.resize(live, size)
        return live

    def check_room(self, more: int) -> None:
        """Refuse more bytes than all sessions may be sent together. Raises: OwnError, 409."""
        if self.size + more > MOST_SCENARIO_BYTES:
            message = f"the scenarios and rules of all sessions would be over {MOST_SCENARIO_BYTES // 10**6} MB"
            raise OwnError(409, "too_much_kept", f"{message}; delete sessions that are over")

    def resize(self, live: LiveSession, size: int) -> None:
        """Count the bytes that a session was sent."""
        self.size += size - live.size
        live.size = size

    def too_many(self) -> OwnError:
        message = f"there are {self.max_sessions} sessions already (--max-sessions); delete some"
        return OwnError(409, "too_many_sessions", message)

    def _open(self, id: str, scenarios: Sequence[Scenario], source: SessionSource, key: str = "") -> LiveSession:
        draft = build_session(id, "", self.providers, scenarios, source.options, 0.0)
        check_upstreams(scenarios, draft.provider, self.upstreams)
        clock = make_clock(draft.clock)
        prefix = self.providers[main].key_prefix if (main := self.main_provider(draft)) else ""
        key = key or (prefix or KEY_PREFIX) + secrets.token_hex(16)
        live = LiveSession(replace(draft, api_key=key, started=clock.now()), clock, replace(source, clock=clock.kind))
        self.adopt(live, live.session, live.source)
        return live

    def adopt(self, live: LiveSession, session: Session, source: SessionSource) -> None:
        """Give a live session another snapshot."""
        self.by_key.pop(live.session.api_key, None)
        live.session, live.source = session, source
        self.by_id[session.id] = live
        self.by_key[session.api_key] = session.id
        self.version += 1

    def find(self, id: str) -> LiveSession:
        """Return a live session.

        Raises: OwnError, 404.
        """
        live = self.by_id.get(id)
        if live is None:
            raise OwnError(404, "emulator_unknown_session", f"There is no session '{id[:100]}'.")
        return live

    def ended(self, exchange: Exchange, sent: Sent) -> None:
        """Count an exchange that has ended, and tell who watches its session's journal."""
        self.metrics.count(exchange)
        self.metrics.time(exchange, sent)
        if self.recorder:
            self.recorder(exchange, sent)
        live = self.by_id.get(exchange.request.session)
        if live and live.watchers:
            self.tell(replace(exchange, sent=sent))

    def tell(self, exchange: Exchange) -> None:
        """Tell who watches a session's journal."""
        live = self.by_id.get(exchange.request.session)
        for watch in tuple(live.watchers) if live and not self.sharing else ():
            watch(exchange)

    async def forgetting(self, live: LiveSession) -> None:
        """Show a session that will be deleted or reset to who wants to see it."""
        if self.reviewer:
            await self.reviewer(live)

    def delete(self, id: str) -> None:
        """Remove a session. The default one cannot be removed."""
        live = self.find(id)
        if id == DEFAULT:
            raise OwnError(409, "default_session", "The default session always exists; reset it instead.")
        self.drop(live)
        if not self.sharing:
            self.store.delete(id)

    def drop(self, live: LiveSession) -> None:
        """Know a session no longer."""
        live.clock.release()
        for watch in tuple(live.watchers):
            watch(None)
        self.by_id.pop(live.session.id, None)
        self.resize(live, 0)
        self.engine.answer_cache.forget(live.session)
        self.version += 1
        self.by_key.pop(live.session.api_key, None)

    def forget(self, live: LiveSession, what: str) -> None:
        """Let the store forget: one that is shared does so in the step in which it takes the change."""
        if self.sharing:
            live.forgets = what
        elif what == "all":
            self.store.reset(live.session.id)
        else:
            self.store.restart(live.session.id)

    # What control does with the sessions of all workers

    async def meet(self, id: str) -> LiveSession:
        """Return a session as it stands now.

        Raises: OwnError, 404.
        """
        if self.sharing:
            await self.sharing.meet(id)
        return self.find(id)

    @asynccontextmanager
    async def changing(self, id: str) -> AsyncIterator[LiveSession]:
        """Let nobody else change a session meanwhile; afterwards it has changed for all workers."""
        if self.sharing is None:
            yield self.find(id)
            return
        async with self.sharing.changing(id):
            yield self.find(id)

    # Addresses

    def locate(self, path: str, headers: Mapping[str, str], origin: str, query: str = "") -> Address:
        """Find session and provider of a path: /s/ID/PROVIDER/v1/…, /s/ID/v1/…, /PROVIDER/v1/…, /v1/….

        A provider's base URL may have another path than /v1, or none.

        Raises: OwnError, 404, with the base URLs that are good.
        """
        steps = path.split("/")[1:] or [""]
        addressed = steps[0] == "s" and len(steps) > 1
        if addressed:
            live, steps, prefix = self.find(steps[1]), steps[2:], f"{origin}/s/{steps[1]}"
        else:
            keys = keys_sent(self.ways, headers, query)
            chosen = next((self.by_key[key] for key in keys if key in self.by_key), DEFAULT)
            live, prefix = self.by_id[chosen], origin
        implied = live.session.provider or implied_provider(self.providers, headers)
        place = find_place(self.providers, prefix, steps, implied)
        if place is None:
            raise OwnError(404, "emulator_no_provider", nowhere(self.providers, path, prefix, steps, implied))
        return Address(live, *place, addressed)

    def main_provider(self, session: Session) -> str | None:
        """Return the provider of a session; of several, the default."""
        names = [session.provider] if session.provider else [*session.settings]
        return next((name for name in names if len(names) == 1 or self.providers[name].default), None)

    def environment(
        self, session: Session, base_urls: Mapping[str, str], key_of: Callable[[Provider], str]
    ) -> dict[str, str | None]:
        """Return the variables that lead clients to a session; where two providers have the same, the main one's."""
        main = self.main_provider(session)
        variables: dict[str, str | None] = {}
        for name in sorted(base_urls, key=lambda name: name == main):
            provider = self.providers[name]
            variables |= provider.environment(base_urls[name], key_of(provider))
        return variables

    def base_urls(self, session: Session, origin: str) -> dict[str, str]:
        """Return the base URL of each provider that a session is for."""
        prefix = origin if session.id == DEFAULT else f"{origin}/s/{session.id}"
        names = [session.provider] if session.provider else list(self.providers)
        return {name: f"{prefix}/{name}{self.providers[name].base_path}" for name in names}
