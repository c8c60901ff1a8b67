"""A request that found its provider, and what is kept of one that was answered at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emulator.core.form import Form
from emulator.core.wire import Exchange, Grant, Request, Sent
from emulator.server.reader import Head
from emulator.server.worlds import Address


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where requests with a head go; `path` and `query` as they were sent."""

    head: Head
    address: Address
    path: str
    query: str
    version: int  # of the worlds that it was found in

    def request(self, session: str, body: bytes, at: float, real: float, too_large: bool = False) -> Request:
        """Return the request that a body makes of it; `real` in seconds of a steady clock."""
        head, address = self.head, self.address
        return Request(
            session, address.provider, head.method, address.path, self.query, head.headers, body, at, self.path,
            address.base_url, too_large, address.addressed, real,
        )  # fmt: skip


@dataclass(slots=True)
class Repeated:
    """Implements Sketch: a request that was answered from a form, at once, `passed` seconds after it."""

    form: Form
    grant: Grant
    located: Located
    session: str
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
        request = self.located.request(self.session, self.body, self.at, self.real)
        made = self.form.again(request, self.grant)
        times = (self.passed,) * len(made.timeline.frames)
        sent = Sent(self.form.size, times, "complete", self.passed, self.real + self.passed)
        return replace(made, sent=sent)
