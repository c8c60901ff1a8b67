"""What an upstream would have sent, without sockets: an emulator's answer, or bytes, as an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from build import NOW, PROVIDERS, EngineSession, chat, make_request, make_session

from emulator.core.recording.upstream_exchange import UpstreamAnswer, relayed, sent_on
from emulator.core.values import End, Exchange, Sent

COMPLETE = Sent(0, (), "complete", 0.0)


def heard(
    status: int = 200,
    body: bytes | Sequence[tuple[float, bytes]] = b"{}",
    *,
    kind: str = "application/json",
    headers: Sequence[tuple[str, str]] = (),
    end: End = "complete",
    why: str = "",
) -> UpstreamAnswer:
    """Return an upstream's answer: whole bytes, or pieces with their times."""
    pieces = ((0.0, body),) if isinstance(body, bytes) else tuple(body)
    return UpstreamAnswer(
        status, (("content-type", kind), *headers), 0.0, pieces, end, pieces[-1][0] if pieces else 0.0, why
    )


def heard_from(exchange: Exchange) -> UpstreamAnswer:
    """Return what a client hears of an emulator's answer."""
    timeline = exchange.timeline
    headers = tuple(item for item in timeline.headers if not item[0].startswith("x-emulator-"))
    pieces = tuple((frame.at, frame.data) for frame in timeline.frames)
    return UpstreamAnswer(timeline.status, headers, timeline.head_at, pieces, timeline.end, timeline.end_at)


def sent(provider: str = "beatra", body: Any = None, **request: Any) -> Exchange:
    """Return an exchange that is sent on and has no answer yet."""
    live = make_session(plan="unlimited")
    made = make_request(provider, chat(provider) if body is None else body, session=live.session.id, **request)
    claim = sent_on(live.engine.claim(live.session, made))
    return live.engine.answer(live.session, made, claim, live.store.take(claim))


def answered(answer: UpstreamAnswer, provider: str = "beatra", body: Any = None, **request: Any) -> Exchange:
    return relayed(PROVIDERS[provider], sent(provider, body, **request), answer)


def through(live: EngineSession, provider: str = "beatra", body: Any = None, **request: Any) -> Exchange:
    """Return the exchange of a relay whose upstream is a world."""
    return answered(heard_from(live.send(provider, body, at=NOW, **request)), provider, body, **request)
