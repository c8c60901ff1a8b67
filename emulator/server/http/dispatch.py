"""Dispatch: a message finds its provider, is decided by the engine and the store, and gets what answers it.

Message -> engine.claim -> store.take -> engine.answer -> Player
                                    \\-> a form of what was answered alike before: bytes, at once
Message -> the control API | a wait for a shared store | an upstream
bytes that came before -> store.take -> a form
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from emulator.core.answer.compiled import FROM, UNTIL
from emulator.core.cache import LruCache
from emulator.core.store import StoreFailed, at_once
from emulator.core.values import Claim, Exchange, Grant, Request, Sent, Timeline
from emulator.server.http.connection import ClientSide, Connection, ServerFields
from emulator.server.http.player import Player
from emulator.server.http.reader import Head, Message
from emulator.server.http.routed_request import KnownRequest, RepeatedRequest, RoutedRequest, origin, target
from emulator.server.http.tasks import AsgiAnswer, AwaitedAnswer
from emulator.server.own_errors import OwnError, crash, failure, unknown_claim
from emulator.server.real_time import monotonic
from emulator.server.sessions.addresses import decoded
from emulator.server.sessions.clock import Clock
from emulator.server.sessions.live import LiveSession, LiveSessions, Sharing

if TYPE_CHECKING:
    from emulator.server.upstream.client import Upstream

log = logging.getLogger("emulator")

CONTROL = "/_emulator"
#: Heads of requests, whose way is known; whole requests, whose claim is, and the longest such: bytes.
MOST_LOCATED = 1024
MOST_KNOWN = 512
LONGEST_KNOWN = 16_384


class Dispatch:
    """Answers the messages of all connections of a server.

    `on_exchange` is told of an exchange (or one like it), how it ended and after how many seconds; `on_stray` of
    method, target and status of what reached no provider.
    """

    def __init__(
        self,
        sessions: LiveSessions,
        app: Any,
        on_exchange: Callable[[Exchange, str, float], None],
        on_stray: Callable[[str, str, int], None],
    ) -> None:
        self._sessions = sessions
        self._app = app
        self._on_exchange = on_exchange
        self._on_stray = on_stray
        self._routed: LruCache[Head, RoutedRequest] = LruCache(MOST_LOCATED)
        self._known: LruCache[bytes, KnownRequest] = LruCache(MOST_KNOWN)
        self._seen: set[int] = set()  # hashes of whole requests
        self._version = sessions.version  # of the sessions in which they were found
        self._fields = ServerFields()

    def repeat(self, connection: Connection, data: bytes) -> bool:
        """Answer a request that came before, byte for byte; tell whether these bytes are one."""
        known = self._known.get(data)
        if known is None or self._is_changed():
            return False
        routed, live = known.routed, known.routed.address.live
        at, real = live.clock.now(), monotonic()
        if known.session is not live.session or not FROM <= at < UNTIL:
            return False
        grant = self._sessions.store.take(known.claim, at)
        compiled = known.compiled(grant)
        if compiled:
            self._write(connection, known.claim, RepeatedRequest(compiled, grant, routed, known.body, at, real))
        else:
            message = Message(routed.head, known.body, data)
            self._decide(connection, message, routed, routed.request(known.body, at, real), grant)
        return True

    def answer(self, connection: Connection, message: Message) -> None:
        """Answer a message, at once or with what the connection plays from now on."""
        sharing = self._sessions.sharing
        routed = None if sharing or self._is_changed() else self._routed.get(message.head)
        if routed is None:
            path, query = target(message.head)
            if self._controls(connection, message, path, query):
                return
            locate = partial(self._locate, connection, message, path, query)
            if sharing:
                decided = self._decide_later(connection, message, sharing, locate)
                connection.current = AwaitedAnswer(connection, decided)
                return
            try:
                routed = locate()
            except OwnError as error:
                self._play_own(connection, message, error)
                return
        self._decide(connection, message, routed, routed.request_now(message))

    def _is_changed(self) -> bool:
        """Forget what was found if sessions came, went or changed since; tell whether they did."""
        changed = self._version != self._sessions.version
        if changed:
            self._version = self._sessions.version
            self._routed.clear()
            self._known.clear()
        return changed

    def _controls(self, connection: Connection, message: Message, path: str, query: str) -> bool:
        """Give a request to the control API if it is for it."""
        head = message.head  # the root leads a browser to the inspector
        browses = path == "/" and head.method == "GET" and "text/html" in head.headers.get("accept", "")
        if path == CONTROL or path.startswith(CONTROL + "/") or browses:
            connection.current = AsgiAnswer(self._app, connection.transport, message, path, query, connection.done)
            return True
        return False

    def _locate(self, connection: Connection, message: Message, path: str, query: str) -> RoutedRequest:
        """Find where a request goes.

        Raises: OwnError.
        """
        head = message.head
        address = self._sessions.locate(decoded(path), head.headers, origin(connection.transport, head), query)
        routed = RoutedRequest(head, address, path, query)
        if head.known:
            self._routed.put(head, routed)
        return routed

    def _play_own(self, connection: Connection, message: Message, error: OwnError) -> None:
        """Answer what no provider answers."""
        self.play(connection, message, error.answer(), connection.clock)

    async def _decide_later(
        self, connection: Connection, message: Message, sharing: Sharing, locate: Callable[[], RoutedRequest]
    ) -> None:
        """Answer a request when a shared store has decided on it."""

        def located() -> tuple[LiveSession, Request]:
            routed = locate()
            return routed.address.live, routed.request_now(message)

        try:
            path, query = target(message.head)
            live, exchange = await sharing.decide(path, query, message.head.headers, located)
            self.play(connection, message, exchange.timeline, live.clock, exchange)
        except OwnError as error:
            self._play_own(connection, message, error)
        except StoreFailed as error:
            self.play(connection, message, failure("store_failed", f"{error}", error), connection.clock)
        except Exception as error:  # a fault of ours, before anything was granted
            log.exception("the emulator failed on %s %s", message.head.method, message.head.url.decode("latin-1"))
            failed = failure("emulator_crash", f"The emulator failed: {error}", error)
            self.play(connection, message, failed, connection.clock)

    def _decide(
        self, connection: Connection, message: Message, routed: RoutedRequest, request: Request,
        grant: Grant | None = None,
    ) -> None:  # fmt: skip
        """Answer a request; what it claims was granted already, or is now."""
        engine, store, session = self._sessions.engine, self._sessions.store, routed.address.live.session
        claim: Claim | None = None
        try:
            if found := engine.recalling(request, store):
                request = replace(request, recalled=at_once(found))
            claim = engine.claim(session, request)
            if self._sessions.records:
                from emulator.core.recording import upstream_exchange  # a start does not wait for it

                claim = upstream_exchange.sent_on(claim) if upstream_exchange.can_be_sent_on(request) else claim
            grant, plain = grant or store.take(claim), self._is_plain(connection, message)
            compiled = engine.answer_cache.compiled(session, request, claim, grant) if plain else None
            exchange = None if compiled else engine.answer(session, request, claim, grant)
        except Exception as error:  # a fault of ours: said aloud, and never in a provider's name
            claim = claim or unknown_claim(request)
            grant = grant or store.take(claim)
            compiled, exchange = None, crash(claim, grant, request, error)
        if compiled:
            repeated = RepeatedRequest(compiled, grant, routed, request.body, request.at, request.real)
            self._learn(message.raw, claim, repeated)
            self._write(connection, claim, repeated)
        elif exchange:
            self._play_exchange(connection, message, routed, exchange)

    def _play_exchange(
        self, connection: Connection, message: Message, routed: RoutedRequest, exchange: Exchange
    ) -> None:
        request = exchange.request
        upstream = self._sessions.upstreams.get(request.provider) if exchange.proxied else None
        if upstream:
            self._relay(connection, message, routed.address.live, exchange, upstream)
        else:
            self._sessions.store.record(exchange)
            self.play(connection, message, exchange.timeline, routed.address.live.clock, exchange)

    def _is_plain(self, connection: Connection, message: Message) -> bool:
        """Tell whether a message is answered with a head and a body, and the connection goes on."""
        head = message.head
        return head.known and head.method != "HEAD" and not (connection.closing or self._sessions.records)

    def _learn(self, raw: bytes, claim: Claim, repeated: RepeatedRequest) -> None:
        """Know a request that came before when it comes again: most that are all different never do."""
        if hash(raw) not in self._seen:
            if len(self._seen) == MOST_KNOWN:
                self._seen.clear()
            self._seen.add(hash(raw))
            return
        routed, session = repeated.routed, repeated.routed.address.live.session
        known = self._known.get(raw)
        if known is None or known.session is not session:  # here also when another of its replies is known
            rules = session.rules_for(claim.provider, claim.operation or "")
            if not rules.steady or not 0 < len(raw) <= LONGEST_KNOWN:
                return
            candidates = tuple([rules.by_id[item.rule] for item in claim.candidates])
            known = KnownRequest(routed, session, claim, repeated.body, candidates)
            self._known.put(raw, known)
        known.learn(repeated.grant, repeated.compiled)

    def _write(self, connection: Connection, claim: Claim, repeated: RepeatedRequest) -> None:
        """Send an answer that waits for nothing, and note it."""
        compiled, sessions, state = repeated.compiled, self._sessions, connection.server_state
        grant, example = repeated.grant, compiled.example
        head, body = compiled.fill(repeated.at, grant)
        connection.transport.write(b"%b%b%b\r\n%b" % (compiled.line, self._fields.of(state), head, body))
        state.total_requests += 1
        repeated.passed = repeated.routed.address.live.clock.now() - repeated.at
        keeping = compiled.keeping(repeated.at, grant) if compiled.kept else None
        sessions.store.note(claim, grant.number, repeated, repeated.size, example.tokens, keeping)
        sessions.metrics.count(example)
        if repeated.routed.address.live.watchers:
            sessions.tell(repeated.exchange())
        self._on_exchange(example, "complete", repeated.passed)

    def _relay(
        self, connection: Connection, message: Message, live: LiveSession, exchange: Exchange, upstream: Upstream
    ) -> None:
        """Let the upstream answer; the exchange is recorded when it is known what that was."""
        from emulator.server.http.relay import Relay  # needs an extra

        def done(keep_alive: bool, exchange: Exchange, sent: Sent) -> None:
            try:
                self._sessions.store.record(exchange)
                self._ended(exchange, sent)
            finally:
                connection.done(keep_alive)

        def unanswered(exchange: Exchange) -> None:
            self._sessions.store.record(exchange)
            self.play(connection, message, exchange.timeline, live.clock, exchange)

        provider, client = self._sessions.providers[exchange.request.provider], self._client(connection, message.head)
        connection.current = Relay(upstream, provider, exchange, client, done, unanswered)
        connection.current.begin()

    def _client(self, connection: Connection, head: Head) -> ClientSide:
        keep_alive = head.keep_alive and not (connection.closing and not connection.waiting)
        lines = self._fields.of(connection.server_state)
        return ClientSide(connection.transport, keep_alive, head.http_10, head.method == "HEAD", lines)

    def _ended(self, exchange: Exchange, sent: Sent) -> None:
        self._sessions.store.sent(exchange, sent)
        self._sessions.ended(exchange, sent)
        self._on_exchange(exchange, sent.end, sent.at)

    def play(
        self,
        connection: Connection,
        message: Message,
        timeline: Timeline,
        clock: Clock,
        exchange: Exchange | None = None,
    ) -> None:
        """Put an answer on the wire."""

        def done(keep_alive: bool, sent: Sent) -> None:
            try:
                if exchange:
                    self._ended(exchange, sent)
                else:
                    self._on_stray(message.head.method, message.head.url.decode("latin-1"), timeline.status)
            finally:
                connection.done(keep_alive)

        start = exchange.request.at if exchange else clock.now()
        connection.current = Player(timeline, self._client(connection, message.head), clock, start, done)
        connection.current.play()

    def refuse(self, connection: Connection, refused: OwnError) -> None:
        """Answer what is no request that can be read."""
        message = Message(Head())
        message.head.keep_alive = False
        self._play_own(connection, message, refused)
