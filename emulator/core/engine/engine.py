"""The engine: what a request asks of the store, and what it is answered. Only `answer` answers a Refusal.

claim(request) -> Claim     route, authenticate, decode, validate, find the rules that could answer
answer(claim, grant) -> Exchange     reply, render, faults, headers

Both are pure; `answer_cache` remembers only what would be found again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from emulator.core.answer.compiled import AnswerCache
from emulator.core.answer.computed import LOOK_BACK
from emulator.core.engine.access import authenticate, route
from emulator.core.engine.limits import check_grant, documented_headers
from emulator.core.engine.outcome import Outcome, refused, relayed, replayed, scripted, unmatched
from emulator.core.engine.stored_lookup import recalling
from emulator.core.engine.understand import idempotency_of, understand
from emulator.core.errors import Refusal, shown
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.candidates import candidates, with_fallbacks
from emulator.core.scenario.session import Session
from emulator.core.seeded_random import Draw
from emulator.core.store import KeptAnswers
from emulator.core.values import Call, Candidate, Claim, Exchange, Grant, Note, Request


class Engine:
    """Decides for all providers; holds nothing that changes what it decides."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        self.prefixes = {item.title: item.key_prefix for item in providers.values()}
        self.answer_cache = AnswerCache(self.answer, self.again)

    def recalling(self, request: Request, store: KeptAnswers) -> Coroutine[Any, Any, bytes] | None:
        """Return what finds what a request names of the kept answers; it is awaited before the request is claimed."""
        provider = self.providers[request.provider]
        return recalling(provider, request, store, request.session) if provider.keeps else None

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
            return _exchange(session, provider, request, claim, grant, relayed(session, claim, grant))
        try:
            if claim.refusal:
                raise claim.refusal
            check_grant(provider, claim, grant)
            outcome = replayed(session, provider, grant) or self._reply(session, claim, grant, draws)
        except Refusal as refusal:
            outcome = refused(session, provider, request, claim, grant, refusal)
        return _exchange(session, provider, request, claim, grant, outcome)

    def _reply(self, session: Session, claim: Claim, grant: Grant, draws: Callable[..., Draw]) -> Outcome:
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
    ) -> Outcome:  # fmt: skip
        """Answer with the rule that was granted, or where no rule concerns the operation, with the built-in reply."""
        provider, settings = self.providers[claim.provider], session.settings[claim.provider]
        index = session.rules_for(claim.provider, call.operation)
        if chosen and chosen.rule in index.by_id:
            return scripted(session, provider, call, grant, index.by_id[chosen.rule], draws)
        if provider.operations[call.operation].answer_unasked(call.body) is not None:
            return scripted(session, provider, call, grant, None, draws)
        if index.rules and settings.unmatched == "refuse":
            return unmatched(session, call, claim, grant, index.rules)
        otherwise = "proxy" if index.rules and settings.unmatched == "proxy" else "built-in"
        return scripted(session, provider, call, grant, None, draws, otherwise)


def _exchange(
    session: Session, provider: Provider, request: Request, claim: Claim, grant: Grant, outcome: Outcome
) -> Exchange:
    """Add the documented headers, the reply's own, and ours; a header that the reply sets is not sent twice."""
    rendered, refusal, draw, model = outcome.rendered, outcome.refusal, outcome.draw, outcome.model
    documented = documented_headers(provider, claim, grant.standing, draw, rendered.timeline, model, outcome.spent)
    if outcome.headers:
        asked = {name for name, _ in outcome.headers}
        documented = tuple(item for item in documented if item[0] not in asked)
    ours = (("x-emulator-exchange", str(grant.number)), ("x-emulator-rule", outcome.rule))
    headers = (*rendered.timeline.headers, *documented, *outcome.headers, *ours)
    return Exchange(
        claim, replace(grant, exchanges=()) if grant.exchanges else grant, request, rendered.timeline.headed(headers),
        outcome.rule, outcome.rule_id, outcome.reply, session.seed,
        (*(claim.call.notes if claim.call and not grant.replay else ()), *rendered.notes),
        _named(provider, refusal, rendered.timeline.status) if refusal else None, tuple(outcome.nearest),
        rendered.usage, rendered.tokens, rendered.finish_reason, outcome.model, proxied=outcome.proxied,
        keeping=outcome.keeping,
        later=replace(rendered.later, at=request.at + rendered.later.at) if rendered.later else None,
    )  # fmt: skip


def _named(provider: Provider, refusal: Refusal, status: int) -> tuple[str, int, Refusal]:
    refusal.__traceback__ = None
    refusal.final = provider.errors[refusal.name].get("final", False)
    if refusal.fact is None:
        refusal.fact = provider.errors[refusal.name].get("fact")
    return refusal.name, status, refusal
