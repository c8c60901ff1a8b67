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
from emulator.core.engine.limits import check_grant
from emulator.core.engine.outcome import Granted, refused, relayed, replayed, scripted, unmatched
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
        asked = Granted(session, self.providers[claim.provider], request, claim, grant, draws)
        if claim.relay:
            return relayed(asked)
        try:
            if claim.refusal:
                raise claim.refusal
            check_grant(asked.provider, claim, grant)
            return replayed(asked, grant.replay) if grant.replay else _reply(asked)
        except Refusal as refusal:
            return refused(asked, refusal)


def _reply(asked: Granted) -> Exchange:
    """Answer as the model that is asked, which may be another where the first one fails, and say so."""
    call, candidate = asked.claim.call, asked.grant.candidate
    if call is None:
        raise TypeError("a claim without a call was granted a reply")
    chosen = None if candidate is None else asked.claim.candidates[candidate]
    if chosen is None or chosen.model in ("", call.model):
        return _answered(asked, call, chosen)
    fallbacks = asked.provider.operations[call.operation].fallbacks
    message = f"{shown(chosen.model)} was asked, since the scenario has {shown(call.model)} fail"
    note = Note(fallbacks.fact, fallbacks.models, message) if fallbacks else Note(None, "model", message)
    return _answered(replace(asked, notes=(note,)), call.asking(chosen.model), chosen)


def _answered(asked: Granted, call: Call, chosen: Candidate | None) -> Exchange:
    """Answer with the rule that was granted, or where no rule concerns the operation, with the built-in reply."""
    index = asked.session.rules_for(asked.provider.name, call.operation)
    if chosen and chosen.rule in index.by_id:
        return scripted(asked, call, index.by_id[chosen.rule])
    if asked.provider.operations[call.operation].answer_unasked(call.body) is not None:
        return scripted(asked, call, None)
    otherwise = asked.settings.unmatched if index.rules else "built-in"
    if otherwise == "refuse":
        return unmatched(asked, call, index.rules)
    return scripted(asked, call, None, otherwise)
