"""Understanding a request as its provider would: its headers, its body, what it says, and the model that it names.

Each step raises the Refusal that the provider would answer with, in the order in which a provider refuses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from urllib.parse import parse_qsl

import orjson

from emulator.core.answer.computed import check_judged
from emulator.core.answer.embeddings import check_inputs, check_vectors
from emulator.core.answer.stored import Recalled, earlier, recalled
from emulator.core.engine.body import HAS_EFFECT, MOST_NOTED, NO_EFFECT, check_content_type, decoded, validate
from emulator.core.errors import Json, Refusal, Violation, nearest, shown
from emulator.core.provider.conversation.rule import Asked, asked_of
from emulator.core.provider.conversation.rules import told
from emulator.core.provider.field_names import SNAKE
from emulator.core.provider.model import Model
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Comparison, Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.session import Session, Settings
from emulator.core.tree import canonical, compact
from emulator.core.values import Call, Note, Request
from emulator.core.wires.request.conversation import PER_REPLY, Conversation, prompt_tokens

#: The bytes of the items that a request may refer to, each as often as it does: as many as a body may have.
MOST_REFERRED_TO = 20_000_000
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def understand(session: Session, provider: Provider, settings: Settings, route: Route, request: Request) -> Call:
    operation, params = route.operation, route.params
    notes: list[Note] = []
    if settings.validation != "off":
        _check_beside(provider, operation, settings, request)
    if operation.has_body:
        check_content_type(provider, settings, request, notes)
        body = _body(provider, operation, settings, request)
    else:
        body = {name: value for name, value in _queried(request) if name not in provider.common_parameters}
    judged = settings.validation != "off"
    compared = provider.compared(operation, settings.muted) if judged and provider.reference else None
    alike = compared is not None and compared.both.verdict(body)  # one verdict for most bodies: it costs as much as two
    if judged and not alike:
        validate(provider, operation, settings, body, notes)
    if operation.kind == "embeddings":
        check_inputs(operation, body)
    if operation.kind == "moderations":
        check_judged(body)
    found = recalled(request) if request.recalled else None
    if operation.names_kept:
        _check_kept(operation, params, found, body)
    before = earlier(found, request.at, operation.wire) if found else ()
    said = conversation(operation, _resolved(operation, found, body) if found else body, before)
    if not said.model and (named := _unnamed_model(operation, settings, body)):
        said = replace(said, model=named)
    if "model" in params:
        said = replace(said, model=params["model"])
    if operation.unasked and operation.answer_unasked(body) is not None:
        said = replace(said, stream=False)
    elif operation.streams_at:
        said = replace(said, stream=route.streams)
    cost = prompt_tokens(said.messages, _written_tools(operation, body) if said.tools else None)
    call = Call(request, operation.name, body, said, cost, tuple(notes), request.at - session.started, params)
    if not judged:
        return call
    asks_model = operation.kind != "stored" and (said.model or operation.kind != "tokens")
    if (operation.takes_model and asks_model) or "model" in params:
        call = _check_model(provider, settings, operation, call)
    if operation.kind == "embeddings":
        check_vectors(provider, operation, call, settings.muted)
    model = provider.models.get(said.model)
    if operation.conversation:
        _check_rules(settings, operation, call, model)
    if compared:
        call = _compare(provider, settings, compared, call, alike)
    if operation.no_effect:
        vain = {name: item for name, item in operation.no_effect.items() if body.get(name)}
        more = [Note(item["fact"], name, f"{NO_EFFECT} here: {item['why']}") for name, item in vain.items()]
        call = replace(call, notes=(*call.notes, *more))
    if model and operation.wire:
        call = _within_window(provider, settings, operation, call, model)
    return call


def _body(provider: Provider, operation: Operation, settings: Settings, request: Request) -> Json:
    """Return a body with the fields as they are documented, where they may be written otherwise."""
    if request.too_large:
        raise Refusal("too_large", "The request body is larger than this server takes (--max-body).")
    also = provider.reads(settings.muted) if provider.also_read else ()
    body = {} if operation.kind == "stored" and not request.body else decoded(provider, request.body, also)
    if also and (SNAKE.search(request.body) or not operation.checks(settings.muted).documented.verdict(body)):
        return operation.field_names.documented(body, also)
    return body


def _check_rules(settings: Settings, operation: Operation, call: Call, model: Model | None) -> None:
    """Refuse what a conversation must not be, though its schema allows it."""
    rules = operation.rules(settings.muted)
    if rules is None or not rules.concern(call.body, call.conversation, model.traits if model else None):
        return
    broken = rules.first_broken(asked_of(call.body, call.conversation, model, call.request.headers))
    if broken:
        violation, words = told(*broken)
        raise Refusal(broken[0].error, details=[violation], documented=words)


def _compare(provider: Provider, settings: Settings, compared: Comparison, call: Call, alike: bool) -> Call:
    """Note, or at `compatible` refuse, what the API would refuse with which a provider is compatible."""
    schema, rules = compared.schema, compared.rules
    found: Sequence[Violation] = ()
    if not alike and not schema.verdict(call.body):
        found = schema.violations(call.body)
    elif rules and rules.concern(call.body, call.conversation, None):
        broken = rules.first_broken(Asked(call.body, call.conversation))
        found = [told(*broken)[0]] if broken else ()
    if not found:
        return call
    if settings.validation == "compatible":
        raise Refusal("invalid_request", details=found)
    title = provider.reference.title if provider.reference else ""
    notes = [Note(item.fact, item.path, f"{title} would refuse this: {item.message}") for item in found[:MOST_NOTED]]
    return replace(call, notes=(*_without_effect(call.notes, {item.path for item in found}), *notes))


def _without_effect(notes: Sequence[Note], wrong: Collection[str]) -> Iterator[Note]:
    """Say of customary fields whose values are none that they have no effect."""
    for note in notes:
        known, _, effect = note.message.rpartition(" and ")
        vain = note.path in wrong and effect.startswith(HAS_EFFECT)
        yield replace(note, message=f"{known} and {NO_EFFECT}") if vain else note


def _unnamed_model(operation: Operation, settings: Settings, body: Mapping[str, Json]) -> str:
    """Return the model of a body that names none: the first of those that it lists, or the documented one."""
    others = operation.fallbacks
    listed = others.asked("", body) if others and others.fact not in settings.muted else []
    default = operation.checks(settings.muted).defaults.get("model")
    return listed[0] if listed else default if isinstance(default, str) else ""


def _check_beside(provider: Provider, operation: Operation, settings: Settings, request: Request) -> None:
    """Refuse headers and a query that the provider rules out."""
    muted, query = settings.muted, dict(_queried(request)) if request.query else {}
    checks = provider.header_checks(muted) if provider.request_headers else None
    if checks and not checks.verdict(request.headers):
        raise provider.refuse_headers(checks.violations(request.headers), muted)
    checks = provider.query_checks(muted) if request.query else None
    if checks and not checks.verdict(query):
        raise Refusal("invalid_request", details=checks.violations(query))
    checks = operation.query_checks(muted) if operation.query else None
    if checks and not checks.verdict(query):
        found = checks.violations(query)
        raise provider.refuse(operation.query_errors.get(found[0].fact or "", operation.query_error), "", found)


def _queried(request: Request) -> Iterator[tuple[str, str]]:
    return islice(parse_qsl(request.query, keep_blank_values=True), 1000)


def _check_kept(
    operation: Operation, params: Mapping[str, str], found: Recalled | None, body: Mapping[str, Json]
) -> None:
    """Refuse what names a kept answer that is not there, or asks of one what it cannot have."""
    form = operation.wire.request if operation.wire else None
    if operation.kind == "stored" and found is None and params:
        raise operation.is_missing(next(iter(params.values())))
    if found and found.unknown:
        message = f"there is nothing with the id {shown(found.unknown)} in this list"
        raise Refusal("invalid_request", details=[Violation(operation.page["after"], message, operation.fact)])
    refused = operation.does == "cancel" or body.get(operation.replay.get("stream", "")) == "true"
    if refused and operation.kind == "stored" and found and not found.later:
        raise Refusal("invalid_request", operation.refused, fact=operation.fact)
    if form and (found is None or found.response is None) and (ident := form.previous(body)):
        raise operation.is_missing(ident, form.path("previous"))
    if form and (lost := [ident for ident in form.references(body) if not (found and ident in found.references)]):
        raise operation.is_missing(lost[0], form.fields("messages")[0], item=True)


def _resolved(operation: Operation, found: Recalled, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a body with the items of kept answers in the place of those that refer to them."""
    if not found.references or operation.wire is None:
        return body
    sizes = {ident: len(orjson.dumps(item)) for ident, item in found.references.items()}
    if sum(sizes[ident] for ident in operation.wire.request.references(body) if ident in sizes) > MOST_REFERRED_TO:
        raise Refusal("too_large", f"The items that are referred to have over {MOST_REFERRED_TO} bytes together.")
    return operation.wire.request.with_references(body, found.references)


def conversation(operation: Operation, body: Mapping[str, Json], before: Sequence[Json] = ()) -> Conversation:
    """Return what a body says after earlier items; of what is no chat, the model."""
    if operation.wire:
        return operation.wire.request.read(body, operation.takes_tools, before)
    model = body.get("model")
    return Conversation(model if isinstance(model, str) else "")


def _written_tools(operation: Operation, body: Mapping[str, Json]) -> str:
    names = operation.wire.request.fields("tools") if operation.wire else ()
    return "".join(compact(body[name]) for name in names if name in body)


def _check_model(provider: Provider, settings: Settings, operation: Operation, call: Call) -> Call:
    """Refuse or note a model that the docs don't have."""
    fact, name = provider.models_fact, call.model
    model = provider.models.get(name)
    here = model is None or not model.versions or _asked_of(provider, call.request)["version"] in model.versions
    closed = provider.models_closed and bool(settings.models)
    known = name in settings.models or (name in provider.model_ids and here and not closed)
    if not known and fact not in settings.muted:
        hint = nearest(name, settings.models if closed else provider.model_ids | settings.models)
        message = f"there is no model {shown(name)}; {hint}"
        if closed or not provider.models_open:
            details = [Violation("model", message, fact)]
            error = operation.unknown_model or provider.models_unknown
            raise provider.refuse(error, "", details, model=name, **_asked_of(provider, call.request))
        note = Note(fact, "model", f"the docs don't name {shown(name)}; any id is accepted")
        call = replace(call, notes=(*call.notes, note))
    error, error_fact = operation.other_model
    if model and operation.uses and model.use not in operation.uses and error_fact not in settings.muted:
        message = f"{name} does not do this; it is a model for {model.use}"
        details = [Violation("model", message, error_fact)]
        raise provider.refuse(error, "", details, error_fact, model=name, **_asked_of(provider, call.request))
    return call


def _asked_of(provider: Provider, request: Request) -> dict[str, Json]:
    """Return what was asked of a model by its path: the version of the API, and the method."""
    steps = request.address.split("/")
    version = next((step for step in steps if step in provider.versions), "")
    return {"version": version, "method": request.path.partition(":")[2]}


def _within_window(provider: Provider, settings: Settings, operation: Operation, call: Call, model: Model) -> Call:
    """Refuse a conversation over the model's window, or drop its beginning where the request allows it."""
    error, fact = operation.context or (provider.context_error, provider.context_fact)
    window = model.context_window
    if operation.wire is None or window is None or fact is None or fact in settings.muted:
        return call
    cap = call.conversation.cap
    if cap is None:
        cap = operation.checks(settings.muted).cap
    cap = max(0, int(cap)) if isinstance(cap, int | float) and provider.context_of == "all" else 0
    if call.prompt_tokens + cap <= window:
        return call
    form = operation.wire.request
    if form.truncates(call.body) and (shorter := _truncated(call, window - cap)):
        return shorter
    message = (
        f"the messages have about {call.prompt_tokens} tokens and {form.path('cap')} asks for {cap} more: "
        f"over the context window of {window} tokens of {call.model}"
    )
    details = [Violation(form.fields("messages")[0], message, fact)]
    raise provider.refuse(error, "", details, model=call.model, limit=window, given=call.prompt_tokens + cap)


def _truncated(call: Call, most: int) -> Call | None:
    """Return a call without the beginning of its conversation, the system's messages aside; None where it is no use."""
    messages = list(call.messages)
    costs = [prompt_tokens((message,), None) - PER_REPLY for message in messages]
    cost, kept = call.prompt_tokens, [True] * len(messages)
    for index, message in enumerate(messages[:-1]):
        if cost <= most and message.role != "tool":  # what answers a call goes with it
            break
        if message.role != "system":
            kept[index], cost = False, cost - costs[index]
    if cost > most:
        return None
    left = tuple([message for message, keep in zip(messages, kept, strict=True) if keep])
    gone = len(messages) - len(left)
    note = Note(None, "", f"{gone} messages were dropped, so that the others fit the context window")
    said = replace(call.conversation, messages=left)
    return replace(call, conversation=said, prompt_tokens=cost, notes=(*call.notes, note))


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
