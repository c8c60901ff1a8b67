"""The body of a request: decoded within bounds, and held against its schema."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import orjson

from emulator.core.errors import Json, Refusal, Violation, shown
from emulator.core.provider.field_names import without_trailing_commas
from emulator.core.provider.operation import Checks, Operation
from emulator.core.provider.provider import Provider
from emulator.core.scenario.session import Settings
from emulator.core.schema.schema import undocumented
from emulator.core.tree import deeper
from emulator.core.values import Note, Request

MAX_DEPTH = 200
#: How many values a body may hold, and how many undocumented fields are named in notes.
MAX_VALUES = 500_000
MOST_NOTED = 100
#: What no doc lists but SDKs commonly send, by what the wire calls it; it has its effect, and is noted.
CUSTOMARY = ("cap", "choices", "stop", "usage", "schema", "json")
HAS_EFFECT, NO_EFFECT = "has its customary effect", "has no effect"
#: Of these, what a scripted reply does not heed.
OF_BUILT_IN = ("schema", "json")
OF_EMBEDDINGS = ("encoding_format", "dimensions")
#: A string of JSON, to its end even where none is written, so that malformed text takes no longer.
_JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def check_content_type(provider: Provider, settings: Settings, request: Request, notes: list[Note]) -> None:
    """Refuse or note what is not sent as JSON."""
    given = request.headers.get("content-type")
    kind = (given or "").partition(";")[0].strip().lower()
    if given is None or kind == "application/json" or kind.endswith("+json"):
        return
    name, fact = provider.content_type
    message = f"Content-Type must be application/json, not {shown(given)}"
    if name == "note" or fact in settings.muted or settings.validation == "off":
        notes.append(Note(fact, "headers.content-type", message))
    else:
        raise provider.refuse(name, message + ".", [Violation("content-type", "must be application/json", fact)], fact)


#: What is said of a bound of ours, which the provider has no words for.
_BOUNDS = ("holds more than", "is nested deeper than")


def decoded(provider: Provider, body: bytes, also: Collection[str] = ()) -> Mapping[str, Json]:
    """Read a body. Raises: Refusal, as the provider words it, but for bounds of ours."""
    try:
        return decode(body)
    except Refusal as refusal:
        if "trailing_commas" in also and (rest := without_trailing_commas(body)) != body:
            return decoded(provider, rest)
        if any(words in (refusal.message or "") for words in _BOUNDS):
            raise
        reason = refusal.details[0].message if refusal.details else ""
        raise provider.refuse(provider.malformed, refusal.message or "", refusal.details, reason=reason) from None


def decode(body: bytes) -> Mapping[str, Json]:
    """Read a body. Raises: Refusal invalid_request."""
    # of JSON's values, each but the first follows one of `,[{`
    if len(body) > MAX_VALUES < _signs(body) and _signs(_JSON_STRING.sub(b"", body)) > MAX_VALUES:
        raise _malformed(f"holds more than {MAX_VALUES} values (a bound of the emulator's, assumed)")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = "it is empty" if not body.strip() else str(error)
        raise Refusal("invalid_request", f"The body is not valid JSON: {reason}.", [Violation("", reason)]) from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and deeper(value, MAX_DEPTH):
        raise _malformed(f"is nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise _malformed(f"must be a JSON object, not {shown(value)}")
    return value


def _malformed(reason: str) -> Refusal:
    return Refusal("invalid_request", f"The body {reason}.", [Violation("", reason)])


def _signs(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


def validate(provider: Provider, operation: Operation, settings: Settings, body: Json, notes: list[Note]) -> None:
    """Refuse what the schema rules out, and note what it does not know."""
    checks = operation.checks(settings.muted)
    if checks.strict.verdict(body):
        return
    strict = settings.validation == "strict"
    if not strict and (provider.nulls_fact is None or provider.nulls_fact in settings.muted):
        body = without_nulls(operation, body)
    if strict or not checks.documented.verdict(body):
        violations = (checks.strict if strict else checks.documented).violations(body)
        raise provider.refuse_body(operation, violations, settings.muted, body)
    notes += undocumented_fields(operation, checks, body)


def without_nulls(operation: Operation, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a body without the optional documented fields that are null, which count as left out."""
    if None not in body.values():
        return body
    return {
        name: value
        for name, value in body.items()
        if value is not None or name in operation.required or not operation.takes(name)
    }


def undocumented_fields(operation: Operation, checks: Checks, body: Json) -> Iterator[Note]:
    """Yield a note of each field that the docs don't name, whatever else is wrong with the body."""
    paths = undocumented(checks.strict, body)
    form = operation.wire.request if operation.wire else None
    customary, own = (form.fields(*CUSTOMARY), form.fields(*OF_BUILT_IN)) if form else (OF_EMBEDDINGS, ())
    for path in paths[:MOST_NOTED]:
        effect = HAS_EFFECT if path in customary else NO_EFFECT
        effect += " on a built-in answer" if path in own else ""
        yield Note(None, path, f"is not in the docs; it was accepted and {effect}")
    if len(paths) > MOST_NOTED:
        yield Note(None, "", f"{len(paths) - MOST_NOTED} more fields are not in the docs")
