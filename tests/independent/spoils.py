"""Ways to spoil what the independent endpoint answers, or what is read and answered together."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace

from independent.endpoint import Serve, Spoil
from independent.misreadings import Change, fields_of, reading
from independent.values import Json, Reply, Request

When = Callable[[Request, Reply], bool]


def always(request: Request, reply: Reply) -> bool:
    return True


def good(request: Request, reply: Reply) -> bool:
    return reply.status == 200


def status(code: int) -> When:
    return lambda request, reply: reply.status == code


def at(path: str) -> When:
    return lambda request, reply: request.path == path and reply.status == 200


def asked(test: Callable[[Mapping[str, Json]], Json]) -> When:
    return lambda request, reply: bool(test(fields_of(request)))


def streamed(request: Request, reply: Reply) -> bool:
    return reply.events is not None


def answering(change: Callable[[Reply], Reply], when: When = always) -> Spoil:
    """Send another reply than there is."""

    def spoil(request: Request, serve: Serve) -> Reply:
        reply = serve(request)
        return change(reply) if when(request, reply) else reply

    return spoil


def as_status(code: int, when: When) -> Spoil:
    return answering(lambda reply: replace(reply, status=code), when)


def refusing(when: When, code: int = 400) -> Spoil:
    error = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}
    return answering(lambda reply: replace(reply, status=code, body=error, events=None), when)


def as_raw(raw: bytes, media_type: str, when: When) -> Spoil:
    headers = {"Content-Type": media_type}
    return answering(lambda reply: replace(reply, raw=raw, headers={**reply.headers, **headers}), when)


def headers(change: Callable[[Mapping[str, str]], Mapping[str, str]], when: When = always) -> Spoil:
    return answering(lambda reply: replace(reply, headers=change(reply.headers)), when)


def lacking(name: str, when: When = always) -> Spoil:
    return headers(lambda given: {key: value for key, value in given.items() if not key.startswith(name)}, when)


def setting(name: str, value: Callable[[str], object], when: When = always) -> Spoil:
    return headers(lambda given: {**given, name: str(value(given.get(name, "")))}, when)


def body(path: str, change: Change, when: When = good) -> Spoil:
    """Change what is at a dotted path of a whole answer; `*` is every item."""
    return answering(lambda reply: replace(reply, body=edited(reply.body, path.split("."), change)), when)


def chunk(path: str, change: Change) -> Spoil:
    """Change what is at a dotted path of each chunk."""
    return events(lambda items: [edited(item, path.split("."), change) for item in items])


def events(change: Callable[[list[Json]], list[Json]]) -> Spoil:
    """Change a stream's events: the role, the content, the finish_reason, [DONE]."""
    return answering(lambda reply: replace(reply, events=tuple(change(list(reply.events or ())))), streamed)


GONE = object()


def gone(value: Json) -> Json:
    return GONE


def edited(value: Json, path: list[str], change: Change) -> Json:
    """Return a value with what is at a path changed; what becomes GONE is left out."""
    if not path:
        return change(value)
    step, *rest = path
    if isinstance(value, list):
        return [edited(item, rest, change) if step in ("*", str(n)) else item for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    new = {name: edited(item, rest, change) if step in ("*", name) else item for name, item in value.items()}
    return {name: item for name, item in new.items() if item is not GONE}


def delta(chunk: Json) -> Json:
    return chunk["choices"][0]["delta"]


def with_delta(chunk: Json, change: Change, reason: str | None = None) -> Json:
    (choice,) = chunk["choices"]
    return {**chunk, "choices": [{**choice, "delta": change(choice["delta"]), "finish_reason": reason}]}


def cumulative(items: list[Json]) -> list[Json]:
    """Let each delta say all that was said."""
    texts = [delta(item)["content"] for item in items[1:-2]]
    said = ["".join(texts[: n + 1]) for n in range(len(texts))]
    return [items[0], *map(with_text, items[1:-2], said), *items[-2:]]


def with_text(chunk: Json, text: str) -> Json:
    return with_delta(chunk, lambda _: {"content": text})


def at_once(items: list[Json]) -> list[Json]:
    """Put all content into one delta."""
    text = "".join(delta(item).get("content", "") for item in items[:-1])
    return [items[0], with_text(items[1], text), *items[-2:]]


def finish_with_text(items: list[Json]) -> list[Json]:
    return [*items[:-3], with_delta(items[-3], lambda given: given, "stop"), items[-1]]


def of_calls(change: Change) -> Spoil:
    return chunk("choices.*.delta.tool_calls.*", change)


def typed(kind: str, name: str) -> Spoil:
    """Leave a field out of each event of a type."""
    return events(lambda items: [edited(item, [name], gone) if item.get("type") == kind else item for item in items])


def broken_off(reply: Reply) -> Reply:
    wire = reply.wire()
    return replace(reply, raw=wire[: len(wire) // 2], headers={**reply.headers, "Content-Length": str(len(wire))})


SHUFFLED = events(lambda items: [*items[:2], *reversed(items[2:-2]), *items[-2:]])
TWICE_FINISHED = events(lambda items: [*items[:-1], items[-2], items[-1]])


def base64_vector(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"{len(vector)}f", *vector)).decode()


def on(when: Callable[[Request], Json], spoil: Spoil) -> Spoil:
    """Spoil some requests only."""
    return lambda request, serve: spoil(request, serve) if when(request) else serve(request)


def in_turn(first: Spoil, second: Spoil) -> Spoil:
    """Spoil twice: `first` stands nearer to the client."""
    return lambda request, serve: first(request, lambda inner: second(inner, serve))


def text_not_cut(request: Request, serve: Serve) -> Reply:
    """Count the tokens of the reply as it should be, and send all the text there is."""
    cut, whole = serve(request), _LONG(request, serve)
    if cut.status != 200 or cut.events is not None:
        return cut
    message = whole.body["choices"][0]["message"]
    return replace(cut, body=edited(cut.body, ["choices", "*", "message"], lambda _: message))


_LONG = reading(lambda fields: {**fields, "max_tokens": 1000})


def repeating(header: str) -> Spoil:
    """Give whoever sends a value of a header again the answer it got, whatever is asked."""
    answered: dict[str, Reply] = {}

    def spoil(request: Request, serve: Serve) -> Reply:
        key = request.headers.get(header, "")
        if key not in answered:
            reply = serve(request)
            if not key or reply.status != 200:
                return reply
            answered[key] = reply
        return answered[key]

    return spoil
