"""From what a reply says to what goes on the wire: bodies, chunks, usage, and the time of each frame.

content -> Said (stop, max_tokens) -> one body, or chunks: role | text pieces | tool calls | finish | usage | done
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from emulator.core.chat import compact
from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.provider import Operation, Provider, fill
from emulator.core.scenario import Pace, Reply
from emulator.core.tokens import count, pieces
from emulator.core.wire import FOREVER, Call, Frame, Headers, Note, Timeline

JSON_TYPE = ("content-type", "application/json")
SSE_TYPE = ("content-type", "text/event-stream")
MAX_CHOICES = 128


@dataclass(frozen=True, slots=True)
class Turn:
    """What a reply answers: the call, the model that serves it, the rule's draws, and the cap in tokens."""

    provider: Provider
    operation: Operation
    call: Call
    model: str
    draw: Draw
    at: float
    strict: bool = False
    cap: int | None = None
    cap_fact: str | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says in the end; `calls` are id, name, arguments."""

    text: str | None
    calls: tuple[tuple[str, str, str], ...]
    refusal: str | None
    finish_reason: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer before faults, and what the journal wants to know of it."""

    timeline: Timeline
    usage: Mapping[str, int] | None = None
    tokens: int = 0
    finish_reason: str | None = None
    notes: tuple[Note, ...] = ()


#: How a reply that a scenario did not write is sent.
PLAIN = Reply("builtin", True, {}, None, ())


def render_message(turn: Turn, content: Mapping[str, Json], reply: Reply = PLAIN) -> Rendered:
    """Render text, tool calls or a refusal, whole or streamed as the call asked."""
    said, notes = _say(turn, content, reply)
    usage = _usage(turn, said, reply)
    render = _stream if turn.call.stream else _whole
    counted = turn.call.prompt_tokens + said.tokens * choices_asked(turn.call)
    tokens = usage["total_tokens"] if usage else counted
    return Rendered(render(turn, said, usage, reply), usage, tokens, said.finish_reason, notes)


def render_body(body: Json, status: int = 200, headers: Headers = (), latency: float = 0.0) -> Timeline:
    """Render a whole JSON body."""
    return whole(orjson.dumps(body), status, (JSON_TYPE, *headers), latency)


def whole(data: bytes, status: int, headers: Headers, latency: float = 0.0) -> Timeline:
    """Return a whole answer; a latency of FOREVER is a silence before the head."""
    due = 0.0 if latency == FOREVER else latency
    return Timeline(status, headers, (Frame(due, data, "body"),), False, latency, "complete", due, len(data))


def render_events(turn: Turn, items: Sequence[Json], reply: Reply) -> Timeline:
    """Render raw data items as an event stream."""
    texts = [item if isinstance(item, str) else compact(item) for item in items]
    events = [
        (_event(text.encode(errors="replace")), "done" if text == turn.provider.done else "data") for text in texts
    ]
    return _timed(turn, events, reply)


def render_embeddings(turn: Turn, vectors: Sequence[Sequence[float]], tokens: int, reply: Reply = PLAIN) -> Rendered:
    """Render one vector for each input, as floats or in base64 as the call asked."""
    encode = _base64 if turn.call.body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": turn.model, "usage": usage}
    latency = reply.latency.draw(turn.draw, "latency")
    return Rendered(render_body(prune(body, turn, "response"), reply.status or 200, (), latency), usage, tokens)


def render_id(turn_or_provider: Provider, kind: str, draw: Draw, at: float, label: str = "") -> str:
    """Draw an id of one of the provider's forms: response, request or tool_call."""
    form = turn_or_provider.ids.get(kind, "call_${alnum}")
    label = f"{kind}{label}"
    values = _Drawn(draw, label, at)
    return str(fill(form, values))


class _Drawn(dict[str, str]):
    """The values of an id's holes, drawn when a form has the hole."""

    def __init__(self, draw: Draw, label: str, at: float) -> None:
        self.draw, self.label, self.at = draw, label, at

    def __missing__(self, hole: str) -> str:
        if hole == "ulid":
            return self.draw.ulid(self.label, self.at)
        return self.draw.alnum(self.label) if hole == "alnum" else self.draw.hex(self.label)


def prune(body: Json, turn: Turn, part: str) -> Json:
    """In strict, leave only the fields that the docs' samples show."""
    shown = turn.operation.shown.get(part)
    return _pruned(body, shown) if turn.strict and shown else body


def _pruned(value: Json, shown: Mapping[str, Json]) -> Json:
    if not shown:
        return value
    if isinstance(value, list):
        return [_pruned(item, shown) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: _pruned(item, shown[key]) for key, item in value.items() if key in shown}
    return {key: item for key, item in kept.items() if key != "finish_reason" or item is not None}


# What is said


def _say(turn: Turn, content: Mapping[str, Json], reply: Reply) -> tuple[Said, tuple[Note, ...]]:
    text, refusal = content.get("text"), content.get("refusal")
    if text is not None and not isinstance(text, str):
        text = compact(text)
    calls = tuple(_tool_call(turn, index, item) for index, item in enumerate(content.get("tool_calls", ())))
    notes: list[Note] = []
    if text and not reply.verbatim:
        text = _stopped(text, turn.call.body.get("stop"))
    reason = reply.finish_reason or ("tool_calls" if calls else "stop")
    tokens = _cost(text, calls, refusal)
    if turn.cap is not None and tokens > turn.cap and not reply.verbatim:
        text, calls, refusal = _capped(turn.cap, text, calls, refusal)
        notes.append(Note(turn.cap_fact, "max_tokens", f"the reply was cut at {turn.cap} of {tokens} tokens"))
        tokens, reason = _cost(text, calls, refusal), "length"
    return Said(text, calls, refusal, reason, tokens), tuple(notes)


def _tool_call(turn: Turn, index: int, item: Mapping[str, Json]) -> tuple[str, str, str]:
    arguments = item.get("arguments", {})
    arguments = arguments if isinstance(arguments, str) else compact(arguments)
    ident = item.get("id") or render_id(turn.provider, "tool_call", turn.draw, turn.at, str(index))
    return ident, item["name"], arguments


def _stopped(text: str, stop: Json) -> str:
    sequences = stop if isinstance(stop, list) else [stop]
    for sequence in sequences:
        if isinstance(sequence, str) and sequence:
            text = text.partition(sequence)[0]
    return text


def _cost(text: str | None, calls: Iterable[tuple[str, str, str]], refusal: str | None) -> int:
    return count(text or "") + count(refusal or "") + sum(count(name) + count(given) for _, name, given in calls)


def _capped(
    cap: int, text: str | None, calls: Iterable[tuple[str, str, str]], refusal: str | None
) -> tuple[str | None, tuple[tuple[str, str, str], ...], str | None]:
    """Keep `cap` tokens: of the text, then of each call's arguments; a call whose name does not fit is left out."""
    left = cap
    if text is not None:
        text = "".join(pieces(text)[:left])
        left -= count(text)
    if refusal is not None:
        refusal = "".join(pieces(refusal)[:left])
        left -= count(refusal)
    kept = []
    for ident, name, arguments in calls:
        left -= count(name)
        if left < 0:
            break
        arguments = "".join(pieces(arguments)[:left])
        left -= count(arguments)
        kept.append((ident, name, arguments))
    return text if text is not None or kept or refusal is not None else "", tuple(kept), refusal


def _usage(turn: Turn, said: Said, reply: Reply) -> Mapping[str, int] | None:
    if reply.usage == "none":
        return None
    given = reply.usage or {}
    prompt = given.get("prompt_tokens", turn.call.prompt_tokens)
    completion = given.get("completion_tokens", said.tokens * choices_asked(turn.call))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def choices_asked(call: Call) -> int:
    """Return `n` where it is a number that makes sense, else 1."""
    number = call.body.get("n")
    good = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MAX_CHOICES
    return number if good and isinstance(number, int) else 1


# Whole


def _whole(turn: Turn, said: Said, usage: Mapping[str, int] | None, reply: Reply) -> Timeline:
    message: dict[str, Json] = {"role": "assistant", "content": said.text}
    if said.refusal is not None:
        message["refusal"] = said.refusal
    if said.calls:
        message["tool_calls"] = [
            {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}
            for ident, name, arguments in said.calls
        ]
    body = {
        "id": render_id(turn.provider, "response", turn.draw, turn.at),
        "object": "chat.completion",
        "created": int(turn.at),
        "model": turn.model,
        "choices": [
            {"index": index, "message": message, "finish_reason": said.finish_reason}
            for index in range(choices_asked(turn.call))
        ],
    }
    if usage:
        body["usage"] = usage
    return render_body(prune(body, turn, "response"), reply.status or 200, (), reply.latency.draw(turn.draw, "latency"))


# Streamed


def _stream(turn: Turn, said: Said, usage: Mapping[str, int] | None, reply: Reply) -> Timeline:
    head = {
        "id": render_id(turn.provider, "response", turn.draw, turn.at),
        "object": "chat.completion.chunk",
        "created": int(turn.at),
        "model": turn.model,
    }
    indexes = range(choices_asked(turn.call))
    events: list[tuple[bytes, str]] = []
    for delta, reason in _deltas(said, reply.pace):
        for index in indexes:
            chunk = {**head, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}
            events.append((_event(orjson.dumps(prune(chunk, turn, "chunk"))), "data"))
    if usage and not turn.strict and _asks_usage(turn.call.body):
        events.append((_event(orjson.dumps({**head, "choices": [], "usage": usage})), "data"))
    events.append((_event(turn.provider.done.encode()), "done"))
    return _timed(turn, events, reply)


def _deltas(said: Said, pace: Pace) -> Iterator[tuple[dict[str, Json], str | None]]:
    yield {"role": "assistant"}, None
    for piece in split(said.text or "", pace.split):
        yield {"content": piece}, None
    for piece in split(said.refusal or "", pace.split):
        yield {"refusal": piece}, None
    for index, (ident, name, arguments) in enumerate(said.calls):
        begun = {"index": index, "id": ident, "type": "function", "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [begun]}, None
        for piece in split(arguments, pace.split if isinstance(pace.split, str | int) else "tokens"):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None
    yield {}, said.finish_reason


def split(text: str, how: Json) -> list[str]:
    """Split a text into the pieces of a stream; joined, they are the text again.

    `how`: tokens, words, chars, a number of characters, or a list of pieces whose lengths are taken.
    """
    if isinstance(how, list):
        return _cut_alike(text, how)
    if how == "tokens":
        return pieces(text)
    if how == "words":
        words = text.split(" ")
        return [word if not index else " " + word for index, word in enumerate(words) if word or index]
    size = 1 if how == "chars" else how
    return [text[start : start + size] for start in range(0, len(text), size)]


def _cut_alike(text: str, parts: Iterable[str]) -> list[str]:
    """Cut a text where the pieces end; what is longer than all of them is the last piece."""
    kept, start = [], 0
    for part in parts:
        kept.append(text[start : start + len(part)])
        start += len(part)
    return [piece for piece in (*kept, text[start:]) if piece]


def _asks_usage(body: Mapping[str, Json]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _event(data: bytes) -> bytes:
    """Write one event; a line break inside the data begins another data line."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"data: " + data + b"\n\n"


def _timed(turn: Turn, events: Iterable[tuple[bytes, str]], reply: Reply) -> Timeline:
    """Give each event its time: latency, then ttft, then itl between the following; the last one at once."""
    model = turn.provider.models.get(turn.model)
    latency = reply.latency.draw(turn.draw, "latency")
    at = 0.0 if latency == FOREVER else latency
    frames: list[Frame] = []
    for index, (data, kind) in enumerate(events):
        if kind != "done" or not frames:
            wait = reply.pace.itl if frames else reply.pace.ttft
            seconds = wait.draw(turn.draw, f"wait/{index}")
            if reply.pace.documented and model:
                seconds = model.itl if frames else model.ttft
            if seconds == FOREVER:
                frames.append(Frame(at, b"", "hold"))
            else:
                at += seconds
        frames.append(Frame(at, data, kind))
    return Timeline(reply.status or 200, (SSE_TYPE,), tuple(frames), True, latency, "complete", at)


# Vectors


def unit_vector(values: Sequence[float]) -> list[float]:
    """Scale to length 1; a vector of zeros stays."""
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else list(values)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
