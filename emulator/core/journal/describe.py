"""The journal as people and tests read it: one exchange as plain data, secrets redacted.

A response's head and body are those of the answer, as its faults left it; `usage` and `finish_reason` are there where
it got so far.

Bodies over a million bytes are not read as JSON a second time: they are shown as text, cut there, and not searched for
keys that stand twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import orjson

from emulator.core.errors import Json
from emulator.core.journal.attempts import answer_of, event_values
from emulator.core.secrets.redaction import plain_values, redact_form, redact_headers, redact_json, redact_target
from emulator.core.secrets.repeated import across_events, changed, held, noting, telling, without
from emulator.core.secrets.texts import Show, is_suspect, redact, redact_text
from emulator.core.values import Exchange, Note, Request, Timeline
from emulator.core.wires.completion import CALLS, Completion
from emulator.core.wires.request.conversation import Conversation, Message

_SHOWN_BYTES = 1_000_000
#: How many keys that stand twice are named.
_MOST_NAMED = 100


def describe(exchange: Exchange, conversation: bool = False) -> dict[str, Json]:
    """Return an exchange as the control API shows it; `conversation` adds what was said, as `conversation`."""
    claim, grant, request, timeline = exchange.claim, exchange.grant, exchange.request, exchange.timeline
    data = b"".join([frame.data for frame in timeline.frames])
    headers = *plain_values(request.headers.items()), *plain_values(timeline.headers)
    texts = "\n".join((request.address, request.query, _as_text(request.body), _as_text(data)))
    by_value = is_suspect(texts, headers)
    found: set[str] = set()
    asked, twice = _request(request, noting(found), by_value)
    answered = _response(exchange, data, by_value)
    if secrets := telling(found):
        here = held("\n".join((texts, *headers)), secrets)
        asked, answered = changed(asked, here), changed(answered, here)
    if timeline.stream:
        answered["body_text"] = across_events(answered["body_text"], secrets)
    told = _told(exchange, twice, secrets)
    if conversation:
        said = redact_json(said_in(exchange, asked["body"]), noting(found), by_value)
        told["conversation"] = without(said, telling(found))
    return {
        "n": grant.number,
        "session": claim.session,
        "provider": claim.provider,
        "operation": claim.operation,
        "at": request.at,
        "method": request.method,
        "path": asked["path"],
        **({"params": without(dict(claim.params), secrets)} if claim.params else {}),
        "headers": asked["headers"],
        "key": redact(claim.key),
        "body": asked["body"],
        "body_text": asked["body_text"],
        "plan": claim.plan.name,
        "model": without(model_of(exchange), secrets),
        "notes": told["notes"],
        "rule": exchange.rule,
        "rule_id": exchange.rule_id,
        "call": grant.n if exchange.rule_id and not grant.replay else None,
        "reply": exchange.reply,
        "seed": exchange.seed,
        "refusal": told["refusal"],
        "nearest": told["nearest"],
        "response": answered,
        "timeline": _timeline(exchange),
        "sent": _sent(exchange),
        "replay_of": grant.replay.grant.number if grant.replay else None,
        "crash": told["crash"],
        **({"conversation": told["conversation"]} if conversation else {}),
    }


def _request(request: Request, show: Show, by_value: bool) -> tuple[dict[str, Json], list[Note]]:
    """Return what is shown of a request, and notes on keys that stand twice in it."""
    body, text = read_body(request.body)
    shown = {
        "path": redact_target(f"{request.address}?{request.query}" if request.query else request.address, show),
        "headers": redact_headers(request.headers.items(), show, by_value),
        "body": redact_json(body, show, by_value),
        "body_text": None if text is None else redact_form(text, show),
    }
    return shown, _duplicate_keys(request.body, body)


def secrets_of(request: Request) -> Collection[str]:
    """Return the secrets that came with a request and can be told from words."""
    found: set[str] = set()
    show = noting(found)
    redact_headers(request.headers.items(), show)
    redact_target(f"{request.address}?{request.query}", show)
    try:
        redact_json(orjson.loads(request.body), show)
    except orjson.JSONDecodeError:
        redact_form(request.body.decode(errors="replace"), show)
    return telling(found)


def _told(exchange: Exchange, more: Sequence[Note], secrets: Collection[str]) -> dict[str, Json]:
    """Return what we say of an exchange, in words that may quote it."""
    told = {
        "notes": [{"fact": note.fact, "path": note.path, "message": note.message} for note in (*exchange.notes, *more)],
        "refusal": _refusal(exchange),
        "nearest": list(exchange.nearest),
        "crash": exchange.crash,
    }
    return without(told, secrets) if any(told.values()) else told


def model_of(exchange: Exchange) -> str:
    """Return the model that answered, or that was asked for, by a request that was refused too; else nothing."""
    call = exchange.claim.call
    if exchange.model or call:
        return exchange.model or (call.model if call else "")
    if "model" in exchange.claim.params:
        return exchange.claim.params["model"]
    body, _ = read_body(exchange.request.body)
    wire = exchange.claim.wire
    return wire.request.model(body) if wire and isinstance(body, dict) else _model(body)


def _model(body: Json) -> str:
    """Return the model that was asked for where no wire tells where it stands."""
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


def _duplicate_keys(data: bytes, value: Json) -> list[Note]:
    """Note keys that stand twice in one object, of a body that is shown as JSON, `value`; the last one counted."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Json]]) -> Mapping[str, Json]:
        result = dict(items)
        if len(result) < len(items):
            found.extend(name for name, times in Counter(name for name, _ in items).items() if times > 1)
        return result

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


def _response(exchange: Exchange, data: bytes, by_value: bool) -> dict[str, Json]:
    timeline = exchange.timeline
    body, text = (None, _as_text(data)) if timeline.stream else read_body(data)
    usage, finish_reason = _ending(exchange)
    return {
        "status": timeline.status,
        "headers": redact_headers(timeline.headers, by_value=by_value),
        "body": redact_json(body, by_value=by_value),
        "body_text": None if text is None else redact_text(text, by_value=by_value),
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
        whole = len(frames) == len(timeline.frames) and timeline.end == "complete"
        told = whole and "invalid_json" not in timeline.faults
        return (exchange.usage, exchange.finish_reason) if told else (None, None)
    counted = not (call and call.conversation.usage)
    wire = exchange.claim.wire
    for value in event_values(b"".join(frame.data for frame in frames), newest_first=True) if wire else ():
        finishes, counts = wire.ending(value) if wire else (False, False)
        counted = counted or counts
        if finishes:
            return exchange.usage if counted else None, exchange.finish_reason
    return None, None


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


# What was said

#: Of how many frames of a stream it is told what each says.
MOST_PIECES = 300


def said_in(exchange: Exchange, body: Json) -> dict[str, Json]:
    """Return what was asked and answered, by neutral names; `body` is the request's, for one that was refused.

    `{model, asked: [{by, text, calls, call_id, images}], offered: [NAME], answered: [{kind, text, name}], pieces}`:
    `asked` is null where the request says nothing to a model, `answered` empty where no part of an answer was read; a
    call's text is its arguments; `pieces` are what each of a stream's first frames says.
    """
    conversation = _conversation(exchange, body)
    return {
        "model": conversation.model if conversation else None,
        "asked": [_message(item) for item in conversation.messages] if conversation else None,
        "offered": [tool.name for tool in conversation.tools] if conversation else [],
        "answered": list(_answered(exchange)),
        "pieces": [_piece(exchange, frame.data) for frame in exchange.timeline.frames[:MOST_PIECES]]
        if exchange.timeline.stream
        else [],
    }


def _conversation(exchange: Exchange, body: Json) -> Conversation | None:
    """Return the conversation asked; of a request that was refused, what can be read of it."""
    claim = exchange.claim
    if claim.call:
        return claim.call.conversation
    found = claim.wire.request.read(body) if claim.wire and isinstance(body, dict) else None
    return found if found and found.messages else None


def _message(message: Message) -> dict[str, Json]:
    calls = [{"id": id, "name": name, "arguments": arguments} for id, name, arguments in message.calls]
    told = {"calls": calls, "call_id": message.call_id, "name": message.name, "images": message.images}
    return {"by": message.role, "text": message.text} | {key: value for key, value in told.items() if value}


def _piece(exchange: Exchange, data: bytes) -> str:
    """Return what a frame of a stream says by itself."""
    wire = exchange.claim.wire
    told = wire.read_events(list(event_values(data))) if wire else Completion()
    return "".join(part.text for part in told.parts)


def _answered(exchange: Exchange) -> Iterator[dict[str, Json]]:
    for part in answer_of(exchange).parts:
        yield {"kind": part.kind, "text": part.text} | ({"name": part.name} if part.kind in CALLS else {})
