"""An upstream's answer as a reply of a scenario: of the forms that could say it, the first that answers the same.

That it does is not argued but tried: each form is loaded, asked with the same request, and what it answers compared.
Of a stream of one choice it is enough that the wire reads the same: fields that say nothing are left out, and the
model has the name that the emulator gives it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import orjson

from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.errors import Json, SourceError
from emulator.core.frozen import frozen
from emulator.core.recording.candidate_replies import around, faults, forms, joined_stream, writable
from emulator.core.recording.to_scenario import heard
from emulator.core.scenario.session import DEFAULT, Options, build_session
from emulator.core.tree import parts
from emulator.core.values import STARTED, Exchange, Grant, Standing
from emulator.core.wires.sse import framing_of, payload

_WHOLE = re.compile(rb"(\n\r?\n|\r\r)\Z")  # an event
#: What of an answer can be written down: frames and bytes.
MOST_FRAMES = 10_000
MOST_BYTES = 1_000_000
#: What is new in every error.
_NEW = frozenset(("request_id",))
#: A reply that loads for any operation.
_ANYTHING: Mapping[str, Json] = {"json": {}, "off_contract": True}


@frozen
class Allowed:
    """What a scenario must allow so that a request gets to its rules."""

    mute: frozenset[str] = frozenset()
    off: bool = False

    def data(self) -> dict[str, Json]:
        muted = {"mute": sorted(self.mute)} if self.mute else {}
        return muted | ({"validation": "off"} if self.off else {})


class NotReplayable(Exception):
    """An answer that no reply can give; the message says why."""


def allowing(engine: Engine, exchange: Exchange, settings: Allowed) -> Allowed:
    """Return the settings under which a request gets to the rules.

    Raises: Untold, where there are none, or where the docs' own refusal is what was answered.
    """
    refusal = exchange.claim.refusal
    if refusal is None:
        return settings
    if refusal.name in ("unauthorized", "too_large", "not_found", "method_not_allowed"):
        raise NotReplayable(f"the docs refuse it ({refusal.name}), whatever a scenario says")
    own = _answer(engine, exchange, _ANYTHING, settings)
    if own.rule == "refused" and _bare(own) == _bare(exchange):
        raise NotReplayable("the emulator refuses it in the same words")
    facts = {fact for fact in (refusal.fact, *(item.fact for item in refusal.details)) if fact}
    muted = replace(settings, mute=settings.mute | facts)
    for tried in (muted, replace(muted, off=True)):
        if _answer(engine, exchange, _ANYTHING, tried).rule != "refused":
            return tried
    raise NotReplayable("no setting lets it through to the rules")


def replayed(engine: Engine, exchange: Exchange, settings: Allowed) -> dict[str, Json]:
    """Return the reply that answers a request as its upstream did.

    Raises: Untold.
    """
    timeline = exchange.timeline
    if timeline.status < 200 or timeline.status in (204, 205, 304):
        raise NotReplayable(f"an answer with the status {timeline.status} has no body")
    if len(timeline.frames) > MOST_FRAMES or sum(len(frame.data) for frame in timeline.frames) > MOST_BYTES:
        raise NotReplayable("the answer is too long to be written down")
    provider = engine.providers[exchange.claim.provider]
    beside, wire = around(provider, timeline), exchange.claim.wire
    loaded: list[dict[str, Json]] = []
    for form in forms(provider, exchange):
        for contract in ({}, {"off_contract": True}):
            reply = {**form, **contract, **beside, **joined_stream(form, beside), **faults(timeline, form, wire)}
            try:
                answer = _answer(engine, exchange, reply, settings)
            except SourceError:
                continue
            if answer.rule != "refused" and (_bare(answer) == _bare(exchange) or _says_the_same(answer, exchange)):
                return reply
            loaded.append(reply)
            break
    if not loaded:
        raise NotReplayable("no reply can say it")
    return loaded[-1]


def _answer(engine: Engine, exchange: Exchange, reply: Mapping[str, Json], settings: Allowed) -> Exchange:
    """Ask a scenario of one rule.

    Raises: SourceError, where the reply does not load.
    """
    request, name = exchange.request, exchange.claim.provider
    rule = {"when": {"operation": exchange.claim.operation or "any"}, "reply": reply}
    data = {"emulator": 1, "provider": name, "plan": "unlimited", **settings.data(), "rules": [rule]}
    scenario = parse_text(data, "recording", engine.providers, name)
    session = build_session(DEFAULT, "", engine.providers, [scenario], Options(), request.at)
    claim = replace(engine.claim(session, request), idempotency=None)
    granted = Grant(1, Standing(None, None, None, 0.0), STARTED, 0 if claim.candidates else None, 1, 1)
    return engine.answer(session, request, claim, granted)


# Whether two answers are the same


def _bare(exchange: Exchange) -> Json:
    """Return what a client reads of an answer, ids and times aside."""
    timeline, wire = exchange.timeline, exchange.claim.wire
    new = _NEW | wire.fresh if wire else _NEW
    end = "complete" if timeline.end == "clean" else timeline.end
    deep = wire is not None and wire.items
    if not timeline.stream:
        return timeline.status, end, _without_new(b"".join(frame.data for frame in timeline.frames), new, False, deep)
    bare = any(framing_of(frame.data) != "sse" for frame in timeline.frames[:1])  # no event is one by itself
    events = [
        _without_new(payload(frame.data), new, not bare, deep)
        if _WHOLE.search(frame.data) or (bare and frame.kind in ("data", "done"))
        else frame.data.strip()
        for frame in timeline.frames
        if frame.data and frame.kind != "comment"
    ]
    return timeline.status, end, events


def _says_the_same(answer: Exchange, exchange: Exchange) -> bool:
    """Tell whether a stream of one choice is read as its upstream's is.

    An event that says nothing to the wire has none in the answer: no fewer events means that none was passed over.
    """
    call, wire = answer.claim.call, exchange.claim.wire
    if wire is None or call is None or call.conversation.choices != 1 or not exchange.timeline.stream:
        return False
    ours, theirs = _events(answer), _events(exchange)
    if _bare(answer)[:2] != _bare(exchange)[:2] or len(ours) < len(theirs):
        return False
    said, again = heard(theirs, wire), heard(ours, wire)
    return said is not None and again is not None and (said, said.stopped) == (again, again.stopped)


def _events(exchange: Exchange) -> list[str]:
    return [
        payload(frame.data).decode(errors="replace")
        for frame in exchange.timeline.frames
        if frame.data and frame.kind != "comment"
    ]


def _without_new(data: bytes, new: Collection[str], exact: bool, deep: bool) -> Json:
    """Return JSON with ids and times taken out, in its order; `exact`: only if it is written without blanks.

    `deep`: wherever they stand, as its items have ids of their own.
    """
    value = writable(data)
    if not isinstance(value, dict) or (exact and orjson.dumps(value) != data):
        return data
    for holder in _all_in(value) if deep else (value, *value.values()):
        if isinstance(holder, dict):
            for name in new:
                holder.pop(name, None)
    return orjson.dumps(value)


def _all_in(value: Json) -> Iterator[Json]:
    """Yield a value and all that it holds."""
    yield value
    for part in list(parts(value)):
        yield from _all_in(part)
