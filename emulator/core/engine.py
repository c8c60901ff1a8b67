"""The engine: what a request asks of the store, and what it is answered. Pure; a Refusal is caught once, in `answer`.

claim(request) -> Claim     route, authenticate, decode, validate, find the rules that could answer
answer(claim, grant) -> Exchange     reply, render, faults, headers
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from emulator.core import answers
from emulator.core.chat import canonical, compact, last_text, system_text
from emulator.core.draws import Draw
from emulator.core.errors import STATUS, Json, Refusal, Violation
from emulator.core.faults import apply
from emulator.core.provider import UNLIMITED_SHOWN, Operation, Provider, fill
from emulator.core.render import (
    PLAIN,
    Rendered,
    Turn,
    prune,
    render_body,
    render_embeddings,
    render_events,
    render_id,
    render_message,
)  # fmt: skip
from emulator.core.scenario import Reply, Rule
from emulator.core.session import Session
from emulator.core.understand import authenticate, idempotency_of, route, understand
from emulator.core.wire import (
    Call,
    Candidate,
    Claim,
    Exchange,
    Grant,
    Headers,
    Note,
    Request,
    Standing,
    Timeline,
)  # fmt: skip

_NOTHING = Timeline(200, (), ())  # until a reply is rendered


class Engine:
    """Decides for all providers; holds nothing that changes."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers

    # Claim

    def claim(self, session: Session, request: Request) -> Claim:
        """Understand a request as far as the provider would; a refusal is kept for the answer."""
        provider = self.providers[request.provider]
        settings = session.settings[provider.name]
        key: str | None = None
        try:
            operation = route(provider, request)
            key = authenticate(session, provider, settings, request)
            call = understand(session, provider, settings, operation, request)
            idempotency = idempotency_of(provider, settings, request, call)
        except Refusal as refusal:
            return Claim(session.id, provider.name, key, settings.plan, request.at, False, fallback="refused",
                         refusal=refusal)  # fmt: skip
        return Claim(
            session.id, provider.name, key, settings.plan, request.at, True,
            candidates=_candidates(session, provider, call, key),
            idempotency=idempotency,
            history=operation.answer in ("rankings", "health", "patterns"),
            call=call,
        )  # fmt: skip

    # Answer

    def answer(self, session: Session, request: Request, claim: Claim, grant: Grant) -> Exchange:
        """Answer a claim with what it was granted; the provider's refusals are rendered here and nowhere else."""
        provider = self.providers[claim.provider]
        draw = Draw(session.seed, claim.fallback, grant.n or grant.number)
        try:
            if claim.refusal:
                raise claim.refusal
            _check_grant(provider, claim, grant)
            if grant.replay:
                return self._replay(session, request, claim, grant, grant.replay)
            return self._reply(session, request, claim, grant)
        except Refusal as refusal:
            exchange = Exchange(claim, grant, request, _error(provider, refusal, draw, request.at), "refused",
                                seed=session.seed, notes=claim.call.notes if claim.call else (),
                                refusal=_refused(provider, refusal))  # fmt: skip
            return self._with_headers(exchange, draw, extra=tuple(refusal.headers.items()))

    def _reply(self, session: Session, request: Request, claim: Claim, grant: Grant) -> Exchange:
        call = _call(claim)
        rules = session.rules_for(claim.provider, call.operation)
        settings = session.settings[claim.provider]
        if grant.candidate is not None:
            rule_id = claim.candidates[grant.candidate].rule
            rule = next(rule for rule in rules if rule.id == rule_id)
            return self._scripted(session, request, claim, grant, rule)
        if rules and settings.unmatched == "refuse":
            return self._unmatched(session, request, claim, grant, rules)
        turn = self.turn(session, claim, Draw(session.seed, claim.fallback, grant.n), request.at)
        exchange = Exchange(
            claim, grant, request, _NOTHING, "built-in", seed=session.seed, notes=call.notes, model=turn.model
        )
        return self._with_headers(_rendered(exchange, self.builtin(session.seed, turn, grant)), turn.draw)

    def _scripted(self, session: Session, request: Request, claim: Claim, grant: Grant, rule: Rule) -> Exchange:
        call = _call(claim)
        index = rule.reply_at(grant.turn)
        reply = rule.replies[index]
        turn = self.turn(session, claim, Draw(session.seed, rule.id, grant.n), request.at)
        notes: list[str] = []
        content, headers = fill_reply(reply, _scope(session, claim, grant, turn), notes)
        noted = (*call.notes, *(Note(None, "reply", text) for text in notes))
        exchange = Exchange(
            claim, grant, request, _NOTHING, rule.at, rule.id, index, session.seed, noted, model=turn.model
        )
        extra = [(name.lower(), _one_line(value)) for name, value in headers.items()]
        if reply.retry_after is not None:
            extra.append(("retry-after", str(math.ceil(reply.retry_after))))
        refusal = scripted_error(reply, content)
        if refusal:
            timeline = _error(turn.provider, refusal, turn.draw, request.at, reply)
            exchange = replace(exchange, timeline=timeline, refusal=_refused(turn.provider, refusal))
        else:
            exchange = _rendered(exchange, self.render(session.seed, turn, reply, content, grant))
        timeline, unused = apply(exchange.timeline, reply.faults, turn.draw)
        noted = (*exchange.notes, *(Note(None, "faults", text) for text in unused))
        spent = refusal is not None and refusal.name == "rate_limited"
        exchange = replace(exchange, timeline=timeline, notes=noted)
        return self._with_headers(exchange, turn.draw, tuple(extra), spent)

    def turn(self, session: Session, claim: Claim, draw: Draw, at: float) -> Turn:
        """Return what a reply to this claim is rendered for."""
        call = _call(claim)
        provider = self.providers[claim.provider]
        settings = session.settings[claim.provider]
        operation = provider.operations[call.operation]
        checks = operation.checks(settings.muted)
        cap = call.body.get("max_tokens", checks.defaults.get("max_tokens") if checks else None)
        capped = isinstance(cap, int | float) and not isinstance(cap, bool) and operation.takes("max_tokens")
        fact = checks.default_facts.get("max_tokens") if checks and "max_tokens" not in call.body else None
        return Turn(provider, operation, call, call_model(provider, operation, call), draw, at,
                    settings.validation == "strict", max(0, int(cap)) if capped else None, fact)  # fmt: skip

    def render(self, seed: int, turn: Turn, reply: Reply, content: Json, grant: Grant) -> Rendered:
        """Render any reply but an error."""
        if reply.kind == "builtin":
            return self.builtin(seed, turn, grant, reply)
        if reply.kind == "json":
            latency = reply.latency.draw(turn.draw, "latency")
            return Rendered(render_body(content, reply.status or 200, (), latency), tokens=turn.call.prompt_tokens)
        if reply.kind == "error":
            latency = reply.latency.draw(turn.draw, "latency")
            return Rendered(render_body(content["body"], content["status"], (), latency))
        if reply.kind == "events":
            return Rendered(render_events(turn, content, reply), tokens=turn.call.prompt_tokens)
        if reply.kind == "embedding":
            return _embedded(turn, content, reply)
        return render_message(turn, content, reply)

    def builtin(self, seed: int, turn: Turn, grant: Grant, reply: Reply = PLAIN) -> Rendered:
        """Answer deterministically from the request itself."""
        answer = turn.operation.answer
        if answer == "chat":
            checks = turn.operation.checks(frozenset())
            body = {**(checks.defaults if checks else {}), **turn.call.body}
            content, notes = answers.builtin_message(turn, seed, body)
            rendered = render_message(turn, content, reply)
            return replace(rendered, notes=(*notes, *rendered.notes))
        if answer == "embeddings":
            return _embedded(turn, "auto", reply)
        body = answers.ANSWERS[answer](turn, grant.exchanges)
        latency = reply.latency.draw(turn.draw, "latency")
        return Rendered(render_body(prune(body, turn, "response"), reply.status or 200, (), latency))

    def _unmatched(
        self, session: Session, request: Request, claim: Claim, grant: Grant, rules: Sequence[Rule]
    ) -> Exchange:
        """Refuse what no rule answers, in words of our own: 404, not to be retried, with the nearest rules."""
        found = nearest_rules(rules, _call(claim), grant.state, {item.rule for item in claim.candidates})
        lines = [f"{item['rule']} ({item['id']}): {_difference_text(item['differences'])}" for item in found]
        message = "No rule of the scenario answers this request. Nearest: " + "; ".join(lines)
        body = {"error": {"code": "emulator_unmatched", "message": message, "nearest": found}}
        timeline = render_body(body, 404, (("x-should-retry", "false"),))
        exchange = Exchange(claim, grant, request, timeline, "unmatched", seed=session.seed, notes=_call(claim).notes,
                            nearest=tuple(found))  # fmt: skip
        return self._with_headers(exchange, Draw(session.seed, "unmatched", grant.number))

    def _replay(self, session: Session, request: Request, claim: Claim, grant: Grant, first: Exchange) -> Exchange:
        """Answer with the frames of the first answer to this idempotency key, and fresh headers."""
        ours = {name.lower() for name, _ in self.providers[claim.provider].headers}
        kept = tuple(
            item for item in first.timeline.headers if item[0] not in ours and not item[0].startswith("x-emulator-")
        )
        draw = Draw(session.seed, "replay", grant.number)
        exchange = replace(first, claim=claim, grant=grant, request=request, tokens=0, sent=None,
                           timeline=replace(first.timeline, headers=kept))  # fmt: skip
        return self._with_headers(exchange, draw, (("x-emulator-replayed", "true"),))

    def _with_headers(self, exchange: Exchange, draw: Draw, extra: Headers = (), spent: bool = False) -> Exchange:
        """Add the documented headers, the reply's own, and ours."""
        provider = self.providers[exchange.claim.provider]
        documented = _documented(provider, exchange.grant.standing, draw, exchange.request.at, spent)
        ours = (("x-emulator-exchange", str(exchange.grant.number)), ("x-emulator-rule", exchange.rule))
        given = {name for name, _ in extra}
        documented = tuple(item for item in documented if item[0] not in given)
        headers = (*exchange.timeline.headers, *documented, *extra, *ours)
        return replace(exchange, timeline=replace(exchange.timeline, headers=headers))


# Rules


def _candidates(session: Session, provider: Provider, call: Call, key: str) -> tuple[Candidate, ...]:
    found: list[Candidate] = []
    for rule in session.rules_for(provider.name, call.operation):
        if all(condition.holds(call) for condition in rule.conditions):
            found.append(Candidate(rule.id, _count_key(rule, call, key), rule.states, rule.turns, rule.then))
            if rule.states is None and rule.turns is None:
                break
    return tuple(found)


def _count_key(rule: Rule, call: Call, key: str) -> str:
    by = rule.count_by
    if by == "session":
        return rule.id
    if by == "request":
        return f"{rule.id}\x1f{blake2b(canonical(call.body), digest_size=16).hexdigest()}"
    if by == "key":
        return f"{rule.id}\x1f{key}"
    return f"{rule.id}\x1f{call.request.headers.get(by.removeprefix('header:').lower(), '')}"


def nearest_rules(
    rules: Sequence[Rule], call: Call, state: str, matching: set[str], most: int = 3
) -> list[dict[str, Json]]:
    """Return the rules that came nearest to answering, and field by field what differed."""
    found = []
    for rule in rules:
        differences = [item.difference(call) for item in rule.conditions if not item.holds(call)]
        if rule.states and (state in rule.states[0]) is not rule.states[1]:
            names = sorted(rule.states[0])
            expected = (
                names[0] if rule.states[1] and len(names) == 1 else {"one_of" if rule.states[1] else "not": names}
            )
            differences.append({"field": "state", "expected": expected, "actual": state})
        elif rule.id in matching:
            differences.append({"field": "times", "expected": f"at most {rule.turns} calls", "actual": "used up"})
        found.append({"rule": rule.at, "id": rule.id, "differences": differences})
    return sorted(found, key=lambda item: len(item["differences"]))[:most]


def _difference_text(differences: Sequence[Mapping[str, Json]]) -> str:
    return ", ".join(
        f"{item['field']}: expected {_short(item['expected'])}, got {_short(item['actual'])}" for item in differences
    )


def _short(value: Json) -> str:
    text = compact(value)
    return text if len(text) <= 120 else text[:119] + "…"


# Replies


def _call(claim: Claim) -> Call:
    if claim.call is None:
        raise TypeError("a claim without a call was granted a reply")
    return claim.call


def call_model(provider: Provider, operation: Operation, call: Call) -> str:
    """Return the model that serves a call: `auto` becomes the one that the provider routes to."""
    auto = provider.auto_embedding if operation.answer == "embeddings" else provider.auto
    return auto if call.model == "auto" and auto else call.model


def fill_reply(reply: Reply, scope: Mapping[str, Json], notes: list[str]) -> tuple[Json, Mapping[str, str]]:
    """Return a reply's content and headers with templates filled."""
    if reply.fill is None:
        return reply.content, reply.headers
    filled = reply.fill(scope, notes.append)
    return filled["content"], filled["headers"]


def _scope(session: Session, claim: Claim, grant: Grant, turn: Turn) -> dict[str, Json]:
    """What a reply's templates can name."""
    call = turn.call
    request = {
        "last_user": last_text(call.messages, "user"), "system": system_text(call.messages), "model": call.model,
        "operation": call.operation, "provider": claim.provider, "session": session.id,
        "method": call.request.method, "path": call.request.path, "stream": call.stream,
        "turn": sum(message.role == "user" for message in call.messages),
        "step": sum(message.role == "assistant" for message in call.messages),
        "headers": {name: value for name, value in call.request.headers.items() if name != "authorization"},
        "body": call.body, "tools": list(call.tools),
    }  # fmt: skip
    settings = session.settings[claim.provider]
    return {
        "request": request, "vars": settings.vars, "state": grant.state, "n": grant.n, "now": int(turn.at),
        "uuid": turn.draw.uuid("uuid"),
    }  # fmt: skip


def scripted_error(reply: Reply, content: Json) -> Refusal | None:
    """Return the refusal that an error reply names; None for other replies and for errors with a body of their own."""
    if reply.kind != "error" or "name" not in content:
        return None
    details = [
        Violation(item.get("path") or item.get("field") or "", item["message"]) for item in content.get("details", ())
    ]
    return Refusal(content["name"], content.get("message"), details)


def _rendered(exchange: Exchange, rendered: Rendered) -> Exchange:
    return replace(
        exchange, timeline=rendered.timeline, usage=rendered.usage, tokens=rendered.tokens,
        finish_reason=rendered.finish_reason, notes=(*exchange.notes, *rendered.notes),
    )  # fmt: skip


def _embedded(turn: Turn, content: Json, reply: Reply) -> Rendered:
    inputs = answers.embedding_inputs(turn.call.body)
    if content == "auto":
        found = answers.vectors(inputs, turn.call.body, turn.model)
    else:
        found = content if isinstance(content[0], list) else [content] * len(inputs)
    return render_embeddings(turn, found, answers.input_tokens(inputs), reply)


def _one_line(value: str) -> str:
    return "".join(char if 32 <= ord(char) < 127 else "?" for char in value)


# Refusals and headers


def _check_grant(provider: Provider, claim: Claim, grant: Grant) -> None:
    if grant.idempotency:
        raise Refusal(f"idempotency_{grant.idempotency}")
    if grant.standing.exceeded:
        plan, standing = claim.plan, grant.standing
        figure = plan.requests if standing.exceeded == "requests" else plan.tokens
        message = f"Rate limit exceeded: {figure} {standing.exceeded} a minute on the plan {plan.name}."
        raise Refusal("rate_limited", message)


def _error(provider: Provider, refusal: Refusal, draw: Draw, at: float, reply: Reply = PLAIN) -> Timeline:
    body = provider.error_body(refusal, render_id(provider, "request", draw, at))
    status = reply.status or STATUS[refusal.name]
    return render_body(body, status, (), reply.latency.draw(draw, "latency"))


def _refused(provider: Provider, refusal: Refusal) -> tuple[str, int, Refusal]:
    if refusal.fact is None:
        refusal.fact = provider.errors[refusal.name].get("fact")
    return refusal.name, STATUS[refusal.name], refusal


def _documented(provider: Provider, standing: Standing, draw: Draw, at: float, spent: bool) -> Headers:
    if not provider.headers:
        return ()
    limit = UNLIMITED_SHOWN if standing.limit is None else standing.limit
    remaining = UNLIMITED_SHOWN if standing.remaining is None else standing.remaining
    values = {
        "limit": limit,
        "remaining": 0 if spent or standing.exceeded else remaining,
        "reset": math.ceil(standing.reset),
        "request_id": render_id(provider, "request", draw, at),
    }
    return tuple((name.lower(), str(fill(form, values))) for name, form in provider.headers)
