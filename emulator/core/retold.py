"""An upstream's answer as a reply of a scenario: of the forms that could say it, the first that answers the same.

That it does is not argued but tried: each form is loaded, asked with the same request, and what it answers compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import orjson

from emulator.core.chat import compact
from emulator.core.engine import Engine
from emulator.core.errors import STATUS, Json, SourceError
from emulator.core.journal import describe
from emulator.core.load import parse_text
from emulator.core.parse import RESERVED_HEADERS
from emulator.core.provider import Provider
from emulator.core.recording import content_of, escaped
from emulator.core.secrets import is_secret
from emulator.core.session import DEFAULT, Options, build_session
from emulator.core.stream import payload
from emulator.core.tree import deeper, walk
from emulator.core.wire import STARTED, Exchange, Frame, Grant, Standing, Timeline

#: Headers that say something of the way and the machines on it, not of the answer.
_OF_THE_WAY = re.compile(
    "(?i)(server|via|vary|alt-svc|nel|report-to|reporting-endpoints|etag|cache-control|pragma|expires|age|"
    "content-.*|access-control-.*|strict-transport-security|x-content-type-options|x-frame-options|x-request-id|"
    "request-id|x-powered-by|cf-.*|x-amz.*|x-envoy-.*|x-cache.*|x-served-by|x-timer|openai-.*|.*-processing-ms)"
)
_PRINTABLE = re.compile("[ -~]*")
_WHOLE = re.compile(rb"(\n\r?\n|\r\r)\Z")  # an event
#: What of an answer can be written down: levels of JSON, frames and bytes.
MAX_DEPTH = 50
MOST_FRAMES = 10_000
MOST_BYTES = 1_000_000
#: What is new in every answer: ids and times.
_NEW = ("id", "created", "request_id")
#: What differs at each answer in a documented header, so that the emulator's own is better.
_LIVE = ("${reset}", "${request_id}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scenario must allow so that a request gets to its rules."""

    mute: frozenset[str] = frozenset()
    off: bool = False

    def data(self) -> dict[str, Json]:
        muted = {"mute": sorted(self.mute)} if self.mute else {}
        return muted | ({"validation": "off"} if self.off else {})


class Untold(Exception):
    """An answer that no reply can give; the message says why."""


def allowing(engine: Engine, exchange: Exchange, settings: Settings) -> Settings:
    """Return the settings under which a request gets to the rules.

    Raises: Untold, where there are none, or where the docs' own refusal is what was answered.
    """
    refusal = exchange.claim.refusal
    if refusal is None:
        return settings
    if refusal.name in ("unauthorized", "too_large", "not_found", "method_not_allowed"):
        raise Untold(f"the docs refuse it ({refusal.name}), whatever a scenario says")
    own = _answer(engine, exchange, {"text": ""}, settings)
    if own.rule == "refused" and _bare(own.timeline) == _bare(exchange.timeline):
        raise Untold("the emulator refuses it in the same words")
    facts = {fact for fact in (refusal.fact, *(item.fact for item in refusal.details)) if fact}
    muted = replace(settings, mute=settings.mute | facts)
    for tried in (muted, replace(muted, off=True)):
        if _answer(engine, exchange, {"text": ""}, tried).rule != "refused":
            return tried
    raise Untold("no setting lets it through to the rules")


def retold(engine: Engine, exchange: Exchange, settings: Settings) -> dict[str, Json]:
    """Return the reply that answers a request as its upstream did.

    Raises: Untold.
    """
    timeline = exchange.timeline
    if timeline.status < 200 or timeline.status in (204, 205, 304):
        raise Untold(f"an answer with the status {timeline.status} has no body")
    if len(timeline.frames) > MOST_FRAMES or sum(len(frame.data) for frame in timeline.frames) > MOST_BYTES:
        raise Untold("the answer is too long to be written down")
    provider = engine.providers[exchange.claim.provider]
    around = _around(provider, timeline)
    loaded: list[dict[str, Json]] = []
    for form in _forms(provider, exchange):
        for contract in ({}, {"off_contract": True}):
            reply = {**form, **contract, **around, **_stream(form, around), **_faults(timeline, form)}
            try:
                answer = _answer(engine, exchange, reply, settings)
            except SourceError:
                continue
            if answer.rule != "refused" and _bare(answer.timeline) == _bare(timeline):
                return reply
            loaded.append(reply)
            break
    if not loaded:
        raise Untold("no reply can say it")
    return loaded[-1]


def _answer(engine: Engine, exchange: Exchange, reply: Mapping[str, Json], settings: Settings) -> Exchange:
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


# The forms


def _forms(provider: Provider, exchange: Exchange) -> Iterator[dict[str, Json]]:
    """Yield what could say an answer, the most readable first."""
    timeline = exchange.timeline
    data = b"".join(frame.data for frame in timeline.frames)
    if exchange.refusal:  # it was answered in the upstream's place
        name, _, refusal = exchange.refusal
        yield {"error": {"name": name, "message": escaped(refusal.message or name)}}
    if timeline.status >= 400:
        yield from _named(provider, timeline.status, data)
    elif exchange.claim.operation == "chat":
        row = describe(exchange)
        readable = content_of(row, row["response"])
        if "builtin" not in readable:
            yield readable
    status = {"status": timeline.status} if timeline.status != 200 else {}
    if timeline.stream:
        yield {"events": _items(timeline.frames, provider.done if timeline.end != "complete" else None)} | status
        return
    value = _parsed(data)
    whole = timeline.end == "complete"
    if value is not None and whole and timeline.status < 400:
        yield {"json": escaped(value)} | status
    text = escaped(data.decode(errors="replace")) + ("" if whole else "\n")  # a byte more, for a cut to take away
    error = {"status": max(400, timeline.status), "body": escaped(value) if whole and value is not None else text}
    yield {"error": error} | ({"status": timeline.status} if timeline.status < 400 else {})


def _named(provider: Provider, status: int, data: bytes) -> Iterator[dict[str, Json]]:
    """Yield the errors of that status whose envelope a body could be."""
    body = _parsed(data)
    places = {leaf: path for path, leaf in walk(provider.envelope) if isinstance(leaf, str)}
    message, param, listed = (_at(body, places.get(hole)) for hole in ("${message}", "${param}", "${details}"))
    if not isinstance(message, str):
        return
    details: list[dict[str, Json]] = [{"path": param, "message": message}] if isinstance(param, str) else []
    if isinstance(listed, list):
        details = [{"field": item.get("field"), "message": item.get("message")} for item in listed
                   if isinstance(item, Mapping)]  # fmt: skip
    for name in (name for name, usual in STATUS.items() if usual == status):
        yield {"error": name}
        yield {"error": escaped({"name": name, "message": message})}
        if details and all(isinstance(text, str) for item in details for text in item.values()):
            yield {"error": escaped({"name": name, "message": message, "details": details})}


def _at(body: Json, path: Sequence[str | int] | None) -> Json:
    for step in path or ():
        body = body.get(step) if isinstance(body, Mapping) else None
    return body if path else None


def _items(frames: Sequence[Frame], filler: str | None) -> list[Json]:
    """Return the data items of a stream; `filler` is one more, for a cut to take away, unless one is broken."""
    items: list[Json] = []
    for frame in frames:
        text = payload(frame.data).decode(errors="replace")
        if frame.kind == "part":
            items.append(escaped(text))
        elif frame.kind in ("data", "done"):
            value = _parsed(text.encode())
            items.append(escaped(value if isinstance(value, dict) and compact(value) == text else text))
    return items if filler is None or (frames and frames[-1].kind == "part") else [*items, filler]


def _parsed(data: bytes) -> Json:
    """Return JSON that can be written down; None for anything else."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return None if deeper(value, MAX_DEPTH) else value


# What stands around the content


def _around(provider: Provider, timeline: Timeline) -> dict[str, Json]:
    """Return a reply's headers and its pace."""
    around: dict[str, Json] = {}
    if headers := _headers(provider, timeline):
        around["headers"] = headers
    latency = timeline.head_at if timeline.stream else max(timeline.head_at, timeline.end_at)
    if wait := _rounded(latency):
        around["latency"] = wait
    if timeline.stream and (pace := _pace(timeline)):
        around["stream"] = pace
    return around


def _headers(provider: Provider, timeline: Timeline) -> dict[str, Json]:
    live = {name.lower() for name, form in provider.headers if any(hole in form for hole in _LIVE)}
    return {
        name: escaped(value)
        for name, value in timeline.headers
        if name not in live | RESERVED_HEADERS
        and not (name.startswith("x-emulator-") or is_secret(name) or _OF_THE_WAY.fullmatch(name))
        and _PRINTABLE.fullmatch(value)
    }


def _pace(timeline: Timeline) -> dict[str, Json]:
    """Return the time to the first event, and those between the following, rounded to milliseconds."""
    times = [timeline.head_at, *(frame.at for frame in timeline.frames if frame.kind == "data")]
    waits = [_rounded(later - earlier) for earlier, later in pairwise(times)]
    pace: dict[str, Json] = {"ttft": waits[0]} if waits and waits[0] else {}
    between = waits[1:]
    while len(between) > 1 and between[-1] == between[-2]:
        between.pop()
    if any(between):
        pace["itl"] = between[0] if len(between) == 1 else between
    return pace


def _rounded(seconds: float) -> float:
    return max(0.0, round(seconds, 3))


def _stream(*parts: Mapping[str, Json]) -> dict[str, Json]:
    """Join how a text is split and how it is paced."""
    joined = {name: item for part in parts for name, item in part.get("stream", {}).items()}
    return {"stream": joined} if joined else {}


def _faults(timeline: Timeline, form: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fault that ends the answer as it ended."""
    frames, end = timeline.frames, timeline.end
    broken_inside = timeline.stream and bool(frames) and frames[-1].kind == "part"
    if end == "complete" and not broken_inside:
        undone = timeline.stream and "events" not in form and all(frame.kind != "done" for frame in frames)
        return {"faults": [{"drop_done": True}]} if undone else {}
    if timeline.stream and not broken_inside:
        place = {"after_chunks": sum(frame.kind in ("data", "done") for frame in frames)}
    else:
        place = {"after_bytes": sum(_size(frame) for frame in frames)}
    return {"faults": [{"cut": {**place, "how": "clean" if end == "complete" else end}}]}


def _size(frame: Frame) -> int:
    """Return how many bytes a frame has as the emulator writes it; comments are not written."""
    if frame.kind in ("data", "done"):
        return len(b"data: \n\n") + len(payload(frame.data))
    return 0 if frame.kind == "comment" else len(frame.data)


# Whether two answers are the same


def _bare(timeline: Timeline) -> Json:
    """Return what a client reads of an answer, ids and times aside."""
    end = "complete" if timeline.end == "clean" else timeline.end
    if not timeline.stream:
        return timeline.status, end, _without_new(b"".join(frame.data for frame in timeline.frames), False)
    events = [
        frame.data if not _WHOLE.search(frame.data) else _without_new(payload(frame.data), True)
        for frame in timeline.frames
        if frame.data and frame.kind != "comment"
    ]
    return timeline.status, end, events


def _without_new(data: bytes, exact: bool) -> Json:
    """Return JSON with ids and times taken out, in its order; `exact`: only if it is written without blanks."""
    value = _parsed(data)
    if not isinstance(value, dict) or (exact and orjson.dumps(value) != data):
        return data
    for holder in (value, value.get("error")):
        if isinstance(holder, dict):
            for name in _NEW:
                holder.pop(name, None)
    return orjson.dumps(value)


def secrets_of(exchange: Exchange, shortest: int = 8) -> Collection[str]:
    """Return the secrets that came with a request, long enough to be told from words."""
    found: set[str] = set()
    for name, value in exchange.request.headers.items():
        if is_secret(name):
            found |= {value, *re.split(r"[\s;,=]+", value)}
    for part in exchange.request.query.split("&"):
        name, _, value = part.partition("=")
        found |= {value} if is_secret(name) else set()
    return {item for item in found if len(item) >= shortest and item.lower() not in ("bearer",)}
