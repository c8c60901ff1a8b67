"""What was answered before and can be answered alike: forms of answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from emulator.core.answer.compiled import FROM, SHAPES, UNTIL, CompiledAnswer, compile_form, echoed
from emulator.core.answer.render import PLAIN
from emulator.core.cache import LruCache
from emulator.core.errors import Json
from emulator.core.scenario.session import Session
from emulator.core.seeded_random import series
from emulator.core.values import Claim, Exchange, Grant, Request

#: How many forms are remembered.
MOST_FORMS = 256
#: Session, provider, operation, rule, number of the reply, path parameters, what else of the call it depends on, and
#: what it repeats of it.
_Name = tuple[Session, str, str | None, str, int, tuple[str, ...], Json, str | bytes]


class AnswerCache:
    """Remembers forms by what they depend on."""

    def __init__(self, answer: Callable[..., Exchange], again: Callable[..., Exchange]) -> None:
        self._answer = answer
        self._again = again
        self._forms: LruCache[_Name, CompiledAnswer | Literal["seen", "unfit"]] = LruCache(MOST_FORMS)

    def compiled(self, session: Session, request: Request, claim: Claim, grant: Grant) -> CompiledAnswer | None:
        """Return the answer as a form where one like it was given before."""
        call, unusual = claim.call, claim.idempotency or claim.history or session.chaos or grant.standing.exceeded
        if call is None or unusual or request.recalled or not FROM <= request.at < UNTIL:
            return None
        if claim.wire and claim.wire.kept and claim.wire.request.conversation(call.body):
            return None  # the next one goes on from this one
        index = session.rules_for(claim.provider, call.operation)
        if grant.candidate is None and index.rules:
            return None
        chosen = claim.candidates[grant.candidate] if grant.candidate is not None else None
        if chosen and chosen.model:
            return None  # who answers depends on how often others failed
        rule = index.by_id[chosen.rule] if chosen else None
        number = rule.reply_at(grant.turn) if rule else 0
        reply = rule.replies[number] if rule else PLAIN
        shape = SHAPES.get(reply.kind)
        if shape is None or reply.fill or reply.faults:
            return None
        rule_id = rule.id if rule else "built-in"
        params = tuple(call.params.values()) if call.params else ()
        name = (session, claim.provider, claim.operation, rule_id, number, params, shape(call), echoed(claim))
        compiled = self._forms.get(name)
        if compiled is None:
            self._forms.put(name, "seen")
        elif compiled == "seen":
            draws = series(session.seed, rule_id)
            answer, again = partial(self._answer, session), partial(self._again, session)
            compiled = compile_form(answer, request, claim, grant, draws, again) or "unfit"
            self._forms.put(name, compiled)
        return compiled if isinstance(compiled, CompiledAnswer) else None

    def forget(self, session: Session) -> None:
        """Let go of what was remembered of a session that is gone."""
        self._forms.drop(lambda name: name[0] is session)
