"""The journal in a shared store: what is kept of an exchange, and how it is made again when it is read.

Kept are the request, what it was granted and the digest of its session's source; the engine is pure and does the rest.
What it cannot work out again is kept beside them: an answer computed from the session's past, and a crash of our own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import orjson

from emulator.core.answer.render import whole
from emulator.core.cache import LruCache
from emulator.core.errors import SourceError
from emulator.core.scenario.session import Session
from emulator.core.store import StoreFailed
from emulator.core.values import Exchange, Frame, Plan, Request
from emulator.server.own_errors import crash, unknown_claim
from emulator.server.sessions.live import LiveSession, LiveSessions
from emulator.server.sessions.source import SessionSource, read_source
from emulator.stores.redis.claims import grant_of, key_of
from emulator.stores.redis.pipeline import Pipeline
from emulator.stores.redis.rows import Entry
from emulator.stores.redis.store import RedisStore

#: Sessions, as they once were, that are kept built.
KEPT_SESSIONS = 256


class SharedJournal:
    """Makes exchanges, and makes them again; `meet` lets this worker know a session."""

    def __init__(self, sessions: LiveSessions, pipeline: Pipeline, meet: Callable[[str], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._pipeline = pipeline
        self._meet = meet
        self._built: LruCache[tuple[str, str, float], Session] = LruCache(KEPT_SESSIONS)

    async def exchange(
        self, store: RedisStore, live: LiveSession, request: Request, version: str, source: str
    ) -> Exchange | None:
        """Claim, take and answer; None where the session is no longer what this worker knows.

        Raises: StoreFailed.
        """
        engine, session = self._sessions.engine, live.session
        if found := engine.recalling(request, store):
            request = replace(request, recalled=await found)
        kept = _pack(request, source)
        claim, grant = unknown_claim(request), None
        try:
            claim = engine.claim(session, request)
            grant = await store.take(claim, kept, version)
            if grant is None:
                return None
            exchange = engine.answer(session, request, claim, grant)
        except StoreFailed:
            raise
        except Exception as error:
            grant = grant or await store.take(unknown_claim(request), kept, version)
            if grant is None:
                return None
            exchange = crash(claim, grant, request, error)
        noted = store.record(exchange, _rest(exchange))
        if noted:
            await noted
        return exchange

    async def remake(self, id: str, entry: Entry, first: Exchange | None) -> Exchange | None:
        """Make an exchange again; None where its session's source is no longer kept."""
        request, source = _unpack(id, entry.request)
        session = await self._session(id, source)
        replays = entry.grant[10] > 0
        if session is None or (replays and first is None):
            return None
        rest = orjson.loads(entry.rest) if entry.rest else {}
        if "crash" in rest:
            grant = grant_of(entry.grant, Plan("unlimited"))
            timeline = whole(rest["body"].encode(), 500, tuple(map(tuple, rest["headers"])), 0.0)
            return Exchange(unknown_claim(request), grant, request, timeline, "refused", crash=rest["crash"])
        claim = self._sessions.engine.claim(session, request)
        grant = replace(grant_of(entry.grant, claim.plan, claim.cost), replay=first)
        exchange = self._sessions.engine.answer(session, request, claim, grant)
        if "frames" in rest:
            frames = tuple(Frame(at, data.encode(), kind) for at, data, kind in rest["frames"])
            exchange = replace(exchange, timeline=replace(exchange.timeline, frames=frames))
        return exchange

    async def source(self, id: str, digest: str) -> SessionSource | None:
        """Return a source of a session, by its digest."""
        dumped = await self._pipeline.send("HGET", key_of(id, "recipes"), digest)
        return read_source(dumped) if dumped else None

    async def _session(self, id: str, digest: str) -> Session | None:
        """Return a session as it was with a source."""
        await self._meet(id)
        live = self._sessions.by_id.get(id)
        if live is None:
            return None
        name = (id, digest, live.session.started)
        session = self._built.get(name)
        if session is None and (source := await self.source(id, digest)):
            with suppress(SourceError):  # written by a server that has other providers
                session = self._sessions.builder.build(id, live.session.api_key, source, live.session.started)
                self._built.put(name, session)
        return session

    def forget(self, id: str) -> None:
        """Keep nothing of a session that is gone."""
        self._built.drop(lambda name: name[0] == id)


def _pack(request: Request, source: str) -> bytes:
    head = [
        request.provider, request.method, request.path, request.query, request.headers, request.at, request.address,
        request.base_url, request.too_large, request.addressed, request.real, request.recalled.decode(), source,
    ]  # fmt: skip
    return orjson.dumps(head) + b"\n" + request.body


def _unpack(id: str, kept: bytes) -> tuple[Request, str]:
    head, _, body = kept.partition(b"\n")
    provider, method, path, query, headers, at, *others, recalled, source = orjson.loads(head)
    request = Request(id, provider, method, path, query, headers, body, at, *others)
    return replace(request, recalled=recalled.encode()), source


def _rest(exchange: Exchange) -> bytes:
    frames = exchange.timeline.frames
    if exchange.crash:
        body = b"".join(frame.data for frame in frames).decode()
        return orjson.dumps({"crash": exchange.crash, "body": body, "headers": exchange.timeline.headers})
    if exchange.claim.history and exchange.timeline.status < 400:
        return orjson.dumps({"frames": [[frame.at, frame.data.decode(), frame.kind] for frame in frames]})
    return b""
