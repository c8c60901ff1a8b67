"""Ways to read a request of the independent endpoint wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from independent.endpoint import Serve, Spoil
from independent.values import Json, Reply, Request

Change = Callable[[Json], Json]


def reading(change: Change) -> Spoil:
    """Read another object than the body's."""

    def spoil(request: Request, serve: Serve) -> Reply:
        fields = fields_of(request)
        return serve(replace(request, body=json.dumps(change(fields)).encode()) if fields else request)

    return spoil


def fields_of(request: Request) -> dict[str, Json]:
    try:
        value = json.loads(request.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def ignoring(*names: str) -> Spoil:
    return reading(lambda fields: {name: value for name, value in fields.items() if name not in names})


def filling(**defaults: Json) -> Spoil:
    return reading(lambda fields: {**defaults, **fields})


def taking(name: str, change: Change) -> Spoil:
    """Read a field as something else, if it is there."""
    return reading(lambda fields: {**fields, name: change(fields[name])} if name in fields else fields)


def taking_messages(change: Change) -> Spoil:
    """Read each message, if there is a list of them, as something else."""
    return taking("messages", lambda items: [change(item) for item in items] if isinstance(items, list) else items)


def clamped(name: str, low: float, high: float) -> Spoil:
    """Move a number that is out of range into it."""
    return taking(name, lambda value: min(max(value, low), high) if type(value) in (int, float) else value)


def listed(value: Json) -> Json:
    """Read a string as a list of one message."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def roles(fields: Mapping[str, Json]) -> list[Json]:
    messages = fields.get("messages")
    return [item.get("role") for item in messages if isinstance(item, dict)] if isinstance(messages, list) else []


def known_roles(message: Json) -> Json:
    """Read another role as the user's."""
    known = not isinstance(message, dict) or message.get("role") in (None, "system", "user", "assistant")
    return message if known else {**message, "role": "user"}


def objects(change: Change) -> Change:
    """Read an object as something else, and of a list each that it has."""

    def read(value: Json) -> Json:
        return (
            [read(item) for item in value]
            if isinstance(value, list)
            else change(value)
            if isinstance(value, dict)
            else value
        )

    return read


def in_parts(change: Change) -> Change:
    """Read each part of a message's content as something else."""
    return objects(lambda message: {**message, "content": objects(change)(message.get("content"))})


def any_part(message: Json) -> Json:
    """Read each part of a content as text."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [{"type": "text", "text": str(part.get("text"))} for part in message["content"]]}


def all_words(message: Json) -> Json:
    """Read parts of text as one text."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    return {**message, "content": " ".join(str(part.get("text")) for part in message["content"])}


def header(name: str, change: Callable[[str], str | None]) -> Spoil:
    """Read a header, if it is there, as something else; None: ignore it."""

    def spoil(request: Request, serve: Serve) -> Reply:
        kept = {key: value for key, value in request.headers.items() if key != name}
        value = change(request.headers[name]) if name in request.headers else None
        return serve(replace(request, headers=kept if value is None else {**kept, name: value}))

    return spoil


def a_key(good: Callable[[str], bool], key: str) -> Spoil:
    """Take any Authorization that is good enough for the key."""

    def spoil(request: Request, serve: Serve) -> Reply:
        given = request.headers.get("authorization", "")
        headers = {**request.headers, "authorization": f"Bearer {key}" if good(given) else given}
        return serve(replace(request, headers=headers))

    return spoil
