"""A provider as an OpenAPI 3.1 document, made from the data that the emulator itself goes by.

What OpenAPI has no words for stands in extensions: `x-fact` is the fact that an operation, a header or an error rests
on, `x-documented` tells whether the docs list an error.
"""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.errors import Json
from emulator.core.provider.keys import BEARER
from emulator.core.provider.openapi_errors import answered_errors, error_answer, header, headers_of, of_answer, refusals
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import parameters
from emulator.core.schema.schema import placed, required
from emulator.core.wires.sse import TYPES

_TEXT, _UUID = {"type": "string"}, {"type": "string", "format": "uuid"}


def openapi(provider: Provider, version: str, base_url: str) -> Json:
    """Return the document; `base_url` is where this emulator serves the provider, `version` the emulator's own."""
    schemas: dict[str, Json] = {}
    paths: dict[str, dict[str, Json]] = {}
    for operation in provider.operations.values():
        schemas |= _schemas(provider, operation)
        shown = _operation(provider, operation)
        paths.setdefault(operation.path, {})[operation.method.lower()] = shown
        if operation.streams_at:
            paths.setdefault(operation.streams_at, {})[operation.method.lower()] = _streamed(operation, shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": provider.title,
            "version": version,
            "description": f"What the docs of {provider.title} say, as the emulator checks it.",
        },
        "servers": [
            {"url": base_url, "description": "this emulator"},
            {"url": provider.base_url, "description": "as the docs have it"},
        ],
        "security": [*([{}] if provider.key_optional else []), *({name: []} for name in _ways(provider))],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {name: error_answer(provider, name) for name in answered_errors(provider, bodies=True)},
            "headers": {name: header(form) for name, form in provider.headers},
            "securitySchemes": _ways(provider),
        },
    }


def _operation(provider: Provider, operation: Operation) -> Json:
    answered: dict[str, Json] = {}
    if operation.response:
        answered["application/json"] = {"schema": _named(operation, "response")}
    if operation.chunk and operation.wire and "ndjson" in operation.wire.framings:  # the schema is of each line
        answered[TYPES["ndjson"]] = {"schema": _named(operation, "chunk")}
    elif operation.chunk:
        answered[TYPES["sse"]] = {"schema": _event(operation)}
    bodies = operation.has_body
    shown: dict[str, Json] = {"operationId": operation.name, "parameters": _parameters(provider, operation)}
    if operation.fact:
        shown |= {"summary": provider.facts[operation.fact].text, "x-fact": operation.fact}
    if bodies:
        shown["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": _named(operation, "request")}},
        }  # fmt: skip
    success = {"description": "The answer", "headers": headers_of(provider, operation), "content": answered}
    return shown | {"responses": {"200": success, **refusals(provider, bodies)}}


def _streamed(operation: Operation, shown: Json) -> Json:
    """Return an operation as it answers where it streams; a stream that may be one JSON array has its errors in one."""
    framings = operation.wire.framings if operation.wire else {}
    responses = dict(shown["responses"])
    content = {kind: form for kind, form in responses["200"]["content"].items() if kind == TYPES["sse"]}
    if "array" in framings:
        content["application/json"] = {"schema": {"type": "array", "items": _named(operation, "chunk")}}
        responses = {status: _in_an_array(answer) for status, answer in responses.items()}
    responses["200"] = {**shown["responses"]["200"], "content": content}
    known = [parameter["name"] for parameter in shown["parameters"]]
    names = dict.fromkeys(name for wanted in framings.values() for name in wanted if name not in known)
    asked = [_parameter(name, "query", False) for name in names]
    return {
        **shown,
        "operationId": f"{operation.name}_streamed",
        "parameters": [*shown["parameters"], *asked],
        "responses": responses,
    }


def _in_an_array(answer: Json) -> Json:
    """Return an error that comes alone, or as the only item of an array."""
    ref = answer.get("$ref")
    told = {"description": "An error, alone or in an array"} if ref else answer
    one = {"$ref": of_answer(ref)} if ref else answer["content"]["application/json"]["schema"]
    both = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 1}]}
    return {**told, "content": {"application/json": {"schema": both}}}


def _event(operation: Operation) -> Json:
    """Return the schema of one server-sent event: before OpenAPI 3.2 it stands for each event of a stream."""
    chunk = {"type": "string", "contentMediaType": "application/json", "contentSchema": _named(operation, "chunk")}
    texts = operation.wire.texts if operation.wire else ()
    data = {"anyOf": [*({"const": text} for text in texts), chunk]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _parameters(provider: Provider, operation: Operation) -> list[Json]:
    """Return what of the path, the headers and the query is asked for, and the header with an idempotency key."""
    beside = operation.query.document if operation.query else None
    found = [_parameter(name, "path", True) for name in parameters(operation.path)]
    found += _listed(provider.request_headers, "header")
    found += _listed(provider.request_query, "query")
    found += _listed(beside if operation.has_body else operation.request, "query")
    if not operation.has_body or provider.idempotency is None:
        return found
    name, _, fact = provider.idempotency
    return [*found, _parameter(name, "header", False, _UUID) | ({"x-fact": fact} if fact else {})]


def _listed(document: Json, place: str) -> list[Json]:
    """Return the fields of a schema as parameters; of headers, those that it asks for and does not describe too."""
    described: Mapping[str, Json] = (document or {}).get("properties", {})
    wanted = required(document)
    names = dict.fromkeys([*described, *(sorted(wanted) if place == "header" else ())])
    return [_parameter(name, place, name in wanted, described.get(name, _TEXT)) for name in names]


def _parameter(name: str, place: str, required: bool, schema: Json = _TEXT) -> Json:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _schemas(provider: Provider, operation: Operation) -> dict[str, Json]:
    """Return an operation's schemas as components, their references moved along."""
    request = operation.request if operation.has_body else None
    found = {"request": _with_nulls(provider, operation, _closed(provider, request)) if request else None}
    found |= {part: getattr(operation, part).document for part in ("response", "chunk") if getattr(operation, part)}
    return {
        f"{operation.name}.{part}": placed(document, f"#/components/schemas/{operation.name}.{part}")
        for part, document in found.items()
        if document is not None
    }


def _with_nulls(provider: Provider, operation: Operation, request: Mapping[str, Json]) -> Json:
    """Let the optional fields of a body be null, where that counts as left out."""
    if provider.nulls_fact or not operation.has_body or "properties" not in request:
        return request
    fields = {
        name: field
        if name in operation.required
        else {"anyOf": [field, {"type": "null", "$comment": "assumed: null counts as left out"}]}
        for name, field in request["properties"].items()
    }
    return {**request, "properties": fields}


def _closed(provider: Provider, request: Mapping[str, Json]) -> Json:
    """Add the ids that `model` can be, where the docs list all of them."""
    fields = request.get("properties", {})
    if provider.models_open or "model" not in fields:
        return request
    ids = [*sorted(provider.model_ids), *([None] if "null" in fields["model"].get("type", ()) else [])]
    known = {"enum": ids, "$comment": f"{provider.models_fact}: an id that the docs list"}
    model = {**fields["model"], "allOf": [*fields["model"].get("allOf", ()), known]}
    return {**request, "properties": {**fields, "model": model}}


def _named(operation: Operation, part: str) -> Json:
    return {"$ref": f"#/components/schemas/{operation.name}.{part}"}


def _ways(provider: Provider) -> dict[str, Json]:
    """Return the ways to send a key, by a name for each."""
    return {
        way.name or way.kind: _bearer(provider)
        if way == BEARER
        else {"type": "apiKey", "in": way.kind, "name": way.name}
        for way in provider.accepts
    }


def _bearer(provider: Provider) -> Json:
    said = provider.facts[provider.auth_fact].text if provider.auth_fact else "The API key is a Bearer token."
    if provider.key_prefix not in said:
        said += f" Keys begin with {provider.key_prefix}."
    return {"type": "http", "scheme": "bearer", "description": said}
