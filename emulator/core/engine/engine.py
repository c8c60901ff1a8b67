"""The engine: what a request asks of the store, and what it is answered. Only `answer` answers a Refusal.

claim(request) -> Claim     route, authenticate, decode, validate, find the rules that could answer
answer(claim, grant) -> Exchange     reply, render, faults, headers

Both are pure; `answer_cache` remembers only what would be found again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from emulator.core.answer.answer_cache import AnswerCache
from emulator.core.answer.computed import LOOK_BACK
from emulator.core.answer.render import PLAIN, PROXY, Rendered, Turn, render_body, render_id, whole
from emulator.core.answer.reply import (
    error_events,
    fill_reply,
    no_upstream,
    render_reply,
    scope_of,
    scripted_error,
    tells_when,
    turn_for,
)
from emulator.core.answer.stored import keeping_of
from emulator.core.draws import Draw
from emulator.core.durations import Wait
from emulator.core.engine.access import authenticate, route
from emulator.core.engine.limits import check_grant, documented_headers, one_line
from emulator.core.engine.misfits import misfits
from emulator.core.engine.recall import Steps, recalling
from emulator.core.engine.understand import idempotency_of, understand
from emulator.core.errors import Json, Refusal, shown
from emulator.core.faults.faults import OWN, Fault, apply
from emulator.core.frozen import frozen
from emulator.core.kept import Keeping
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.candidates import candidates, difference_text, nearest_rules, with_fallbacks
from emulator.core.scenario.chaos import Strikes, strikes
from emulator.core.scenario.scenario import Reply, Rule
from emulator.core.scenario.session import Session, Settings
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.values import FOREVER, Call, Candidate, Claim, Exchange, Grant, Headers, Note, Request, Timeline
from emulator.core.wires.wire import Wire


@frozen
class _Outcome:
    """What a claim comes to, before headers; `spent` shows a limit as used up."""

    rule: str
    draw: Draw
    rendered: Rendered
    model: str = ""
    rule_id: str | None = None
    reply: int | None = None
    refusal: Refusal | None = None
    nearest: Sequence[Mapping[str, Json]] = ()
    headers: Headers = ()
    spent: bool = False
    proxied: bool = False
    keeping: Keeping | None = None


class Engine:
    """Decides for all providers; holds nothing that changes what it decides."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        self.prefixes = {item.title: item.key_prefix for item in providers.values()}
        self.answer_cache = AnswerCache(self.answer, self.again)

    def recalling(self, request: Request) -> Steps | None:
        """Return the steps that find what a request names of the kept answers; they are taken before it is claimed."""
        provider = self.providers[request.provider]
        return recalling(provider, request) if provider.keeps else None

    def claim(self, session: Session, request: Request) -> Claim:
        """Understand a request as far as the provider would; a refusal is kept for the answer."""
        provider = self.providers[request.provider]
        settings = session.settings[provider.name]
        found: Route | None = None
        key: str | None = None
        try:
            found = route(provider, request, self.providers.values(), session)
            key = authenticate(session, provider, settings, request, self.prefixes)
            call = understand(session, provider, settings, found, request)
            idempotency = idempotency_of(provider, settings, request, call)
        except Refusal as error:
            error.__traceback__ = None  # the journal keeps the refusal, not the frames it came through
            operation = found.operation if found else None
            return Claim(
                session.id, provider.name, key, settings.plan, request.at, False, fallback="refused",
                refusal=error, operation=operation.name if operation else None,
                wire=operation.wire if operation else None, params=found.params if found else {},
            )  # fmt: skip
        operation = found.operation
        speaks = not operation.unasked or operation.answer_unasked(call.body) is None
        index = session.rules_for(provider.name, operation.name)
        rules = candidates(index, call, key) if speaks else ()
        if rules and operation.fallbacks and operation.fallbacks.fact not in settings.muted:
            rules = with_fallbacks(index, rules, call, key, operation.fallbacks)
        return Claim(
            session.id, provider.name, key, settings.plan, request.at, True, rules, "built-in", idempotency,
            operation.kind in LOOK_BACK, call, None, operation.name, wire=operation.wire, params=found.params,
        )  # fmt: skip

    def again(self, session: Session, request: Request, grant: Grant) -> Exchange:
        """Answer as it was answered from a form."""
        return self.answer(session, request, self.claim(session, request), grant)

    def answer(
        self, session: Session, request: Request, claim: Claim, grant: Grant, draws: Callable[..., Draw] = Draw
    ) -> Exchange:
        """Answer a claim with what it was granted; the provider's refusals are rendered here and nowhere else."""
        provider = self.providers[claim.provider]
        if claim.relay:
            return _exchange(session, provider, request, claim, grant, _relayed(session, claim, grant))
        try:
            if claim.refusal:
                raise claim.refusal
            check_grant(provider, claim, grant)
            outcome = _replay(session, provider, grant) or self._reply(session, claim, grant, draws)
        except Refusal as refusal:
            outcome = _refused(session, provider, request, claim, grant, refusal)
        return _exchange(session, provider, request, claim, grant, outcome)

    def _reply(self, session: Session, claim: Claim, grant: Grant, draws: Callable[..., Draw]) -> _Outcome:
        """Answer as the model that is asked, which may be another where the first one fails, and say so."""
        call, chosen = claim.call, None if grant.candidate is None else claim.candidates[grant.candidate]
        if call is None:
            raise TypeError("a claim without a call was granted a reply")
        if chosen is None or chosen.model in ("", call.model):
            return self._answered(session, claim, call, grant, chosen, draws)
        outcome = self._answered(session, claim, call.asking(chosen.model), grant, chosen, draws)
        fallbacks = self.providers[claim.provider].operations[call.operation].fallbacks
        message = f"{shown(chosen.model)} was asked, since the scenario has {shown(call.model)} fail"
        note = Note(fallbacks.fact, fallbacks.field, message) if fallbacks else Note(None, "model", message)
        return replace(outcome, rendered=replace(outcome.rendered, notes=(note, *outcome.rendered.notes)))

    def _answered(
        self, session: Session, claim: Claim, call: Call, grant: Grant, chosen: Candidate | None,
        draws: Callable[..., Draw],
    ) -> _Outcome:  # fmt: skip
        """Answer with the rule that was granted, or where no rule concerns the operation, with the built-in reply."""
        provider, settings = self.providers[claim.provider], session.settings[claim.provider]
        index = session.rules_for(claim.provider, call.operation)
        if chosen and chosen.rule in index.by_id:
            return _scripted(session, provider, call, grant, index.by_id[chosen.rule], draws)
        if provider.operations[call.operation].answer_unasked(call.body) is not None:
            return _scripted(session, provider, call, grant, None, draws)
        if index.rules and settings.unmatched == "refuse":
            return _unmatched(session, call, claim, grant, index.rules)
        otherwise = "proxy" if index.rules and settings.unmatched == "proxy" else "built-in"
        return _scripted(session, provider, call, grant, None, draws, otherwise)


def _scripted(
    session: Session,
    provider: Provider,
    call: Call,
    grant: Grant,
    rule: Rule | None,
    draws: Callable[..., Draw],
    otherwise: str = "built-in",
) -> _Outcome:
    """Answer with the reply of a rule, or without one with the built-in or the upstream's, unless chaos strikes."""
    settings = session.settings[provider.name]
    index = rule.reply_at(grant.turn) if rule else None
    at, name = (rule.at, rule.id) if rule else (otherwise, otherwise)
    turn = turn_for(provider, settings, call, draws(session.seed, name, grant.n), session.seed)
    chaos = strikes(session.chaos_for(provider.name, call.operation), call, turn.draw)
    reply = chaos.error or (rule.replies[index] if rule and index is not None else _OTHERWISE[otherwise])
    content, headers, missing = _filled(turn, settings, grant, reply)
    refusal = scripted_error(turn, reply, content)
    if refusal:
        listed = _is_listed(provider, call.request, turn.operation.wire)
        rendered = Rendered(_error(provider, refusal, turn.draw, call.request, reply, listed))
    else:
        try:
            rendered = render_reply(turn, reply, content, grant.exchanges)
        except CannotConform as error:
            return _cannot_conform(turn, error)
    proxied = reply.kind == "proxy"
    waits = _waits_for_comments(provider, rendered.timeline)
    if (missing or reply.faults or chaos.any or waits) and not proxied:  # no fault can strike what is passed on
        rendered = _struck(turn, reply, rendered, chaos, missing, f"seed {session.seed}, rule {name}, n {grant.n}")
    spent = refusal is not None and refusal.name == "rate_limited"
    rule_id = rule.id if rule else None
    keeping = None if refusal else keeping_of(turn, rendered)
    if rule and (unfit := [note for note in misfits(turn, reply, content) if note.fact not in settings.muted]):
        rendered = replace(rendered, notes=(*rendered.notes, *unfit))
    return _Outcome(at, turn.draw, rendered, turn.model, rule_id, index, refusal, (), headers, spent, proxied, keeping)


#: What answers where no rule does.
_OTHERWISE = {"built-in": PLAIN, "proxy": PROXY}


def _relayed(session: Session, claim: Claim, grant: Grant) -> _Outcome:
    """Leave the answer to the upstream."""
    model = claim.call.model if claim.call else ""
    rendered = Rendered(no_upstream(claim.provider))
    return _Outcome("proxy", Draw(session.seed, "proxy", grant.number), rendered, model, proxied=True)


def _filled(turn: Turn, settings: Settings, grant: Grant, reply: Reply) -> tuple[Json, Headers, list[str]]:
    """Return a reply's content and headers, its templates filled, and what was missing for them."""
    missing: list[str] = []
    content, headers = fill_reply(reply, lambda: scope_of(turn, settings, grant), missing)
    asked = [(name.lower(), one_line(value)) for name, value in headers.items()]
    in_body = reply.kind == "error" and tells_when(turn.provider, content)
    if reply.retry_after is not None and "retry-after" not in dict(asked) and not in_body:
        asked += turn.provider.retry_headers(reply.retry_after).items()
    return content, tuple(asked), missing


def _struck(
    turn: Turn, reply: Reply, rendered: Rendered, chaos: Strikes, missing: Sequence[str], drawn_by: str
) -> Rendered:
    """Let the reply's faults and those of chaos strike, all in one order, and note what is worth knowing."""
    own = {f"fault/{number}": fault for number, fault in enumerate(reply.faults)}
    wire, faults, errors = turn.operation.wire, {**own, **chaos.faults}, partial(error_events, turn)
    spoken = (wire.is_piece, wire.keep_alive(turn.call.request.query)) if wire else ()
    if wire and turn.provider.comment:
        text, every = turn.provider.comment
        spoken = (wire.is_piece, text)
        if not any(fault.kind == "comment" for fault in faults.values()):
            faults[OWN] = Fault("comment", {"every": Wait("fixed", every)})
    timeline, idle = apply(rendered.timeline, faults, turn.draw, errors, *spoken)
    notes = [Note(None, "reply", text) for text in missing]
    for label in idle:
        if label in own:
            notes.append(Note(None, "faults", f"the fault {own[label].kind} had nothing to act on here"))
    return replace(rendered, timeline=timeline, notes=(*rendered.notes, *notes, *chaos.notes(idle, drawn_by)))


def _waits_for_comments(provider: Provider, timeline: Timeline) -> bool:
    """Tell whether a stream waits so long that its API sends comments by itself."""
    if provider.comment is None or not timeline.stream:
        return False
    return timeline.endless or timeline.end_at - timeline.head_at > provider.comment[1]


def _unmatched(session: Session, call: Call, claim: Claim, grant: Grant, rules: Sequence[Rule]) -> _Outcome:
    """Refuse what no rule answers, in words of our own: 404, not to be retried, with the nearest rules."""
    asked = {item.rule for item in claim.candidates if item.model in ("", call.model)}
    found = nearest_rules(rules, call, grant.state, asked)
    lines = [f"{item['rule']} ({item['id']}): {difference_text(item['differences'])}" for item in found]
    message = "No rule of the scenario answers this request. Nearest: " + "; ".join(lines)
    body = {"error": {"code": "emulator_unmatched", "message": message, "nearest": found}}
    rendered = Rendered(render_body(body, 404, (("x-should-retry", "false"),)))
    return _Outcome("unmatched", Draw(session.seed, "unmatched", grant.number), rendered, nearest=found)


def _cannot_conform(turn: Turn, error: CannotConform) -> _Outcome:
    """Say in words of our own that no built-in answer conforms to what was asked for: 404, not to be retried."""
    message = f"The built-in answer would not conform to {error}. A scenario can answer this request."
    body = {"error": {"code": "emulator_cannot_conform", "message": message}}
    rendered = Rendered(render_body(body, 404, (("x-should-retry", "false"),)), notes=(Note(None, "reply", message),))
    return _Outcome("unmatched", turn.draw, rendered, turn.model)


def _replay(session: Session, provider: Provider, grant: Grant) -> _Outcome | None:
    """Answer with the frames of the first answer to this idempotency key, and fresh headers."""
    first = grant.replay
    if first is None:
        return None
    fresh = {name.lower() for name, _ in provider.headers}
    kept = tuple(
        item for item in first.timeline.headers if item[0] not in fresh and not item[0].startswith("x-emulator-")
    )
    frames = tuple(frame for frame in first.timeline.frames if frame.kind != "hold")  # a silence without end is over
    head_at = 0.0 if first.timeline.head_at == FOREVER else first.timeline.head_at
    timeline = replace(first.timeline, headers=kept, frames=frames, head_at=head_at)
    rendered = Rendered(timeline, first.usage, 0, first.finish_reason, first.notes)
    draw = Draw(session.seed, "replay", grant.number)
    headers = (("x-emulator-replayed", "true"),)
    return _Outcome(first.rule, draw, rendered, first.model, first.rule_id, first.reply, headers=headers)


def _refused(
    session: Session, provider: Provider, request: Request, claim: Claim, grant: Grant, refusal: Refusal
) -> _Outcome:
    draw = Draw(session.seed, "refused" if grant.n else "withheld", grant.n or grant.number)
    listed = _is_listed(provider, request, claim.wire)
    rendered = Rendered(_error(provider, refusal, draw, request, listed=listed))
    headers = tuple(refusal.headers.items())
    if not {"empty", "text"}.isdisjoint(provider.errors[refusal.name]) and refusal.message:
        headers = (*headers, ("x-emulator-hint", one_line(refusal.message)))
    return _Outcome("refused", draw, rendered, refusal=refusal, headers=headers)


def _exchange(
    session: Session, provider: Provider, request: Request, claim: Claim, grant: Grant, outcome: _Outcome
) -> Exchange:
    """Add the documented headers, the reply's own, and ours; a header that the reply sets is not sent twice."""
    rendered, refusal = outcome.rendered, outcome.refusal
    documented = documented_headers(
        provider, claim, grant.standing, outcome.draw, rendered.timeline, outcome.model, outcome.spent
    )
    if outcome.headers:
        asked = {name for name, _ in outcome.headers}
        documented = tuple(item for item in documented if item[0] not in asked)
    ours = (("x-emulator-exchange", str(grant.number)), ("x-emulator-rule", outcome.rule))
    headers = (*rendered.timeline.headers, *documented, *outcome.headers, *ours)
    return Exchange(
        claim,
        replace(grant, exchanges=()) if grant.exchanges else grant,
        request,
        rendered.timeline.headed(headers),
        outcome.rule,
        outcome.rule_id,
        outcome.reply,
        session.seed,
        (*(claim.call.notes if claim.call and not grant.replay else ()), *rendered.notes),
        _named(provider, refusal, rendered.timeline.status) if refusal else None,
        tuple(outcome.nearest),
        rendered.usage,
        rendered.tokens,
        rendered.finish_reason,
        outcome.model,
        proxied=outcome.proxied,
        keeping=outcome.keeping,
        later=replace(rendered.later, at=request.at + rendered.later.at) if rendered.later else None,
    )


# Refusals and headers


def _is_listed(provider: Provider, request: Request, wire: Wire | None) -> bool:
    """Tell whether an error is the one item of a list: it takes the place of a stream that is an array."""
    if wire is None or wire.framing(request.query) != "array":
        return False
    route = (provider.routes.find(request.path) or {}).get(request.method)
    return route is not None and route.streams


def _error(
    provider: Provider, refusal: Refusal, draw: Draw, request: Request, reply: Reply = PLAIN, listed: bool = False
) -> Timeline:
    given = provider.errors[refusal.name]
    status, latency = reply.status or given["status"], reply.latency.draw(draw, "latency")
    if given.get("empty"):
        return whole(b"", status, (), latency)
    if "text" in given:
        return whole(given["text"].encode(), status, (("content-type", "text/plain"),), latency)
    body = provider.error_body(refusal, render_id(provider, "request", draw, request.at), request.path)
    return render_body([body] if listed else body, status, (), latency)


def _named(provider: Provider, refusal: Refusal, status: int) -> tuple[str, int, Refusal]:
    refusal.__traceback__ = None
    refusal.final = provider.errors[refusal.name].get("final", False)
    if refusal.fact is None:
        refusal.fact = provider.errors[refusal.name].get("fact")
    return refusal.name, status, refusal
