"""What a session came to: what should fail a test that ends, and the verdict on the client."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.journal.describe import describe
from emulator.core.journal.findings import session_findings
from emulator.core.journal.verdict import Finding, judge
from emulator.core.store import soon
from emulator.core.values import Exchange
from emulator.server.control.bodies import json_response, origin_of, session_body
from emulator.server.sessions.live import LiveSession, LiveSessions


@frozen
class Review:
    """A session as the control API shows it, with its exchanges and the verdict."""

    session: Json
    exchanges: list[Json]
    verdict: list[Json]


async def review(sessions: LiveSessions, live: LiveSession, origin: str, conversation: bool) -> Review:
    exchanges, _ = await soon(sessions.store.journal(live.session.id, 0))
    verdict = [finding.body() for finding in await _verdict(sessions, live, exchanges)]
    rows = [describe(item, conversation) for item in exchanges]
    return Review(await session_body(sessions, live, origin), rows, verdict)


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
