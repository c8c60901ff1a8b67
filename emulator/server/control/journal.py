"""What the control API tells of a session's journal: its exchanges, live too, counts of them, and what they come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emulator.core.durations import whole_number
from emulator.core.errors import Json, SourceError
from emulator.core.journal.client_rules import mark_of
from emulator.core.journal.describe import describe
from emulator.core.journal.findings import session_findings
from emulator.core.journal.verdict import Finding, judge
from emulator.core.journal.verify import verify
from emulator.core.store import soon
from emulator.core.values import Exchange
from emulator.server.control.bodies import json_list, json_response, origin_of, read_object, session_body, typed
from emulator.server.own_errors import OwnError, invalid
from emulator.server.sessions.live import MOST_COMPLETED, LiveSession, LiveSessions
from emulator.stores.memory import weigh

#: Bytes of exchanges that may wait for a reader of a live journal, and how many such readers there may be.
WATCHED_BYTES = 20_000_000
MOST_WATCHERS = 100


async def read_journal(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    since = _number(request, "since", "the number of an exchange")
    limit = _number(request, "limit", "a number of exchanges")
    unmatched = request.query_params.get("unmatched") == "true"
    most = None if unmatched else limit  # each has to be made again
    exchanges, dropped = await soon(sessions.store.journal(live.session.id, since or 0, most))
    if unmatched:
        exchanges = [item for item in exchanges if item.rule == "unmatched"]
    shown = exchanges[:limit]
    last = max((item.grant.number for item in shown), default=since or 0)
    rows = (describe(item, _with_conversation(request)) for item in shown)
    return json_list("exchanges", rows, {"next": last, "dropped": dropped})


def _with_conversation(request: Request) -> bool:
    """Tell whether what was said is to be told too: it has to be read out of each answer."""
    return request.query_params.get("conversation") == "true"


def _number(request: Request, name: str, meant: str) -> int | None:
    given = request.query_params.get(name)
    number = None if given is None else whole_number(given, 15)
    if given is not None and number is None:
        raise invalid(f"{name} must be {meant}.")
    return number


class _Watcher:
    """What waits for one reader of a live journal; one for which too much waits is let go."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self._abort = abort
        self._queue: asyncio.Queue[tuple[Exchange | None, int]] = asyncio.Queue()
        self._waiting = 0  # bytes

    def __call__(self, exchange: Exchange | None) -> None:
        """Take an exchange for the reader, or with None the end."""
        weight = weigh(exchange) if exchange else 0
        if self._waiting and self._waiting + weight > WATCHED_BYTES:
            self._abort()
            return
        self._waiting += weight
        self._queue.put_nowait((exchange, weight))

    async def exchanges(self) -> AsyncIterator[Exchange]:
        """Yield what was taken, in order; an exchange waits until the one after it is asked for."""
        while True:
            exchange, weight = await self._queue.get()
            if exchange is None:
                return
            yield exchange
            self._waiting -= weight


async def watch_journal(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    """Stream exchanges as they end, until the session is removed; a reader too slow for them is cut off."""
    if sum(len(item.watchers) for item in sessions.by_id.values()) >= MOST_WATCHERS:
        raise OwnError(409, "too_many_readers", f"{MOST_WATCHERS} readers follow a journal already; end one first.")
    watch, told = _Watcher(request.scope["emulator.abort"]), _with_conversation(request)

    async def events() -> AsyncIterator[bytes]:
        live.watchers.add(watch)
        try:
            if sessions.sharing:
                await sessions.sharing.watch(live)
            yield b": watching\n\n"
            async for exchange in watch.exchanges():
                yield b"event: exchange\ndata: " + orjson.dumps(describe(exchange, told)) + b"\n\n"
        finally:
            live.watchers.discard(watch)
            if sessions.sharing:
                await sessions.sharing.unwatch(live)

    return StreamingResponse(events(), media_type="text/event-stream")


async def verify_journal(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    data = await read_object(request, {"when", "count", "at_least", "at_most"})
    bounds = {name: typed(data, name, int) for name in ("count", "at_least", "at_most")}
    if all(bound is None for bound in bounds.values()):
        bounds["at_least"] = 1
    when = data.get("when", {})
    if not isinstance(when, dict):
        raise invalid("when must be an object, as in a scenario's rule.")
    exchanges, dropped = await soon(sessions.store.journal(live.session.id, 0))
    try:
        return json_response(verify(exchanges, when, **bounds, dropped=dropped).body())
    except SourceError as error:
        raise OwnError(422, "invalid_when", str(error), error.problems) from None


async def note_completed(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    data = await read_object(request, {"exchange", "text"})
    number, text = typed(data, "exchange", int), typed(data, "text", str)
    if number is None or text is None:
        raise invalid("The body must be {exchange: N, text: TEXT}.")
    mark = mark_of(text)
    live.completed = [*live.completed, (number, mark)][-MOST_COMPLETED:]
    if sessions.sharing:
        await sessions.sharing.complete(live, number, mark)
    return Response(status_code=204)


# What a session came to: what should fail a test that ends, and the verdict on the client


async def review(sessions: LiveSessions, live: LiveSession, origin: str, conversation: bool) -> tuple[Json, ...]:
    """Return a session as the control API shows it, its exchanges, and the verdict."""
    exchanges, _ = await soon(sessions.store.journal(live.session.id, 0))
    verdict = [finding.body() for finding in await _verdict(sessions, live, exchanges)]
    rows = [describe(item, conversation) for item in exchanges]
    return await session_body(sessions, live, origin), rows, verdict


async def _verdict(sessions: LiveSessions, live: LiveSession, exchanges: Sequence[Exchange]) -> list[Finding]:
    """Judge what the client did at each provider, without the facts that the session has muted."""
    if sessions.sharing:
        live.completed = await sessions.sharing.completed(live)
    judged = {item.claim.provider for item in exchanges} | set(sessions.base_urls(live.session, ""))
    return [
        finding
        for name, provider in sessions.providers.items()
        if name in judged
        for finding in judge(provider, exchanges, live.completed, live.session.settings[name].muted)
    ]


async def read_verdict(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    exchanges, _ = await soon(sessions.store.journal(live.session.id, 0))
    findings = await _verdict(sessions, live, exchanges)
    ok = not any(finding.status == "fail" and not finding.advice for finding in findings)
    return json_response({"ok": ok, "findings": [finding.body() for finding in findings]})


async def read_problems(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    """Tell what should fail a test that ends now, for clients in any language; each says which option allows it."""
    exchanges, _ = await soon(sessions.store.journal(live.session.id, 0))
    session = await session_body(sessions, live, origin_of(request))
    url = session["base_url"] or "one of its base_urls"
    found = session_findings(
        session, list(map(describe, exchanges)), never_came=lambda: f"; point the client at its base URL, {url}"
    )
    rows = [
        {"name": item.name, "text": item.text if item.allowed_by else item.told(""), "allowed_by": item.allowed_by,
         "concerns": item.concerns}
        for item in found
    ]  # fmt: skip
    return json_response({"problems": rows})
