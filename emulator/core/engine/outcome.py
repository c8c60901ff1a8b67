"""What a claim comes to before headers: the reply of a rule, the built-in one, a first answer again, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from emulator.core.answer import reply as replies
from emulator.core.answer.render import PLAIN, PROXY, Rendered, Turn, in_our_words, render_body, render_id, whole
from emulator.core.answer.stored import keeping_of
from emulator.core.durations import FOREVER, Wait
from emulator.core.engine.limits import one_line
from emulator.core.engine.unasked_replies import misfits
from emulator.core.errors import Json, Refusal
from emulator.core.faults.faults import OWN, Fault, apply
from emulator.core.frozen import frozen
from emulator.core.provider.provider import Provider
from emulator.core.scenario.candidates import difference_text, nearest_rules
from emulator.core.scenario.scenario import Reply, Rule, Strikes, strikes
from emulator.core.scenario.session import Session, Settings
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.seeded_random import Draw
from emulator.core.stored_answers import Keeping
from emulator.core.values import Call, Claim, Grant, Headers, Note, Request, Timeline
from emulator.core.wires.wire import Wire


@frozen
class Outcome:
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


def scripted(
    session: Session, provider: Provider, call: Call, grant: Grant, rule: Rule | None, draws: Callable[..., Draw],
    otherwise: str = "built-in",
) -> Outcome:  # fmt: skip
    """Answer with the reply of a rule, or without one with the built-in or the upstream's, unless chaos strikes."""
    settings = session.settings[provider.name]
    index = rule.reply_at(grant.turn) if rule else None
    at, name = (rule.at, rule.id) if rule else (otherwise, otherwise)
    turn = replies.turn_for(provider, settings, call, draws(session.seed, name, grant.n), session.seed)
    chaos = strikes(session.chaos_for(provider.name, call.operation), call, turn.draw)
    reply = chaos.error or (rule.replies[index] if rule and index is not None else _OTHERWISE[otherwise])
    content, headers, missing = _filled(turn, settings, grant, reply)
    refusal = replies.scripted_error(turn, reply, content)
    try:
        if refusal:
            rendered = _error(provider, refusal, turn.draw, call.request, turn.operation.wire, reply)
        else:
            rendered = replies.render_reply(turn, reply, content, grant.exchanges)
    except CannotConform as error:
        message = f"The built-in answer would not conform to {error}. A scenario can answer this request."
        told = Rendered(in_our_words("cannot_conform", message), notes=(Note(None, "reply", message),))
        return Outcome("unmatched", turn.draw, told, turn.model)
    proxied = reply.kind == "proxy"
    waits = _waits_for_comments(provider, rendered.timeline)
    if (missing or reply.faults or chaos.any or waits) and not proxied:  # no fault can strike what is passed on
        rendered = _struck(turn, reply, rendered, chaos, missing, f"seed {session.seed}, rule {name}, n {grant.n}")
    spent = refusal is not None and refusal.name == "rate_limited"
    rule_id = rule.id if rule else None
    keeping = None if refusal else keeping_of(turn, rendered)
    if rule and (unfit := [note for note in misfits(turn, reply, content) if note.fact not in settings.muted]):
        rendered = replace(rendered, notes=(*rendered.notes, *unfit))
    return Outcome(at, turn.draw, rendered, turn.model, rule_id, index, refusal, (), headers, spent, proxied, keeping)


#: What answers where no rule does.
_OTHERWISE = {"built-in": PLAIN, "proxy": PROXY}


def relayed(session: Session, claim: Claim, grant: Grant) -> Outcome:
    """Leave the answer to the upstream."""
    model = claim.call.model if claim.call else ""
    rendered = Rendered(replies.no_upstream(claim.provider))
    return Outcome("proxy", Draw(session.seed, "proxy", grant.number), rendered, model, proxied=True)


def _filled(turn: Turn, settings: Settings, grant: Grant, reply: Reply) -> tuple[Json, Headers, list[str]]:
    """Return a reply's content and headers, its templates filled, and what was missing for them."""
    missing: list[str] = []
    content, headers = replies.fill_reply(reply, lambda: replies.scope_of(turn, settings, grant), missing)
    asked = [(name.lower(), one_line(value)) for name, value in headers.items()]
    in_body = reply.kind == "error" and replies.tells_when(turn.provider, content)
    if reply.retry_after is not None and "retry-after" not in dict(asked) and not in_body:
        asked += turn.provider.retry_headers(reply.retry_after).items()
    return content, tuple(asked), missing


def _struck(turn: Turn, reply: Reply, rendered: Rendered, chaos: Strikes, lost: Sequence[str], drawn: str) -> Rendered:
    """Let the reply's faults and those of chaos strike, all in one order, and note what is worth knowing."""
    own = {f"fault/{number}": fault for number, fault in enumerate(reply.faults)}
    wire, faults, errors = turn.operation.wire, {**own, **chaos.faults}, partial(replies.error_events, turn)
    spoken = (wire.is_piece, wire.keep_alive(turn.call.request.query)) if wire else ()
    if wire and turn.provider.comment:
        text, every = turn.provider.comment
        spoken = (wire.is_piece, text)
        if not any(fault.kind == "comment" for fault in faults.values()):
            faults[OWN] = Fault("comment", {"every": Wait("fixed", every)})
    timeline, idle = apply(rendered.timeline, faults, turn.draw, errors, *spoken)
    notes = [Note(None, "reply", text) for text in lost]
    vain = [own[label].kind for label in idle if label in own]
    notes += [Note(None, "faults", f"the fault {kind} had nothing to act on here") for kind in vain]
    return replace(rendered, timeline=timeline, notes=(*rendered.notes, *notes, *chaos.notes(idle, drawn)))


def _waits_for_comments(provider: Provider, timeline: Timeline) -> bool:
    """Tell whether a stream waits so long that its API sends comments by itself."""
    if provider.comment is None or not timeline.stream:
        return False
    return timeline.endless or timeline.end_at - timeline.head_at > provider.comment[1]


def unmatched(session: Session, call: Call, claim: Claim, grant: Grant, rules: Sequence[Rule]) -> Outcome:
    """Refuse what no rule answers, with the nearest rules."""
    asked = {item.rule for item in claim.candidates if item.model in ("", call.model)}
    found = nearest_rules(rules, call, grant.state, asked)
    lines = [f"{item['rule']} ({item['id']}): {difference_text(item['differences'])}" for item in found]
    message = "No rule of the scenario answers this request. Nearest: " + "; ".join(lines)
    rendered = Rendered(in_our_words("unmatched", message, nearest=found))
    return Outcome("unmatched", Draw(session.seed, "unmatched", grant.number), rendered, nearest=found)


def replayed(session: Session, provider: Provider, grant: Grant) -> Outcome | None:
    """Answer with the frames of the first answer to this idempotency key, and fresh headers."""
    first = grant.replay
    if first is None:
        return None
    fresh = {name.lower() for name, _ in provider.headers}
    kept = tuple(one for one in first.timeline.headers if one[0] not in fresh and not one[0].startswith("x-emulator-"))
    frames = tuple(frame for frame in first.timeline.frames if frame.kind != "hold")  # a silence without end is over
    head_at = 0.0 if first.timeline.head_at == FOREVER else first.timeline.head_at
    timeline = replace(first.timeline, headers=kept, frames=frames, head_at=head_at)
    rendered = Rendered(timeline, first.usage, 0, first.finish_reason, first.notes)
    draw = Draw(session.seed, "replay", grant.number)
    headers = (("x-emulator-replayed", "true"),)
    return Outcome(first.rule, draw, rendered, first.model, first.rule_id, first.reply, headers=headers)


def refused(
    session: Session, provider: Provider, request: Request, claim: Claim, grant: Grant, refusal: Refusal
) -> Outcome:
    draw = Draw(session.seed, "refused" if grant.n else "withheld", grant.n or grant.number)
    rendered = _error(provider, refusal, draw, request, claim.wire)
    headers = tuple(refusal.headers.items())
    if not {"empty", "text"}.isdisjoint(provider.errors[refusal.name]) and refusal.message:
        headers = (*headers, ("x-emulator-hint", one_line(refusal.message)))
    return Outcome("refused", draw, rendered, refusal=refusal, headers=headers)


def _error(
    provider: Provider, refusal: Refusal, draw: Draw, request: Request, wire: Wire | None, reply: Reply = PLAIN
) -> Rendered:
    """Render an error: the one item of a list, where it takes the place of a stream that is an array."""
    given = provider.errors[refusal.name]
    status, latency = reply.status or given["status"], reply.latency.draw(draw, "latency")
    if given.get("empty"):
        return Rendered(whole(b"", status, (), latency))
    if "text" in given:
        return Rendered(whole(given["text"].encode(), status, (("content-type", "text/plain"),), latency))
    body = provider.error_body(refusal, render_id(provider, "request", draw, request.at), request.path)
    if wire and wire.framing(request.query) == "array":
        route = (provider.routes.find(request.path) or {}).get(request.method)
        body = [body] if route and route.streams else body
    return Rendered(render_body(body, status, (), latency))
