"""A provider's errors, and the headers of its answers, as OpenAPI has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from emulator.core.errors import Json
from emulator.core.provider.holes import holes, only_hole
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.wording import error_below

_OF_KEYS = ("idempotency_in_progress", "idempotency_mismatch")
#: What fills the holes of an envelope; other holes are filled from the error's own entry.
_FILLED: Mapping[str, Json] = {
    "message": {"type": "string"},
    "param": {"type": ["string", "null"]},
    "request_id": {"type": "string"},
    "field": {"type": "string"},
}
#: Headers that are a number and nothing else.
_COUNTS = ("${limit}", "${remaining}", "${reset}", "${limit_tokens}", "${remaining_tokens}", "${reset_tokens}")
_COUNT: Json = {"type": "string", "pattern": "^[0-9]+$"}


def answered_errors(provider: Provider, *, bodies: bool) -> list[str]:
    """Return the names of what can be answered: those about bodies, their type, and keys where they matter."""
    answered = {
        "unsupported_media_type": bodies and provider.content_type[0] == "unsupported_media_type",
        "too_large": bodies,
        **dict.fromkeys(_OF_KEYS, bodies and provider.idempotency is not None),
    }
    told = {name: given for name, given in provider.errors.items() if "text" not in given}  # that is of no operation
    return [name for name, given in told.items() if answered.get(given.get("like", name), True)]


def refusals(provider: Provider, bodies: bool) -> dict[str, Json]:
    """Return the errors by status; those that share one stand together."""
    by_status: dict[str, list[str]] = {}
    for name in answered_errors(provider, bodies=bodies):
        by_status.setdefault(str(provider.errors[name]["status"]), []).append(name)
    return {status: _either(provider, status, names) for status, names in by_status.items()}


def _either(provider: Provider, status: str, names: Sequence[str]) -> Json:
    """Return what is answered with a status: one error, or any of several."""
    refs = [f"#/components/responses/{name}" for name in names]
    if len(refs) == 1:
        return {"$ref": refs[0]}
    return {
        "description": " Or: ".join(error_answer(provider, name)["description"] for name in names),
        "headers": headers_of(provider, None, int(status)),
        "content": {"application/json": {"schema": {"anyOf": [{"$ref": of_answer(ref)} for ref in refs]}}},
    }


def of_answer(ref: str) -> str:
    """Return where the schema of an answer is."""
    return f"{ref}/content/application~1json/schema"


def error_answer(provider: Provider, name: str) -> Json:
    given = provider.errors[name]
    found = [_told(provider, name, path, form) for path, form in {"": provider.envelope, **provider.envelopes}.items()]
    found = [form for index, form in enumerate(found) if form not in found[:index]]
    shown = {
        "description": f"{_phrase(given['status'])}: {given['message']}",
        "headers": headers_of(provider, None, given["status"]),
        "content": {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}},
        "x-documented": bool(given.get("documented")),
    }
    return shown | ({"x-fact": given["fact"]} if given.get("fact") else {})


def _told(provider: Provider, name: str, path: str, envelope: Json) -> Json:
    """Return the schema of an error as it is told below a path, in the envelope that is there."""
    given = error_below(provider.errors[name], path)
    worded = bool(provider.wordings) and "invalid_request" in (name, given.get("like"))  # by what is violated
    fixed = {
        key: {"type": ["string", "null"]} if worded else {"const": given[key]}
        for key in set(holes(envelope)) & set(given) - {"message"}
    }
    details = {"type": "array", "items": _form(provider.detail, _FILLED)}
    one: Json = {"type": "object"}
    more = one if isinstance(given.get("more"), Mapping) else {"type": "array", "items": one}
    forms = {**fixed, **_FILLED, "details": details, "more": more, "status": {"const": given["status"]}}
    return _form(envelope, forms)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # one that HTTP does not list, such as 529
        return f"Status {status}"


def _form(shape: Json, forms: Mapping[str, Json]) -> Json:
    """Return the schema of what a shape with holes is filled to."""
    if isinstance(shape, Mapping):
        fields = {name.removesuffix("~"): _form(item, forms) for name, item in shape.items()}
        wanted = [name for name in shape if not name.endswith("~")]
        return {"type": "object", "properties": fields, "required": wanted, "additionalProperties": False}
    if isinstance(shape, list):
        return {"type": "array", "prefixItems": [_form(item, forms) for item in shape], "minItems": len(shape)}
    if not isinstance(shape, str) or not any(holes(shape)):
        return {"const": shape}
    return forms[hole] if (hole := only_hole(shape)) else {"type": "string"}


def headers_of(provider: Provider, operation: Operation | None, status: int = 200) -> Json:
    """Refer to the headers that every such answer has; without an operation, whatever was asked for."""
    asked = operation.name if operation else None
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name, _ in provider.headers
        if name not in provider.header_scopes or provider.header_scopes[name].covers(asked, status, stream=True)
    }


def header(form: str) -> Json:
    return {"required": True, "schema": _COUNT if form in _COUNTS else {"type": "string"}}
