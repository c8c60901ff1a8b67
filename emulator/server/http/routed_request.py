"""Requests that found their provider: where they go, what is known of one that comes again, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from emulator.core.answer.compiled import CompiledAnswer
from emulator.core.frozen import frozen
from emulator.core.scenario.scenario import Rule
from emulator.core.scenario.session import Session
from emulator.core.values import Claim, Exchange, Grant, Request, Sent
from emulator.server.http.reader import Head, Message
from emulator.server.real_time import monotonic
from emulator.server.sessions.live import Address


@frozen
class RoutedRequest:
    """Where requests with a head go; `path` and `query` as they were sent."""

    head: Head
    address: Address
    path: str
    query: str

    def request_now(self, message: Message) -> Request:
        """Return the request that a message makes of it, at its session's time."""
        return self.request(message.body, self.address.live.clock.now(), monotonic(), message.too_large)

    def request(self, body: bytes, at: float, real: float, too_large: bool = False) -> Request:
        """Return the request that a body makes of it; `real` in seconds of a steady clock."""
        head, address = self.head, self.address
        return Request(
            address.live.session.id, address.provider, head.method, address.path, self.query, head.headers, body, at,
            self.path, address.base_url, too_large, address.addressed, real,
        )  # fmt: skip


@frozen
class KnownRequest:
    """A request that came before: what it claims, the rules of its candidates, and forms by candidate and reply."""

    routed: RoutedRequest
    session: Session
    claim: Claim
    body: bytes
    rules: tuple[Rule, ...]
    compiled_answers: dict[tuple[int | None, int], CompiledAnswer] = field(default_factory=dict)

    def compiled(self, grant: Grant) -> CompiledAnswer | None:
        """Return the form of what was granted, if it is known."""
        return None if grant.standing.exceeded else self.compiled_answers.get(self._reply(grant))

    def learn(self, grant: Grant, compiled: CompiledAnswer) -> None:
        """Know the form of what was granted."""
        self.compiled_answers[self._reply(grant)] = compiled

    def _reply(self, grant: Grant) -> tuple[int | None, int]:
        candidate = grant.candidate
        return candidate, 0 if candidate is None else self.rules[candidate].reply_at(grant.turn)


@dataclass(slots=True)
class RepeatedRequest:
    """Implements Sketch: a request that was answered from a form, at once, `passed` seconds of its clock after it."""

    compiled: CompiledAnswer
    grant: Grant
    routed: RoutedRequest
    body: bytes
    at: float
    real: float
    passed: float = 0.0

    @property
    def size(self) -> int:
        """Bytes that are kept with it."""
        return len(self.body) + self.compiled.size

    def exchange(self) -> Exchange:
        request = self.routed.request(self.body, self.at, self.real)
        made = self.compiled.again(request, self.grant)
        times = (self.passed,) * len(made.timeline.frames)
        sent = Sent(self.compiled.size, times, "complete", self.passed, self.real + self.passed)
        return replace(made, sent=sent)


def origin(transport: Any, head: Head) -> str:
    """Return scheme and host, as this client reaches the server."""
    scheme = "https" if transport.get_extra_info("sslcontext") else "http"
    host = head.headers.get("host")
    if not host:
        name = transport.get_extra_info("sockname")
        host = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "localhost"
    return f"{scheme}://{host}"


def target(head: Head) -> tuple[str, str]:
    """Return path and query of a target; the host of an absolute one, as proxies send it, goes to the headers."""
    path, _, query = head.url.decode("latin-1").partition("?")
    if not path.startswith("/"):  # absolute; also `*` and an authority
        _, absolute, rest = path.partition("://")
        host, _, path = rest.partition("/") if absolute else ("", "", path)
        path, host = f"/{path}", host.rpartition("@")[2]  # who asks is told in a header, if at all
        if host:
            head.headers["host"] = host
    return path, query
