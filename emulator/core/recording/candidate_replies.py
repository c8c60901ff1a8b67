"""The forms in which an upstream's answer could be told as a reply, and what stands around its content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from emulator.core.errors import Json
from emulator.core.journal.describe import describe
from emulator.core.provider.holes import difference
from emulator.core.provider.provider import Provider
from emulator.core.recording.to_scenario import content_of, escaped
from emulator.core.recording.undocumented import MAX_DEPTH
from emulator.core.scenario.replies import RESERVED_HEADERS
from emulator.core.secrets.texts import is_secret
from emulator.core.tree import at, compact, deeper, parsed, walk
from emulator.core.values import Exchange, Frame, Timeline
from emulator.core.wires.sse import as_line, event, framing_of, payload
from emulator.core.wires.wire import Wire

#: Headers that say something of the way and the machines on it, not of the answer.
_OF_THE_WAY = re.compile(
    "(?i)(server|via|vary|alt-svc|nel|report-to|reporting-endpoints|etag|cache-control|pragma|expires|age|"
    "content-.*|access-control-.*|strict-transport-security|x-content-type-options|x-frame-options|x-request-id|"
    "request-id|x-powered-by|cf-.*|x-amz.*|x-envoy-.*|x-cache.*|x-served-by|x-timer|.*-(organization|project|version|processing-ms))"
)
_PRINTABLE = re.compile("[ -~]*")
#: What differs at each answer in a documented header, so that the emulator's own is better.
_LIVE = ("${reset", "${request_id}")


def forms(provider: Provider, exchange: Exchange) -> Iterator[dict[str, Json]]:
    """Yield what could say an answer, the most readable first."""
    timeline, wire = exchange.timeline, exchange.claim.wire
    data = b"".join(frame.data for frame in timeline.frames)
    if exchange.refusal:  # it was answered in the upstream's place
        name, _, refusal = exchange.refusal
        yield {"error": {"name": name, "message": escaped(refusal.message or name)}}
    if timeline.status >= 400:
        yield from _named(provider, timeline.status, data)
    elif wire is not None:
        row = describe(exchange)
        readable = content_of(row, row["response"], wire)
        if "builtin" not in readable:
            yield readable
    status = {"status": timeline.status} if timeline.status != 200 else {}
    if timeline.stream:
        last = (wire.last if wire else "") or "end"
        yield {"events": _items(timeline.frames, last if timeline.end != "complete" else None)} | status
        return
    value = writable(data)
    whole = timeline.end == "complete"
    if value is not None and whole and timeline.status < 400:
        yield {"json": escaped(value)} | status
    text = escaped(data.decode(errors="replace")) + ("" if whole else "\n")  # a byte more, for a cut to take away
    error = {"status": max(400, timeline.status), "body": escaped(value) if whole and value is not None else text}
    yield {"error": error} | ({"status": timeline.status} if timeline.status < 400 else {})


def _named(provider: Provider, status: int, data: bytes) -> Iterator[dict[str, Json]]:
    """Yield the errors of that status whose envelope a body could be."""
    body, forms = writable(data), (provider.envelope, *provider.envelopes.values())
    form = next((form for form in forms if difference(form, body) is None), provider.envelope)
    places = {leaf: path for path, leaf in walk(form) if isinstance(leaf, str)}
    holes = ("${message}", "${param}", "${details}")
    message, param, listed = (at(body, places[hole]) if places.get(hole) else None for hole in holes)
    if not isinstance(message, str):
        return
    details: list[dict[str, Json]] = [{"path": param, "message": message}] if isinstance(param, str) else []
    if isinstance(listed, list):
        details = [{"field": item.get("field"), "message": item.get("message")} for item in listed
                   if isinstance(item, Mapping)]  # fmt: skip
    for name in (name for name, given in provider.errors.items() if given["status"] == status):
        yield {"error": name}
        yield {"error": escaped({"name": name, "message": message})}
        if details and all(isinstance(text, str) for item in details for text in item.values()):
            yield {"error": escaped({"name": name, "message": message, "details": details})}


def _items(frames: Sequence[Frame], filler: str | None) -> list[Json]:
    """Return the data items of a stream; `filler` is one more, for a cut to take away, unless one is broken."""
    items: list[Json] = []
    for frame in frames:
        text = payload(frame.data).decode(errors="replace")
        if frame.kind == "part":
            items.append(escaped(text))
        elif frame.kind in ("data", "done"):
            value = writable(text.encode())
            items.append(escaped(value if isinstance(value, dict) and compact(value) == text else text))
    return items if filler is None or (frames and frames[-1].kind == "part") else [*items, filler]


def writable(data: bytes) -> Json:
    """Return JSON that can be written down; None for anything else."""
    value = parsed(data)
    return None if deeper(value, MAX_DEPTH) else value


# What stands around the content


def around(provider: Provider, timeline: Timeline) -> dict[str, Json]:
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


def joined_stream(*parts: Mapping[str, Json]) -> dict[str, Json]:
    """Join how a text is split and how it is paced."""
    joined = {name: item for part in parts for name, item in part.get("stream", {}).items()}
    return {"stream": joined} if joined else {}


def faults(timeline: Timeline, form: Mapping[str, Json], wire: Wire | None) -> dict[str, Json]:
    """Return the fault that ends the answer as it ended."""
    frames, end = timeline.frames, timeline.end
    broken_inside = timeline.stream and bool(frames) and frames[-1].kind == "part"
    if end == "complete" and not broken_inside:
        ends = wire is not None and (wire.has_end or any(framing_of(frame.data) == "array" for frame in frames[:1]))
        undone = timeline.stream and ends and "events" not in form and all(frame.kind != "done" for frame in frames)
        return {"faults": [{"drop_done": True}]} if undone else {}
    if timeline.stream and not broken_inside:
        place = {"after_chunks": sum(frame.kind in ("data", "done") for frame in frames)}
    else:
        place = {"after_bytes": sum(_size(frame, wire) for frame in frames)}
    return {"faults": [{"cut": {**place, "how": "clean" if end == "complete" else end}}]}


def _size(frame: Frame, wire: Wire | None) -> int:
    """Return how many bytes a frame has as the emulator writes it; comments are not written."""
    if frame.kind in ("data", "done"):
        data = payload(frame.data)
        if framing_of(frame.data) == "ndjson":
            return len(as_line(data))
        return len(wire.event(data) if wire else event(data))
    return 0 if frame.kind == "comment" else len(frame.data)
