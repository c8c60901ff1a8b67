"""What a claim comes to: the reply of a rule, the built-in one, a first answer again, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from emulator.core.answer import reply as replies
from emulator.core.answer.render import PLAIN, PROXY, Rendered, Turn, in_our_words, render_body, render_id, whole
from emulator.core.answer.stored import keeping_of
from emulator.core.durations import FOREVER, Wait
from emulator.core.engine.limits import documented_headers, one_line
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
from emulator.core.values import Call, Claim, Exchange, Grant, Headers, Note, Request, Timeline
from emulator.core.wires.wire import Wire


@frozen
class Granted:
    """What a claim was granted, and what else its answer depends on; `draws` makes the draws of a rule's claim."""

    session: Session
    provider: Provider
    request: Request
    claim: Claim
    grant: Grant
    draws: Callable[..., Draw] = Draw
    notes: tuple[Note, ...] = ()  # that stand before those of the reply

    @property
    def settings(self) -> Settings:
        return self.session.settings[self.provider.name]

    def draw(self, name: str) -> Draw:
        """Return the draws of an answer that no claim of a rule is counted for."""
        return Draw(self.session.seed, name, self.grant.number)

    def exchange(
        self, rule: str, draw: Draw, rendered: Rendered, model: str = "", *, rule_id: str | None = None,
        reply: int | None = None, refusal: Refusal | None = None, nearest: Sequence[Mapping[str, Json]] = (),
        headers: Headers = (), spent: bool = False, proxied: bool = False, keeping: Keeping | None = None,
    ) -> Exchange:  # fmt: skip
        """Add the documented headers, the reply's own, and ours; a header that the reply sets is not sent twice.

        `spent` shows a limit as used up.
        """
        provider, claim, grant, timeline = self.provider, self.claim, self.grant, rendered.timeline
        documented = documented_headers(provider, claim, grant.standing, draw, timeline, model, spent)
        if headers:
            asked = {name for name, _ in headers}
            documented = tuple(item for item in documented if item[0] not in asked)
        ours = (("x-emulator-exchange", str(grant.number)), ("x-emulator-rule", rule))
        return Exchange(
            claim, replace(grant, exchanges=()) if grant.exchanges else grant, self.request,
            timeline.headed((*timeline.headers, *documented, *headers, *ours)), rule, rule_id, reply, self.session.seed,
            (*(claim.call.notes if claim.call and not grant.replay else ()), *self.notes, *rendered.notes),
            _named(provider, refusal, timeline.status) if refusal else None, tuple(nearest),
            rendered.usage, rendered.tokens, rendered.finish_reason, model, proxied=proxied, keeping=keeping,
            later=replace(rendered.later, at=self.request.at + rendered.later.at) if rendered.later else None,
        )  # fmt: skip


def _named(provider: Provider, refusal: Refusal, status: int) -> tuple[str, int, Refusal]:
    refusal.__traceback__ = None
    refusal.final = provider.errors[refusal.name].get("final", False)
    if refusal.fact is None:
        refusal.fact = provider.errors[refusal.name].get("fact")
    return refusal.name, status, refusal


def scripted(asked: Granted, call: Call, rule: Rule | None, otherwise: str = "built-in") -> Exchange:
    """Answer with the reply of a rule, or without one with the built-in or the upstream's, unless chaos strikes."""
    session, provider, grant = asked.session, asked.provider, asked.grant
    index = rule.reply_at(grant.turn) if rule else None
    at, name = (rule.at, rule.id) if rule else (otherwise, otherwise)
    draw = asked.draws(session.seed, name, grant.n)
    turn = replies.turn_for(provider, asked.settings, call, draw, session.seed)
    chaos = strikes(session.chaos_for(provider.name, call.operation), call, draw)
    reply = chaos.error or (rule.replies[index] if rule and index is not None else _OTHERWISE[otherwise])
    content, headers, missing = _filled(turn, asked, reply)
    refusal = replies.scripted_error(turn, reply, content)
    try:
        if refusal:
            rendered = _error(asked, refusal, draw, turn.operation.wire, reply)
        else:
            rendered = replies.render_reply(turn, reply, content, grant.exchanges)
    except CannotConform as error:
        message = f"The built-in answer would not conform to {error}. A scenario can answer this request."
        told = Rendered(in_our_words("cannot_conform", message), notes=(Note(None, "reply", message),))
        return asked.exchange("unmatched", draw, told, turn.model)
    proxied = reply.kind == "proxy"
    waits = _waits_for_comments(provider, rendered.timeline)
    if (missing or reply.faults or chaos.any or waits) and not proxied:  # no fault can strike what is passed on
        rendered = _struck(turn, reply, rendered, chaos, missing, f"seed {session.seed}, rule {name}, n {grant.n}")
    keeping = None if refusal else keeping_of(turn, rendered)
    unfit = [note for note in misfits(turn, reply, content) if note.fact not in asked.settings.muted] if rule else ()
    if unfit:
        rendered = replace(rendered, notes=(*rendered.notes, *unfit))
    return asked.exchange(
        at, draw, rendered, turn.model, rule_id=rule.id if rule else None, reply=index, refusal=refusal,
        headers=headers, spent=refusal is not None and refusal.name == "rate_limited", proxied=proxied, keeping=keeping,
    )  # fmt: skip


#: What answers where no rule does.
_OTHERWISE = {"built-in": PLAIN, "proxy": PROXY}


def relayed(asked: Granted) -> Exchange:
    """Leave the answer to the upstream."""
    model = asked.claim.call.model if asked.claim.call else ""
    rendered = Rendered(replies.no_upstream(asked.provider.name))
    return asked.exchange("proxy", asked.draw("proxy"), rendered, model, proxied=True)


def _filled(turn: Turn, asked: Granted, reply: Reply) -> tuple[Json, Headers, list[str]]:
    """Return a reply's content and headers, its templates filled, and what was missing for them."""
    missing: list[str] = []
    content, headers = replies.fill_reply(reply, lambda: replies.scope_of(turn, asked.settings, asked.grant), missing)
    own = [(name.lower(), one_line(value)) for name, value in headers.items()]
    in_body = reply.kind == "error" and replies.tells_when(turn.provider, content)
    if reply.retry_after is not None and "retry-after" not in dict(own) and not in_body:
        own += turn.provider.retry_headers(reply.retry_after).items()
    return content, tuple(own), missing


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


def unmatched(asked: Granted, call: Call, rules: Sequence[Rule]) -> Exchange:
    """Refuse what no rule answers, with the nearest rules."""
    known = {item.rule for item in asked.claim.candidates if item.model in ("", call.model)}
    found = nearest_rules(rules, call, asked.grant.state, known)
    lines = [f"{item['rule']} ({item['id']}): {difference_text(item['differences'])}" for item in found]
    message = "No rule of the scenario answers this request. Nearest: " + "; ".join(lines)
    rendered = Rendered(in_our_words("unmatched", message, nearest=found))
    return asked.exchange("unmatched", asked.draw("unmatched"), rendered, nearest=found)


def replayed(asked: Granted, first: Exchange) -> Exchange:
    """Answer with the frames of the first answer to this idempotency key, and fresh headers."""
    fresh = {name.lower() for name, _ in asked.provider.headers}
    kept = tuple(one for one in first.timeline.headers if one[0] not in fresh and not one[0].startswith("x-emulator-"))
    frames = tuple(frame for frame in first.timeline.frames if frame.kind != "hold")  # a silence without end is over
    head_at = 0.0 if first.timeline.head_at == FOREVER else first.timeline.head_at
    timeline = replace(first.timeline, headers=kept, frames=frames, head_at=head_at)
    again = Rendered(timeline, first.usage, 0, first.finish_reason, first.notes)
    return asked.exchange(
        first.rule, asked.draw("replay"), again, first.model, rule_id=first.rule_id, reply=first.reply,
        headers=(("x-emulator-replayed", "true"),),
    )  # fmt: skip


def refused(asked: Granted, refusal: Refusal) -> Exchange:
    provider, grant = asked.provider, asked.grant
    draw = Draw(asked.session.seed, "refused" if grant.n else "withheld", grant.n or grant.number)
    headers = tuple(refusal.headers.items())
    if not {"empty", "text"}.isdisjoint(provider.errors[refusal.name]) and refusal.message:
        headers = (*headers, ("x-emulator-hint", one_line(refusal.message)))
    rendered = _error(asked, refusal, draw, asked.claim.wire)
    return asked.exchange("refused", draw, rendered, refusal=refusal, headers=headers)


def _error(asked: Granted, refusal: Refusal, draw: Draw, wire: Wire | None, reply: Reply = PLAIN) -> Rendered:
    """Render an error: the one item of a list, where it takes the place of a stream that is an array."""
    provider, request = asked.provider, asked.request
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
