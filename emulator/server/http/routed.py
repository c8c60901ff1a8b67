"""Requests that found their provider: where they go, what is known of one that comes again, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from emulator.core.answer.compiled import Form
from emulator.core.frozen import frozen
from emulator.core.scenario.scenario import Rule
from emulator.core.scenario.session import Session
from emulator.core.values import Claim, Exchange, Grant, Request, Sent
from emulator.server.http.reader import Head
from emulator.server.sessions.live import Address


@frozen
class Located:
    """Where requests with a head go; `path` and `query` as they were sent."""

    head: Head
    address: Address
    path: str
    query: str

    def request(self, body: bytes, at: float, real: float, too_large: bool = False) -> Request:
        """Return the request that a body makes of it; `real` in seconds of a steady clock."""
        head, address = self.head, self.address
        return Request(
            address.world.session.id, address.provider, head.method, address.path, self.query, head.headers, body, at,
            self.path, address.base_url, too_large, address.addressed, real,
        )  # fmt: skip


@frozen
class Known:
    """A request that came before: what it claims, the rules of its candidates, and forms by candidate and reply."""

    located: Located
    session: Session
    claim: Claim
    body: bytes
    rules: tuple[Rule, ...]
    forms: dict[tuple[int | None, int], Form] = field(default_factory=dict)

    def form(self, grant: Grant) -> Form | None:
        """Return the form of what was granted, if it is known."""
        return None if grant.standing.exceeded else self.forms.get(self._reply(grant))

    def learn(self, grant: Grant, form: Form) -> None:
        """Know the form of what was granted."""
        self.forms[self._reply(grant)] = form

    def _reply(self, grant: Grant) -> tuple[int | None, int]:
        candidate = grant.candidate
        return candidate, 0 if candidate is None else self.rules[candidate].reply_at(grant.turn)


@dataclass(slots=True)
class Repeated:
    """Implements Sketch: a request that was answered from a form, at once, `passed` seconds of its clock after it."""

    form: Form
    grant: Grant
    located: Located
    body: bytes
    at: float
    real: float
    passed: float = 0.0

    @property
    def number(self) -> int:
        return self.grant.number

    @property
    def size(self) -> int:
        return len(self.body) + self.form.weight

    @property
    def tokens(self) -> int:
        return self.form.example.tokens

    def exchange(self) -> Exchange:
        request = self.located.request(self.body, self.at, self.real)
        made = self.form.again(request, self.grant)
        times = (self.passed,) * len(made.timeline.frames)
        sent = Sent(self.form.size, times, "complete", self.passed, self.real + self.passed)
        return replace(made, sent=sent)
