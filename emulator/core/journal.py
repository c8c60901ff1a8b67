"""The journal as people and tests read it: one exchange as plain data, secrets redacted.

A response's head and body are those of the answer, as its faults left it; `usage` and `finish_reason` are there where
it got so far.

Bodies over a million bytes are not read as JSON a second time: they are shown as text, cut there, and not searched for
keys that stand twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress

import orjson

from emulator.core.chat import asks_usage
from emulator.core.errors import Json
from emulator.core.secrets import redact, redact_headers, redact_query, secrets_of, without
from emulator.core.wire import Exchange, Note, Timeline

_SHOWN_BYTES = 1_000_000
#: How many keys that stand twice are named.
_MOST_NAMED = 100
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_DATA = b"data: "


def describe(exchange: Exchange) -> dict[str, Json]:
    """Return an exchange as the control API shows it."""
    claim, grant, request = exchange.claim, exchange.grant, exchange.request
    body, text = read_body(request.body)
    notes = [*exchange.notes, *_duplicate_keys(request.body)]
    return {
        "n": grant.number,
        "session": claim.session,
        "provider": claim.provider,
        "operation": claim.operation,
        "at": request.at,
        "method": request.method,
        "path": request.address + (f"?{redact_query(request.query)}" if request.query else ""),
        **({"params": dict(claim.call.params)} if claim.call and claim.call.params else {}),
        "headers": redact_headers(request.headers.items()),
        "key": redact(claim.key),
        "body": body,
        "body_text": text,
        "plan": claim.plan.name,
        "model": model_of(exchange),
        "notes": [{"fact": note.fact, "path": note.path, "message": note.message} for note in notes],
        "rule": exchange.rule,
        "rule_id": exchange.rule_id,
        "call": grant.n if exchange.rule_id and not grant.replay else None,
        "reply": exchange.reply,
        "seed": exchange.seed,
        "refusal": _refusal(exchange),
        "nearest": list(exchange.nearest),
        "response": _response(exchange),
        "timeline": _timeline(exchange),
        "sent": _sent(exchange),
        "replay_of": grant.replay.grant.number if grant.replay else None,
        "crash": exchange.crash,
    }


def model_of(exchange: Exchange) -> str:
    """Return the model that answered, or that was asked for, by a request that was refused too; else nothing."""
    call = exchange.claim.call
    if exchange.model or call:
        return exchange.model or (call.model if call else "")
    body, _ = read_body(exchange.request.body)
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else ""


def read_body(data: bytes) -> tuple[Json, str | None]:
    """Return a body as JSON; one that is none, or has over a million bytes, as text (cut there)."""
    if not data:
        return None, None
    if len(data) > _SHOWN_BYTES:
        return None, _as_text(data)
    try:
        value = orjson.loads(data)
        orjson.dumps([[[[value]]]])  # deeper than what can be written again, inside a journal, is shown as text
    except (orjson.JSONDecodeError, TypeError):
        return None, _as_text(data)
    return value, None


def _as_text(data: bytes) -> str:
    return data[:_SHOWN_BYTES].decode(errors="replace")


def _duplicate_keys(data: bytes) -> list[Note]:
    """Note keys that stand twice in one object, of a body that is shown as JSON; the last one counted."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Json]]) -> Mapping[str, Json]:
        result = dict(items)
        if len(result) < len(items):
            found.extend(name for name, times in Counter(name for name, _ in items).items() if times > 1)
        return result

    value, _ = read_body(data)
    if value is not None and len(orjson.dumps(value)) != len(data):
        json.loads(data, object_pairs_hook=pairs)
    notes = [Note(None, name, "stands twice in one object; the last one counts") for name in found[:_MOST_NAMED]]
    more = len(found) - _MOST_NAMED
    return [*notes, Note(None, "", f"{more} more keys stand twice in one object")] if more > 0 else notes


def _refusal(exchange: Exchange) -> Json:
    if exchange.refusal is None:
        return None
    name, status, refusal = exchange.refusal
    details = [{"path": item.path, "message": item.message, "fact": item.fact} for item in refusal.details]
    return {"code": name, "status": status, "message": refusal.message, "fact": refusal.fact, "details": details}


def _response(exchange: Exchange) -> dict[str, Json]:
    timeline = exchange.timeline
    data = b"".join(frame.data for frame in timeline.frames)
    body, text = (None, _as_text(data)) if timeline.stream else read_body(data)
    secrets = secrets_of(exchange.request) if exchange.proxied else ()  # an upstream may repeat them
    usage, finish_reason = _ending(exchange)
    return {
        "status": timeline.status,
        "headers": without(redact_headers(timeline.headers), secrets),
        "body": without(body, secrets),
        "body_text": without(text, secrets),
        "stream": timeline.stream,
        "usage": usage,
        "finish_reason": finish_reason,
    }


def _ending(exchange: Exchange) -> tuple[Mapping[str, int] | None, str | None]:
    """Return usage and finish reason, each where what carries it went out; of an answer under way, as it will be.

    A stream that was not asked for its usage has it as soon as it has finished. What an upstream sent has been read.
    """
    timeline, sent, call = exchange.timeline, exchange.sent, exchange.claim.call
    frames = timeline.frames if sent is None else timeline.frames[: len(sent.frames)]
    if exchange.proxied:
        return exchange.usage, exchange.finish_reason
    if not timeline.stream:
        whole = (
            len(frames) == len(timeline.frames) and timeline.end == "complete" and "invalid_json" not in timeline.faults
        )
        return (exchange.usage, exchange.finish_reason) if whole else (None, None)
    counted = not (call and asks_usage(call.body))
    for chunk in _chunks_from_the_end(b"".join(frame.data for frame in frames)):
        counted = counted or bool(chunk.get("usage"))
        if _finishes(chunk):
            return exchange.usage if counted else None, exchange.finish_reason
    return None, None


def _finishes(chunk: Mapping[str, Json]) -> bool:
    """Tell whether a chunk says how its answer ends; what a scenario wrote can have any form."""
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(isinstance(item, dict) and item.get("finish_reason") for item in choices)


def _chunks_from_the_end(data: bytes) -> Iterator[Mapping[str, Json]]:
    for event in reversed(_EVENT_END.split(data)):
        with suppress(orjson.JSONDecodeError):
            chunk = orjson.loads(event.removeprefix(_DATA))
            if isinstance(chunk, dict):
                yield chunk


def _timeline(exchange: Exchange) -> dict[str, Json]:
    timeline: Timeline = exchange.timeline
    times = exchange.sent.frames if exchange.sent else ()
    frames = [
        {
            "at": frame.at,
            "size": len(frame.data),
            "kind": frame.kind,
            "sent_at": times[index] if index < len(times) else None,
        }
        for index, frame in enumerate(timeline.frames)
    ]
    return {"frames": frames, "end": timeline.end, "faults": list(timeline.faults)}


def _sent(exchange: Exchange) -> dict[str, Json]:
    sent = exchange.sent
    if sent is None:
        return {"bytes": 0, "frames": 0, "end": "under_way", "at": None, "silent": 0.0}
    return {"bytes": sent.bytes, "frames": len(sent.frames), "end": sent.end, "at": sent.at, "silent": sent.silent}
