"""From a reply to what is rendered: its templates filled, for the call and the model that it answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import orjson

from emulator.core.answer.builtin import builtin_message
from emulator.core.answer.computed import ANSWERS, render_moderation
from emulator.core.answer.embeddings import render_embedding, told_usage
from emulator.core.answer.message import answer_values, render_events, render_message
from emulator.core.answer.render import PLAIN, Rendered, Turn, in_our_words, render_body, render_id, render_json, whole
from emulator.core.answer.stored import counted, recalled, stored_answer, stored_stream
from emulator.core.durations import time_text
from emulator.core.errors import Json, Refusal, Violation
from emulator.core.provider.holes import fill
from emulator.core.provider.model import Model, model_values
from emulator.core.provider.operation import Checks, Operation
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Reply
from emulator.core.scenario.session import Settings
from emulator.core.scenario.template import REQUEST
from emulator.core.seeded_random import Draw
from emulator.core.values import Call, Exchange, Grant, Timeline
from emulator.core.wires.completion import Completion, neutral_usage
from emulator.core.wires.sse import event, failure
from emulator.core.wires.wire import AS_ENVELOPE, SILENT


def turn_for(provider: Provider, settings: Settings, call: Call, draw: Draw, seed: int) -> Turn:
    """Return what a reply to this call is rendered for."""
    operation = provider.operations[call.operation]
    checks = operation.checks(settings.muted)
    cap, fact = _cap(operation, call, checks)
    return Turn(
        provider, operation, call, served_model(provider, operation, call), draw, call.request.at,
        settings.validation == "strict", cap, fact, checks.defaults, seed,
    )  # fmt: skip


def _cap(operation: Operation, call: Call, checks: Checks) -> tuple[int | None, str | None]:
    """Return the most tokens that an answer may have: what was sent, or the documented default and its fact."""
    if not operation.takes_cap:
        return None, None
    given, fact = call.conversation.cap, None
    if given is None:
        given, fact = checks.cap, checks.cap_fact
    capped = isinstance(given, int | float) and not isinstance(given, bool)
    return (max(0, int(given)), fact) if capped else (None, None)


def served_model(provider: Provider, operation: Operation, call: Call) -> str:
    """Return the model that serves a call: that to which `auto` is routed, or for which an alias stands."""
    auto = provider.auto_embedding if operation.kind == "embeddings" else provider.auto
    named = auto if call.model == "auto" and auto else call.model
    model = provider.models.get(named)
    return model.answers_as or named if model else named


def fill_reply(
    reply: Reply, scope: Callable[[], Mapping[str, Json]], told: list[str]
) -> tuple[Json, Mapping[str, str]]:
    """Return a reply's content and headers with templates filled; what was missing is told."""
    if reply.fill is None:
        return reply.content, reply.headers
    filled = reply.fill(scope(), told.append)
    return filled["content"], filled["headers"]


class _Named(Mapping[str, Json]):
    """Values by name, each found when a template names it."""

    __slots__ = ("_found", "_of")

    def __init__(self, found: Mapping[str, Callable[..., Json]], *of: object) -> None:
        self._found, self._of = found, of

    def __getitem__(self, name: str) -> Json:
        return self._found[name](*self._of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def scope_of(turn: Turn, settings: Settings, grant: Grant) -> Mapping[str, Json]:
    """Return what a reply's templates can name."""
    return _Named(_SCOPE, turn, settings, grant)


_SCOPE: Mapping[str, Callable[[Turn, Settings, Grant], Json]] = {
    "request": lambda turn, settings, grant: _Named(REQUEST, turn.call),
    "vars": lambda turn, settings, grant: settings.vars,
    "state": lambda turn, settings, grant: grant.state,
    "n": lambda turn, settings, grant: grant.n,
    "now": lambda turn, settings, grant: int(turn.at),
    "uuid": lambda turn, settings, grant: turn.draw.uuid("uuid"),
}


def scripted_error(turn: Turn, reply: Reply, content: Json) -> Refusal | None:
    """Return the refusal that an error reply names; None for other replies and for errors with a body of their own."""
    refusal = named_error(turn.provider, content) if reply.kind == "error" else None
    if refusal:
        refusal.values["model"] = turn.model
        if reply.retry_after is not None:
            refusal.values["seconds"] = math.ceil(reply.retry_after)
    return refusal


def tells_when(provider: Provider, content: Mapping[str, Json]) -> bool:
    """Tell whether an error says in its body when to come again."""
    refusal = named_error(provider, content)
    return refusal is not None and "retry_in" in provider.errors[refusal.name]


def named_error(provider: Provider, content: Mapping[str, Json]) -> Refusal | None:
    """Return the refusal that an error names, at a provider without that name what it is like elsewhere.

    None for one with a body of its own.
    """
    if "name" not in content:
        return None
    name = content["name"] if content["name"] in provider.errors else content["like"]
    found = [Violation(one.get("path") or one.get("field") or "", one["message"]) for one in content.get("details", ())]
    return Refusal(name, content.get("message"), found)


def error_events(turn: Turn, content: Mapping[str, Json], number: int) -> list[bytes]:
    """Return an error as the events that end a stream after a number of others.

    They are as the wire has them, or where it has none the provider's envelope, as an event or as it is; an error with
    its own body is that.
    """
    refusal, wire = named_error(turn.provider, content), turn.operation.wire
    query = turn.call.request.query
    if refusal and wire and wire.errors:
        values = {f"error.{name}": value for name, value in turn.provider.error_values(refusal).items()}
        return wire.framed(wire.failing(answer_values(turn, Completion()), values, number), query)
    request_id = render_id(turn.provider, "request", turn.draw, turn.at)
    body = turn.provider.error_body(refusal, request_id, turn.call.request.path) if refusal else content["body"]
    if wire and wire.failing_as == SILENT:
        return []
    if wire and wire.failing_as == AS_ENVELOPE:
        return [failure(orjson.dumps(body, option=orjson.OPT_INDENT_2), number, wire.framing(query))]
    data = orjson.dumps(body)
    return wire.framed([wire.event(data)], query) if wire else [event(data)]


def render_reply(turn: Turn, reply: Reply, content: Json, past: Sequence[Exchange]) -> Rendered:
    """Render any reply but an error by name; `past` is the session's exchanges, where an answer looks back."""
    if reply.kind == "message" and turn.operation.kind == "chat":
        return render_message(turn, content, reply)
    if reply.kind in ("builtin", "message"):  # a rule for any operation says what only a chat can say
        return render_builtin(turn, past, reply)
    if reply.kind == "proxy":
        return Rendered(no_upstream(turn.provider.name))
    if reply.kind == "events":
        return Rendered(render_events(turn, content, reply), tokens=turn.call.prompt_tokens)
    if reply.kind == "embedding":
        return render_embedding(turn, content, reply)
    latency = reply.latency.draw(turn.draw, "latency")
    if reply.kind == "error":
        return Rendered(_scripted_body(content["body"], reply.status or content["status"], latency))
    wire = turn.operation.wire
    told = wire.read(content).usage if wire else neutral_usage(told_usage([content]))
    tokens = (told or {}).get("total", turn.call.prompt_tokens)
    ident = content.get(wire.place("id")) if wire and isinstance(content, Mapping) else None
    timeline = render_body(content, reply.status or 200, (), latency)
    return Rendered(timeline, tokens=tokens, id=ident if isinstance(ident, str) else "")


def no_upstream(provider: str) -> Timeline:
    """Say that there is nowhere to send a request on to."""
    message = f"This request goes to an upstream, and there is none; start with --upstream {provider}=BASE_URL."
    return in_our_words("no_upstream", message)


def _scripted_body(body: Json, status: int, latency: float) -> Timeline:
    """Render an error's own body: JSON, or a text as it is, such as the page of a proxy."""
    if not isinstance(body, str):
        return render_body(body, status, (), latency)
    kind = "text/html" if body.lstrip().startswith("<") else "text/plain"
    return whole(body.encode(errors="replace"), status, (("content-type", f"{kind}; charset=utf-8"),), latency)


def render_builtin(turn: Turn, past: Sequence[Exchange], reply: Reply = PLAIN) -> Rendered:
    """Answer deterministically from the request itself."""
    kind = turn.operation.kind
    if (unasked := turn.operation.answer_unasked(turn.call.body)) is not None:
        values = {"model": turn.model, "created_at": time_text(int(turn.at))}
        return Rendered(render_json(turn, fill(unasked, values), reply))
    if kind == "chat":
        content, notes = builtin_message(turn, {**turn.defaults, **_sent(turn)})
        rendered = render_message(turn, content, reply)
        return replace(rendered, notes=(*notes, *rendered.notes)) if notes else rendered
    if kind == "embeddings":
        return render_embedding(turn, "auto", reply)
    if kind == "tokens":
        return Rendered(render_json(turn, fill(turn.operation.body, counted(turn)), reply))
    if kind == "stored":
        found = recalled(turn.call.request)
        return Rendered(stored_stream(turn, found) or render_json(turn, stored_answer(turn, found), reply))
    if kind == "moderations":
        return render_moderation(turn, reply)
    body = _body(turn) if kind == "body" else ANSWERS[kind](turn, past)
    return Rendered(render_json(turn, body, reply))


def _sent(turn: Turn) -> Mapping[str, Json]:
    """Return the body without nulls, which count as left out."""
    body: Mapping[str, Json] = turn.call.body
    return {name: value for name, value in body.items() if value is not None} if None in body.values() else body


def _body(turn: Turn) -> Json:
    """Fill the template of an operation's body: from its path, and from the model that the path names.

    What nobody knows of a model that is not listed is null.
    """
    model = turn.provider.models.get(turn.call.model, Model(turn.call.model))
    values = {f"path.{name}": value for name, value in turn.call.params.items()}
    return fill(turn.operation.body, defaultdict(lambda: None, values | model_values(model)))
