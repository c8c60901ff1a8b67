"""Sharing: the sessions of many workers, kept the same through Redis.

Each worker keeps the sessions that it has met, as they stood at some version. The script that takes a claim refuses one
of another version, and the worker looks again before it claims anew; so nothing is asked as long as nothing changes.
That a session has changed is also told to all, so that what waits on its clock goes on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import cast

import orjson

from emulator.core.errors import SourceError
from emulator.core.provider.keys import keys_sent
from emulator.core.scenario.session import DEFAULT
from emulator.core.store import Store, StoreFailed
from emulator.core.values import Exchange, Request
from emulator.server.own_errors import OwnError
from emulator.server.sessions.clock import ClockState, make_clock
from emulator.server.sessions.index import SessionIndex, SessionVersion
from emulator.server.sessions.live import MOST_COMPLETED, LiveSession, LiveSessions
from emulator.server.sessions.shared_journal import SharedJournal
from emulator.server.sessions.source import SessionSource, digest_of, source_of
from emulator.stores.redis.claims import key_of
from emulator.stores.redis.lock import locked
from emulator.stores.redis.pipeline import PATIENCE_S, Pipeline
from emulator.stores.redis.rows import living
from emulator.stores.redis.store import BEAT_S, SCRIPTS, TOLD, RedisStore, new_life
from emulator.stores.redis.subscriber import Subscriber

log = logging.getLogger("emulator")

_FACTS = ("version", "life", "recipe", "key", "started", "now", "held", "silences")


class Sharing:
    """One worker's part in it; makes itself the store of its sessions."""

    def __init__(self, sessions: LiveSessions, url: str, worker: str, journal_size: int) -> None:
        self.sessions = sessions
        self.pipeline = Pipeline(url, SCRIPTS)
        self.shared_journal = SharedJournal(sessions, self.pipeline, self._meet_once)
        self.store = RedisStore(self.pipeline, worker, journal_size, self.shared_journal.remake, self._virtual_now)
        self._subscriber = Subscriber(self.pipeline, self._hear, self._look_again)
        self._known: dict[str, SessionVersion] = {}
        self._index = SessionIndex(self.pipeline)
        self._tasks: list[asyncio.Task[None]] = []
        self._files = SessionSource((), sessions.options)
        sessions.sharing = self
        sessions.store = cast(Store, self.store)  # its claims are taken in `decide` alone

    def _virtual_now(self, id: str) -> float | None:
        live = self.sessions.by_id.get(id)
        return live.clock.stand().now if live else None

    async def start(self) -> None:
        """Join the other workers; where Redis is away, requests say so until it is back."""
        live = self.sessions.by_id[DEFAULT]
        self._files = replace(live.source, scenarios=tuple(source_of(item.file) for item in live.session.scenarios))
        await self._subscriber.add(TOLD)
        with suppress(StoreFailed):
            await self.store.beat()
            await self._lay_default()
        self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._subscriber.listen())]

    async def stop(self) -> None:
        """Finish what is to be written, then leave; not where the store does not answer."""
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pipeline.send("DEL", living(self.store.worker))
        await self.pipeline.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with suppress(StoreFailed):
                await self.store.beat()

    # Requests

    async def decide(
        self, path: str, query: str, headers: Mapping[str, str], locate: Callable[[], tuple[LiveSession, Request]]
    ) -> tuple[LiveSession, Exchange]:
        """Answer a request, looking again as often as its session has changed meanwhile.

        Raises: OwnError, StoreFailed.
        """
        await self._introduce(path, headers, query)
        while True:
            live, request = locate()
            known = self._known.get(live.session.id)
            if known:
                exchange = await self.shared_journal.exchange(self.store, live, request, known.version, known.source)
                if exchange:
                    return live, exchange
            await self.meet(live.session.id)

    async def _introduce(self, path: str, headers: Mapping[str, str], query: str) -> None:
        """Meet the session that a path or a key names."""
        steps = path.split("/", 3)
        if steps[1:2] == ["s"] and len(steps) > 2:
            await self._meet_once(steps[2])
            return
        for key in keys_sent(self.sessions.ways, headers, query):
            if key not in self.sessions.by_key and (id := await self._index.find(key)):
                await self._meet_once(id)

    async def _meet_once(self, id: str) -> None:
        if id not in self.sessions.by_id:
            await self.meet(id)

    # Sessions as they stand

    async def meet(self, id: str) -> None:
        """Look how a session stands, and follow; one that is gone is dropped, but the default one is made again."""
        before = self._known.get(id)
        found = await self.pipeline.send("HMGET", key_of(id, "session"), *_FACTS)
        facts = dict(zip(_FACTS, (value.decode() if value else "" for value in found), strict=True))
        if self._known.get(id) is not before:
            await self.meet(id)  # it was changed here meanwhile: what was read may be older
        elif not facts["version"]:
            await self._lose(id)
        elif before and before.version == facts["version"]:
            self.sessions.by_id[id].clock.follow(_stand(facts))
        else:
            await self._follow(id, facts, before)

    async def _follow(self, id: str, facts: Mapping[str, str], before: SessionVersion | None) -> None:
        """Make a session here what it is elsewhere."""
        source = await self.shared_journal.source(id, facts["recipe"])
        if self._known.get(id) is not before:
            await self.meet(id)
            return
        if source is None:
            raise StoreFailed(f"The source of the session '{id}' is not in the store.")
        try:
            session = self.sessions.builder.build(id, facts["key"], source, float(facts["started"]))
        except SourceError as error:
            raise StoreFailed(f"The scenario of the session '{id}' does not load here: {error}") from None
        live = self.sessions.by_id.get(id)
        stand = _stand(facts)
        if live is None:
            live = LiveSession(session, make_clock(source.clock, stand.now), source)
        elif before is None or before.life != facts["life"] or live.clock.kind != source.clock:
            live.clock.release()
            live.clock = make_clock(source.clock, stand.now)
        self.sessions.adopt(live, session, source)
        live.clock.follow(stand)
        self._known[id] = SessionVersion(facts["version"], facts["life"], facts["recipe"])

    async def _lose(self, id: str) -> None:
        if self._known.pop(id, None):
            self.store.lose(id)
        self.shared_journal.forget(id)
        if id == DEFAULT:  # made anew of the scenarios served, unless another worker has just done it
            await self._build_default(digest_of(self._files.dump()))
        elif id in self.sessions.by_id:
            self.sessions.drop(self.sessions.by_id[id])

    async def _build_default(self, files: str) -> None:
        live = self.sessions.by_id[DEFAULT]
        session = live.session
        if live.clock.kind != self._files.clock:
            live.clock.release()
            live.clock = make_clock(self._files.clock)
        built = self.sessions.builder.build(DEFAULT, session.api_key, self._files, session.started)
        self.sessions.adopt(live, built, self._files)
        await self._push(live, {"files": files})

    async def _lay_default(self) -> None:
        """Make the default session of the scenarios served, unless it stands so; what happened in it stays."""
        files = digest_of(self._files.dump())
        async with locked(self.pipeline, DEFAULT):
            version, laid = await self.pipeline.send("HMGET", key_of(DEFAULT, "session"), "version", "files")
            if version:
                await self.meet(DEFAULT)
            if laid != files.encode():
                await self._build_default(files)

    async def _push(self, live: LiveSession, more: Mapping[str, str] | None = None) -> bool:
        """Make a session elsewhere what it is here, and tell whether it is so.

        Where it is no longer as it was known here, it is made here what it is elsewhere.
        """
        id, session, stand, dumped = live.session.id, live.session, live.clock.stand(), live.source.dump()
        forget, live.forgets = live.forgets, ""
        before = self._known.get(id)
        life = before.life if before and forget != "all" else new_life()
        known = self._known[id] = SessionVersion(secrets.token_hex(8), life, digest_of(dumped))
        facts = {
            "version": known.version, "recipe": known.source, "key": session.api_key, "started": repr(session.started),
            "now": repr(stand.now or 0.0), "held": "1" if stand.held else "", "silences": str(stand.silences),
        }  # fmt: skip
        version = before.version if before else ""
        facts |= more or {}
        done = bool(await self.store.change(id, forget, version, life, facts, (known.source, dumped)))
        if not done:
            self._known.pop(id, None)
            await self.meet(id)
        return done

    # Control

    @asynccontextmanager
    async def changing(self, id: str) -> AsyncIterator[None]:
        """Have a session to oneself while it is changed or deleted, then let all workers know.

        Raises: StoreFailed, also where another worker has changed it meanwhile; OwnError, 404, where it is gone.
        """
        async with locked(self.pipeline, id):
            await self.meet(id)
            before = self.sessions.by_id.get(id)
            yield
            after = self.sessions.by_id.get(id)
            if after and not await self._push(after):
                self.sessions.find(id)
                raise StoreFailed(f"Another worker changed '{id}' meanwhile; nothing was done.")
            if before and not after:
                await self._delete(before)

    async def _delete(self, live: LiveSession) -> None:
        id = live.session.id
        self._known.pop(id, None)
        self.shared_journal.forget(id)
        self.store.delete(id)
        await self._index.remove(id, live.session.api_key)

    async def share(self, live: LiveSession) -> None:
        """Let all workers have a session that was made here.

        Raises: OwnError, 409 for too many.
        """
        try:
            if await self.count() > self.sessions.max_sessions:
                raise self.sessions.too_many()
            await self._push(live)
            await self._index.add(live.session.id, live.session.api_key)
        except (StoreFailed, OwnError):
            self.sessions.drop(live)
            raise

    async def count(self) -> int:
        """Return the number of sessions, the default one among them."""
        return 1 + await self._index.count()

    async def meet_all(self) -> None:
        for id in await self._index.ids():
            await self._meet_once(id)

    async def complete(self, live: LiveSession, number: int, mark: str) -> None:
        """Keep what the application took as its result."""
        await self.store.complete(live.session.id, orjson.dumps([number, mark]), MOST_COMPLETED)

    async def completed(self, live: LiveSession) -> list[tuple[int, str]]:
        """Return what was kept so."""
        found = await self.pipeline.send("LRANGE", key_of(live.session.id, "completed"), 0, -1)
        return [(number, mark) for number, mark in map(orjson.loads, found)]

    # What other workers tell

    async def _hear(self, channel: str, message: bytes) -> None:
        with suppress(StoreFailed):
            id = message.decode() if channel == TOLD else channel.partition("{")[2].partition("}")[0]
            live = self.sessions.by_id.get(id)
            if live and channel == TOLD:
                await self.meet(id)
            elif live:
                for exchange in await self.store.rows.read(id, [int(message)]):
                    for watch in tuple(live.watchers):
                        watch(exchange)

    async def _look_again(self) -> None:
        """Follow what was told while nobody listened."""
        for id in tuple(self.sessions.by_id):
            with suppress(StoreFailed):
                await self.meet(id)

    async def watch(self, live: LiveSession) -> None:
        await self._subscriber.add(key_of(live.session.id, "ended"))

    async def unwatch(self, live: LiveSession) -> None:
        if not live.watchers:
            await self._subscriber.remove(key_of(live.session.id, "ended"))


def _stand(facts: Mapping[str, str]) -> ClockState:
    return ClockState(float(facts["now"] or 0.0), bool(facts["held"]), int(facts["silences"] or 0))
