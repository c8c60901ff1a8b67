"""Understanding a request as its provider would: route, authenticate, decode, validate, and know the model.

Each step raises the Refusal that the provider would answer with, in the order in which a provider refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from urllib.parse import parse_qsl

import orjson

from emulator.core.answer.embeddings import check_inputs, check_vectors
from emulator.core.answer.moderations import check_judged
from emulator.core.answer.stored import earlier, recalled
from emulator.core.errors import Json, Refusal, Violation, closest, nearest, shown
from emulator.core.provider.conversation_rules import Asked, told
from emulator.core.provider.keys import key_sent
from emulator.core.provider.provider import Checks, Model, Operation, Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.session import DEFAULT, Session, Settings
from emulator.core.schema.schema import undocumented
from emulator.core.tokens import prompt_tokens
from emulator.core.tree import canonical, compact, deeper
from emulator.core.values import Call, Note, Request
from emulator.core.wires.conversation import Conversation

MAX_DEPTH = 200
#: How many values a body may hold, and how many undocumented fields are named in notes.
MAX_VALUES = 500_000
MOST_NOTED = 100
#: What no doc lists but SDKs commonly send, by what the wire calls it; it has its effect, and is noted.
CUSTOMARY = ("choices", "stop", "usage", "schema", "json")
OF_EMBEDDINGS = ("encoding_format", "dimensions")
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: A string of JSON, to its end even where none is written, so that malformed text takes no longer.
_JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def route(provider: Provider, request: Request) -> Route[Operation]:
    methods = provider.routes.whole.get(request.path) or provider.routes.find(request.path)
    if methods is None:
        if provider.is_not_emulated(request.path) and provider.routes.find(request.path.rstrip("/")) is None:
            raise _not_emulated(provider, request)
        raise provider.refuse(provider.unknown_path, _wrong_address(provider, request))
    found = methods.get("GET" if request.method == "HEAD" else request.method)
    if found is None:
        allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
        message = f"{request.path} does not take {request.method}; use {' or '.join(allowed)}."
        raise provider.refuse(provider.wrong_method, message, headers={"allow": ", ".join(allowed)})
    return found


def _not_emulated(provider: Provider, request: Request) -> Refusal:
    """Say in words of our own that the API has a path, and the emulator has not."""
    address = f"{provider.base_path}{request.path}"
    message = f"{request.method} {address} is part of {provider.title}'s API, but this emulator does not have it."
    return Refusal(provider.not_emulated[1], message, headers={"x-should-retry": "false"})


def _wrong_address(provider: Provider, request: Request) -> str:
    """Name the right URL for a wrong one: its own path doubled, a trailing slash, a misspelt path."""
    path, base = request.path, provider.base_path
    while base and path.startswith(f"{base}/"):
        path = path[len(base) :]
    path = path.rstrip("/")
    if provider.routes.find(path) is None:
        path = closest(path, provider.routes) or ""
    said = f"There is nothing at {shown(request.address)[1:-1]}."
    if path:
        return f"{said} Did you mean {request.base_url}{path}? The base URL is {request.base_url}."
    known = ", ".join(f"{method} {path}" for path, methods in provider.routes.by_path.items() for method in methods)
    return f"{said} Below the base URL {request.base_url} there are: {known}."


def authenticate(
    session: Session, provider: Provider, settings: Settings, request: Request, prefixes: Mapping[str, str]
) -> str:
    """Return the key; `prefixes` are what the keys of each provider begin with, by its title, for who mixes them up."""
    key = key_sent(provider.accepts, request.headers, request.query)
    if provider.auth_fact in settings.muted:
        return key
    if not key:
        message = f"No API key: send it as {provider.accepts[0]}."
        raise provider.refuse(provider.key_missing, message, fact=provider.auth_fact)
    listed = settings.keys is not None and key in settings.keys
    anyone = settings.keys is None and session.id == DEFAULT and not request.addressed
    own = key == session.api_key and session.provider in (None, provider.name)
    good = listed or anyone or own
    if not good or "invalid" in key:
        message = f"The API key is not good here.{_mixed_up(session, provider, request, key, prefixes)}"
        raise provider.refuse(provider.key_wrong, message, fact=provider.auth_fact, key=_masked(key))
    return key


def _masked(key: str) -> str:
    """Return a key with its middle hidden: three characters are seen at most."""
    return f"{key[:2]}{'*' * min(len(key) - 3, 40)}{key[-1]}" if len(key) > 8 else "*" * len(key)


def _mixed_up(session: Session, provider: Provider, request: Request, key: str, prefixes: Mapping[str, str]) -> str:
    """Say why a key is not good, where it shows: it is another provider's, or not the session's."""
    if "invalid" in key:
        return " Keys that contain 'invalid' are refused everywhere."
    if key == session.api_key:
        return f" It is that of a session for {session.provider}."
    owner = next((title for title, prefix in prefixes.items() if prefix and key.startswith(prefix)), provider.title)
    if owner != provider.title:
        own = f", and those of {provider.title} begin with {provider.key_prefix}" if provider.key_prefix else ""
        return f" It begins as keys of {owner} do, with {prefixes[owner]}{own}."
    if provider.key_prefix and not key.startswith(provider.key_prefix):
        return f" Keys of {provider.title} begin with {provider.key_prefix}."
    if request.addressed or session.id != DEFAULT:
        return f" In the session {session.id} its own api_key is good, and the keys of its scenario."
    return " Good are those that --api-key or the scenario's keys list."


def understand(
    session: Session, provider: Provider, settings: Settings, route: Route[Operation], request: Request
) -> Call:
    operation, params = route.operation, route.params
    notes: list[Note] = []
    if provider.request_headers is not None and settings.validation != "off":
        _check_headers(provider, settings, request)
    if not operation.has_body:
        asked = islice(parse_qsl(request.query, keep_blank_values=True), 1000)
        body: Json = {name: value for name, value in asked if name not in provider.key_parameters}
    else:
        _check_content_type(provider, settings, request, notes)
        if request.too_large:
            raise Refusal("too_large", "The request body is larger than this server takes (--max-body).")
        body = {} if operation.kind == "stored" and not request.body else _decoded(provider, request.body)
    if settings.validation != "off":
        _validate(provider, operation, settings, body, notes)
    if operation.kind == "embeddings":
        check_inputs(body)
    if operation.kind == "moderations":
        check_judged(body)
    _check_kept(operation, params, request, body)
    said = conversation(operation, body, earlier(provider, request, operation))
    if operation.kind != "chat" and not said.model and isinstance(default := _default_model(operation, settings), str):
        said = replace(said, model=default)
    if "model" in params:
        said = replace(said, model=params["model"])
    if operation.streams_at:
        said = replace(said, stream=route.streams)
    cost = prompt_tokens(said.messages, _written_tools(operation, body) if said.tools else None)
    call = Call(request, operation.name, body, said, cost, tuple(notes), request.at - session.started, params)
    if settings.validation == "off":
        return call
    names_model = operation.takes("model") and (said.model or operation.kind != "tokens")
    if names_model or "model" in params:
        call = _check_model(provider, settings, operation, call)
    if operation.kind == "embeddings":
        check_vectors(provider, operation, call, settings.muted)
    model = provider.models.get(call.model)
    if operation.conversation:
        _check_rules(settings, operation, call, model)
    if operation.wire and provider.reference:
        call = _compare(provider, provider.reference, settings, operation, call)
    if model and operation.wire:
        _check_window(provider, settings, operation, call, model)
    return call


def _check_rules(settings: Settings, operation: Operation, call: Call, model: Model | None) -> None:
    """Refuse what a conversation must not be, though its schema allows it."""
    rules = operation.rules(settings.muted)
    if rules is None:
        return
    known = (model.traits, model.output_limit, model.defaults) if model else ()
    broken = rules.first_broken(Asked(call.body, call.conversation, *known))
    if broken:
        violation, words = told(*broken)
        raise Refusal(broken[0].error, details=[violation], documented=words)


def _compare(provider: Provider, reference: Provider, settings: Settings, operation: Operation, call: Call) -> Call:
    """Note, or at `compatible` refuse, what the API would refuse with which a provider is compatible."""
    compared = provider.compared(operation, settings.muted)
    if compared is None:
        return call
    schema, rules = compared
    found: Sequence[Violation] = ()
    if not schema.verdict(call.body):
        found = schema.violations(call.body)
    elif rules and (broken := rules.first_broken(Asked(call.body, call.conversation))):
        found = [told(*broken)[0]]
    if not found:
        return call
    if settings.validation == "compatible":
        raise Refusal("invalid_request", details=found)
    notes = [
        Note(item.fact, item.path, f"{reference.title} would refuse this: {item.message}")
        for item in found[:MOST_NOTED]
    ]
    return replace(call, notes=(*call.notes, *notes))


def _default_model(operation: Operation, settings: Settings) -> Json:
    """Return the documented model of a body that names none."""
    return operation.checks(settings.muted).defaults.get("model")


def _check_headers(provider: Provider, settings: Settings, request: Request) -> None:
    checks = provider.header_checks(settings.muted)
    if checks and not checks.verdict(request.headers):
        raise Refusal("invalid_request", details=checks.violations(request.headers))


def recalls(provider: Provider, request: Request) -> str:
    """Return the id of the kept answer that a request names, if it does; nothing is wrong with it yet."""
    route = (provider.routes.find(request.path) or {}).get(request.method) if provider.keeps else None
    if route is None:
        return ""
    operation = route.operation
    if operation.kind == "stored":
        return next(iter(route.params.values()))
    if operation.wire is None or not operation.wire.request.may_go_on(request.body):
        return ""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return ""
    return operation.wire.request.previous(body) if isinstance(body, dict) else ""


def _check_kept(operation: Operation, params: Mapping[str, str], request: Request, body: Mapping[str, Json]) -> None:
    """Refuse what names a kept answer that is not there, or cancels one that is not made afterwards."""
    form = operation.wire.request if operation.wire else None
    found = recalled(request)
    if operation.kind == "stored" and found is None:
        raise operation.is_missing(next(iter(params.values())))
    if operation.does == "cancel" and found and found.due is None:
        raise Refusal("invalid_request", operation.refused, fact=operation.fact)
    if form and found is None and (ident := form.previous(body)):
        raise operation.is_missing(ident, form.path("previous"))


def conversation(operation: Operation, body: Mapping[str, Json], before: Sequence[Json] = ()) -> Conversation:
    """Return what a body says after earlier items; of what is no chat, the model."""
    if operation.wire:
        return operation.wire.request.read(body, operation.takes_tools, before)
    model = body.get("model")
    return Conversation(model if isinstance(model, str) else "")


def _written_tools(operation: Operation, body: Mapping[str, Json]) -> str:
    names = operation.wire.request.fields("tools") if operation.wire else ()
    return "".join(compact(body[name]) for name in names if name in body)


def _check_content_type(provider: Provider, settings: Settings, request: Request, notes: list[Note]) -> None:
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


def _decoded(provider: Provider, body: bytes) -> Mapping[str, Json]:
    try:
        return decode(body)
    except Refusal as refusal:
        if any(words in (refusal.message or "") for words in _BOUNDS):
            raise
        raise provider.refuse(provider.malformed, refusal.message or "", refusal.details) from None


def decode(body: bytes) -> Mapping[str, Json]:
    """Read a body. Raises: Refusal invalid_request."""
    if _holds_more(body, MAX_VALUES):
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


def _holds_more(body: bytes, most: int) -> bool:
    """Tell whether JSON holds more values than `most`, from its bytes: each but the first follows one of `,[{`."""
    if _signs(body) <= most:
        return False
    return _signs(_JSON_STRING.sub(b"", body)) > most


def _signs(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


def _validate(provider: Provider, operation: Operation, settings: Settings, body: Json, notes: list[Note]) -> None:
    checks = operation.checks(settings.muted)
    if checks.strict.verdict(body):
        return
    strict = settings.validation == "strict"
    if not strict and (provider.nulls_fact is None or provider.nulls_fact in settings.muted):
        body = without_nulls(operation, body)
    if strict or not checks.documented.verdict(body):
        violations = (checks.strict if strict else checks.documented).violations(body)
        raise provider.refuse_body(operation, violations, settings.muted)
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
    customary = operation.wire.request.fields(*CUSTOMARY) if operation.wire else OF_EMBEDDINGS
    for path in paths[:MOST_NOTED]:
        effect = "has its customary effect" if path in customary else "has no effect"
        yield Note(None, path, f"is not in the docs; it was accepted and {effect}")
    if len(paths) > MOST_NOTED:
        yield Note(None, "", f"{len(paths) - MOST_NOTED} more fields are not in the docs")


def _check_model(provider: Provider, settings: Settings, operation: Operation, call: Call) -> Call:
    """Refuse or note a model that the docs don't have."""
    fact = provider.models_fact
    known = call.model in provider.model_ids or call.model in settings.models
    if not known and fact not in settings.muted:
        hint = nearest(call.model, provider.model_ids | settings.models)
        message = f"there is no model {shown(call.model)}; {hint}"
        if not provider.models_open:
            details = [Violation("model", message, fact)]
            raise provider.refuse(operation.unknown_model or provider.models_unknown, "", details, model=call.model)
        note = Note(fact, "model", f"the docs don't name {shown(call.model)}; any id is accepted")
        call = replace(call, notes=(*call.notes, note))
    model = provider.models.get(call.model)
    error, error_fact = operation.other_model
    if model and operation.uses and model.use not in operation.uses and error_fact not in settings.muted:
        message = f"{call.model} does not do this; it is a model for {model.use}"
        raise provider.refuse(error, "", [Violation("model", message, error_fact)], error_fact, model=call.model)
    return call


def _check_window(provider: Provider, settings: Settings, operation: Operation, call: Call, model: Model) -> None:
    """Refuse a conversation over the model's window."""
    window = model.context_window
    if operation.wire is None or window is None or provider.context_fact in (None, *settings.muted):
        return
    form, checks = operation.wire.request, operation.checks(settings.muted)
    cap = call.conversation.cap
    if cap is None:
        cap = next((checks.defaults[name] for name in form.fields("cap") if name in checks.defaults), 0)
    cap = max(0, cap) if isinstance(cap, int | float) else 0
    if call.prompt_tokens + cap > window:
        message = (
            f"the messages have about {call.prompt_tokens} tokens and {form.path('cap')} asks for {int(cap)} more: "
            f"over the context window of {window} tokens of {call.model}"
        )
        path = form.fields("messages")[0]
        details = [Violation(path, message, provider.context_fact)]
        given = call.prompt_tokens + int(cap)
        raise provider.refuse(provider.context_error, "", details, limit=window, given=given)


def idempotency_of(
    provider: Provider, settings: Settings, request: Request, call: Call
) -> tuple[str, str, float] | None:
    if provider.idempotency is None:
        return None
    name, seconds, fact = provider.idempotency
    given = request.headers.get(name)
    if given is None or fact in settings.muted:
        return None
    value = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not _UUID.fullmatch(value):
        message = f"must be a UUID, not {shown(given)}"
        raise Refusal("invalid_request", details=[Violation(name, message, fact)])
    fingerprint = request.path.encode() + canonical(call.body)
    return value.lower(), blake2b(fingerprint, digest_size=16).hexdigest(), seconds
