"""What was answered before and can be answered alike: forms of answers, and requests that are known to get them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from emulator.core.draws import Draw
from emulator.core.form import FROM, SHAPES, UNTIL, Form, compile_form
from emulator.core.memo import Memo
from emulator.core.render import PLAIN
from emulator.core.scenario import Rule
from emulator.core.session import Session
from emulator.core.wire import Claim, Exchange, Grant, Request

#: How many requests and forms are remembered, and the longest such body: bytes.
MOST_KNOWN = 512
MOST_FORMS = 256
LONGEST_KNOWN = 16_384


@dataclass(frozen=True, slots=True)
class Known:
    """A request that came before: what it claims, the rules of its candidates, and forms by candidate and reply."""

    claim: Claim
    body: bytes
    rules: tuple[Rule, ...]
    forms: dict[tuple[int | None, int], Form] = field(default_factory=dict)

    def form(self, grant: Grant) -> Form | None:
        """Return the form of what was granted, if it is known."""
        if grant.standing.exceeded:
            return None
        candidate = grant.candidate
        return self.forms.get((candidate, 0 if candidate is None else self.rules[candidate].reply_at(grant.turn)))


class Repeats:
    """Remembers forms by what they depend on, and known requests by session, head and body."""

    def __init__(self, answer: Callable[..., Exchange], again: Callable[..., Exchange]) -> None:
        self._answer = answer
        self._again = again
        self._known: Memo[Known] = Memo(MOST_KNOWN)
        self._forms: Memo[Form | Literal["seen", "unfit"]] = Memo(MOST_FORMS)

    def recall(self, session: Session, head: Hashable, body: bytes, at: float) -> Known | None:
        """Return what is known of a request that is the same as one before."""
        return self._known.get((session, head, body)) if FROM <= at < UNTIL else None

    def form(self, session: Session, head: Hashable, request: Request, claim: Claim, grant: Grant) -> Form | None:
        """Return the answer as a form where one like it was given before; remember it for the same request."""
        call, unusual = claim.call, claim.idempotency or claim.history or session.chaos or grant.standing.exceeded
        if call is None or unusual or not FROM <= request.at < UNTIL:
            return None
        index = session.rules_for(claim.provider, call.operation)
        rules = tuple(index.by_id[item.rule] for item in claim.candidates)
        if grant.candidate is None and index.rules:
            return None
        rule = rules[grant.candidate] if grant.candidate is not None else None
        number = rule.reply_at(grant.turn) if rule else 0
        form = self._compiled(session, rule, number, request, claim, grant)
        if form and index.steady and len(request.body) <= LONGEST_KNOWN:
            name = (session, head, request.body)
            known = self._known.get(name)
            if known is None:
                known = Known(claim, request.body, rules)
                self._known.put(name, known)
            known.forms[grant.candidate, number] = form
        return form

    def _compiled(
        self, session: Session, rule: Rule | None, number: int, request: Request, claim: Claim, grant: Grant
    ) -> Form | None:
        """Return a form that is there, or compile one when an answer like it is given for the second time."""
        reply = rule.replies[number] if rule else PLAIN
        shape = SHAPES.get(reply.kind)
        if claim.call is None or shape is None or reply.fill or reply.faults:
            return None
        rule_id = rule.id if rule else "built-in"
        name = (session, claim.provider, claim.operation, rule_id, number, shape(claim.call))
        form = self._forms.get(name)
        if form is None:
            self._forms.put(name, "seen")
        elif form == "seen":
            draws = partial(Draw, session.seed, rule_id)
            answer, again = partial(self._answer, session), partial(self._again, session)
            form = compile_form(answer, request, claim, grant, draws, again) or "unfit"
            self._forms.put(name, form)
        return form if isinstance(form, Form) else None
