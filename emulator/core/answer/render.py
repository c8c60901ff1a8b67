"""Rendering: what a reply is rendered for, and how a whole body, an id and a documented form are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

import orjson

from emulator.core.durations import FOREVER
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.holes import drawn_length, text_parts
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Reply
from emulator.core.seeded_random import Draw
from emulator.core.values import Call, Frame, Headers, Later, Note, Timeline
from emulator.core.wires.wire import Wire

JSON_TYPE = ("content-type", "application/json")


@frozen
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
    seed: int = 0  # the session's


@frozen
class Rendered:
    """An answer before faults, and what the journal wants to know of it."""

    timeline: Timeline
    usage: Mapping[str, int] | None = None
    tokens: int = 0
    finish_reason: str | None = None
    notes: tuple[Note, ...] = ()
    id: str = ""  # of an answer that a model gave
    later: Later | None = None  # `at` is after so many seconds


#: How a reply that a scenario did not write is sent.
PLAIN = Reply("builtin", True, {}, None, ())
#: How a request is answered that is sent on to the upstream.
PROXY = Reply("proxy", True, {}, None, ())


def wire_of(turn: Turn) -> Wire:
    """Return the wire of what answers a chat."""
    if turn.operation.wire is None:
        raise TypeError(f"a message was to answer {turn.operation.name}, which is no chat")
    return turn.operation.wire


def render_body(body: Json, status: int = 200, headers: Headers = (), latency: float = 0.0) -> Timeline:
    """Render a whole JSON body."""
    data = bytes(memoryview(orjson.dumps(body)))  # a copy: what orjson returns keeps the room that it was written in
    return whole(data, status, (JSON_TYPE, *headers), latency)


def in_our_words(name: str, message: str, **more: Json) -> Timeline:
    """Say what no provider would: 404, not to be retried."""
    body = {"error": {"code": f"emulator_{name}", "message": message, **more}}
    return render_body(body, 404, (("x-should-retry", "false"),))


def whole(data: bytes, status: int, headers: Headers, latency: float = 0.0) -> Timeline:
    """Return a whole answer; a latency of FOREVER is a silence before the head."""
    due = 0.0 if latency == FOREVER else latency
    return Timeline(status, headers, (Frame(due, data, "body"),), False, latency, "complete", due, len(data))


def render_json(turn: Turn, body: Json, reply: Reply) -> Timeline:
    """Render a body that has the documented form; a reply's status and latency are its own."""
    return render_body(prune(body, turn, "response"), reply.status or 200, (), reply.latency.draw(turn.draw, "latency"))


def render_id(of: Provider | Operation, kind: str, draw: Draw, at: float, label: str = "") -> str:
    """Draw an id of one of the forms that the provider, or an operation of its, has: response, request or tool_call."""
    form = of.ids.get(kind, "call_${alnum}")
    label = kind + label
    return "".join([_drawn(part, draw, label, at) if hole else part for part, hole in text_parts(form)])


def _drawn(hole: str, draw: Draw, label: str, at: float) -> str:
    """Draw what fills a hole of an id's form."""
    kind, length = drawn_length(hole)
    if kind == "ulid":
        return draw.ulid(label, at)
    return draw.alnum(label, length) if kind == "alnum" else draw.hex(label, length)


def prune(body: Json, turn: Turn, part: Literal["response", "chunk"]) -> Json:
    """In strict, leave only the fields that the docs' samples show; of a chunk, those that say something."""
    return turn.operation.as_shown(body, part) if turn.strict else body
