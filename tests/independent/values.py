"""Requests, replies and refusals of the independent endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Request:
    """A request below a base URL; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a JSON body, or the data of a stream's events (a string goes out as it is), or raw bytes.

    `named`: each event is named as its type says; `lines`: each is a line of its own.
    """

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Json, ...] | None = None
    raw: bytes | None = None
    named: bool = False
    lines: bool = False

    @property
    def media_type(self) -> str:
        if self.lines and self.events is not None:
            return "application/x-ndjson"
        return "application/json" if self.events is None else "text/event-stream"

    def wire(self) -> bytes:
        """Return the body as it goes out."""
        if self.raw is not None:
            return self.raw
        if self.events is None:
            return json.dumps(self.body).encode()
        if self.lines:
            return b"".join(_text(event).encode() + b"\n" for event in self.events)
        return b"".join(self._name(event) + b"data: %b\n\n" % _text(event).encode() for event in self.events)

    def _name(self, event: Json) -> bytes:
        return b"event: %b\n" % event["type"].encode() if self.named and "type" in event else b""


def _text(event: Json) -> str:
    return event if isinstance(event, str) else json.dumps(event)


class Refused(Exception):
    """The API refuses a request: its status, why, what is wrong with which fields, and headers to go with it.

    OpenAI also gives it a code and a param, Google details.
    """

    details: Sequence[Json] = ()

    code: str | None = None
    param: str | None = None

    def __init__(self, status: int, why: str, fields: Mapping[str, str] | None = None, **headers: str) -> None:
        super().__init__(why)
        self.status = status
        self.fields = fields or {}
        self.headers = headers
