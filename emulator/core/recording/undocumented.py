"""What an upstream's answer has that the docs don't say, or that breaks what they say: notes on its exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from emulator.core.errors import Json
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.schema.schema import Schema, undocumented
from emulator.core.tree import deeper
from emulator.core.values import Claim, Note, Timeline
from emulator.core.wires.sse import framing_of, payload

#: Chunks of one stream that are looked at in full: the others break the docs alike.
MOST_EXPLAINED = 20
#: Levels of JSON that are compared with the docs, and written down.
MAX_DEPTH = 50
_SAID = "is not in the docs"


def undocumented_notes(provider: Provider, claim: Claim, timeline: Timeline) -> Iterator[Note]:
    """Yield what differs from the docs in an answer to a request of a known operation."""
    operation = provider.operations.get(claim.operation or "")
    if operation is None:
        return
    data = b"".join(frame.data for frame in timeline.frames)
    if timeline.status >= 400:
        yield from _of_error(provider, timeline.status, data)
    elif timeline.status >= 300:
        yield Note(None, "response", f"the status {timeline.status} {_SAID}; redirects are not followed")
    elif timeline.end == "complete":
        yield from _of_answer(operation, claim, timeline, data)


def _of_error(provider: Provider, status: int, data: bytes) -> Iterator[Note]:
    documented = {given["status"] for given in provider.errors.values() if given.get("documented")}
    if documented and status not in documented:
        yield Note(None, "response", f"an error with the status {status} {_SAID}")
    try:
        path = provider.envelope_difference(orjson.loads(data))
    except orjson.JSONDecodeError:
        yield Note(None, "response", f"the error {status} is no JSON")
        return
    if path is not None:
        where = f"response.{path}" if path else "response"
        yield Note(None, where, f"the error {status} is not as in the provider's error envelope")


def _of_answer(operation: Operation, claim: Claim, timeline: Timeline, data: bytes) -> Iterator[Note]:
    asked = claim.call is not None and claim.call.stream and operation.chunk is not None
    if asked != timeline.stream:
        came = "a stream" if timeline.stream else "a whole answer"
        yield Note(None, "response", f"{'a stream' if asked else 'a whole answer'} was asked for, and {came} came")
    schema = operation.chunk if timeline.stream else operation.response
    items = [frame.data for frame in timeline.frames if frame.kind == "data"] if timeline.stream else [data]
    if schema:
        yield from dict.fromkeys(_of_values(schema, items, timeline.stream))
    ends = operation.wire is not None and (operation.wire.has_end or framing_of(data) == "array")
    if timeline.stream and ends and not any(frame.kind == "done" for frame in timeline.frames):
        yield Note(None, "response", "the stream has no last event as the docs show it")


def _of_values(schema: Schema, items: Sequence[bytes], stream: bool) -> Iterator[Note]:
    explained = 0
    for item in items:
        try:
            value = orjson.loads(payload(item) if stream else item)
        except orjson.JSONDecodeError:
            yield Note(None, "response", "a chunk is no JSON" if stream else "the body is no JSON")
            continue
        if deeper(value, MAX_DEPTH):
            yield Note(None, "response", f"is nested deeper than {MAX_DEPTH} levels")
        elif explained < MOST_EXPLAINED and not schema.verdict(value):
            explained += 1
            yield from _of_value(schema, value)


def _of_value(schema: Schema, value: Json) -> Iterator[Note]:
    """Yield the undocumented fields, and what else breaks the schema."""
    fields = undocumented(schema, value)
    yield from (Note(None, f"response.{path}", _SAID) for path in fields)
    for item in schema.violations(value):
        if item.path not in fields:
            yield Note(item.fact, f"response.{item.path}" if item.path else "response", item.message)
