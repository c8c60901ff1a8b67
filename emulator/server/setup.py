"""A server of ours: how it is set up, made and run."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from emulator.core.engine.engine import Engine
from emulator.core.engine.load import load_all
from emulator.core.errors import OPTIONS, Problem, nearest
from emulator.core.frozen import frozen
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.provider import Provider
from emulator.core.scenario.session import Conflict, Options
from emulator.core.values import Exchange
from emulator.network.hosts import is_loopback
from emulator.server.http.dispatch import Dispatch
from emulator.server.http.protocol import bind
from emulator.server.real_time import monotonic
from emulator.server.sessions.live import LiveSessions, Sharing
from emulator.stores.memory import MemoryStore

if TYPE_CHECKING:
    from emulator.server.certificate import Certificate
    from emulator.server.upstream.client import Upstream

MEMORY = "memory://"
MAX_BODY = 20_000_000
KEEP_ALIVE_S = 75
GRACE_S = 1
#: Seconds between two ticks of uvicorn's, and how often a server that ends looks whether all is done, at most.
TICK_S, LOOK_S = 0.1, 0.02
#: Seconds for the connections that were cut to report it to a store that outlives this process.
REPORT_S = 0.05


@frozen
class Setup:
    """How a server is made; `port` 0 picks a free one, sizes in bytes or entries."""

    scenarios: tuple[Path, ...] = ()
    options: Options = field(default_factory=Options)
    schemas: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    admin_token: str | None = None
    max_body: int = MAX_BODY
    max_sessions: int = 10_000
    journal_size: int = 10_000
    store: str = MEMORY
    workers: int = 1
    worker: str = ""  # a name among all that share the store; left out, one is made
    certificate: Certificate | None = None  # serve https
    reload: bool = False  # watch the scenarios
    upstreams: Mapping[str, str] = field(default_factory=dict)  # base URLs by provider
    upstream_timeout: float = 60.0
    records: bool = False  # every request goes to its upstream
    otel: bool = False  # a span for each exchange


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it; `cut` counts the answers that its end broke off.

    It ends as soon as `stop` says so and nothing is under way; uvicorn looks for both ten times a second.
    """

    cut = 0
    sharing: Sharing | None = None
    loop: asyncio.AbstractEventLoop  # once it has started
    upstreams: Sequence[Upstream] = ()
    _woken: asyncio.Event | None = None

    def stop(self, force: bool = False) -> None:
        """End, from any thread or a signal's handler; with `force` what is under way is not waited for."""
        self.should_exit = True
        self.force_exit = self.force_exit or force
        if self._woken:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(self._woken.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        if self.sharing:
            await self.sharing.start()
        for upstream in self.upstreams:
            await upstream.open()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        assert self._woken
        tick = 0
        while not await self.on_tick(tick):
            tick += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._woken.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._finish()
        left = list(self.server_state.connections)  # under TLS also idle ones, whose client does not say goodbye
        self.cut = sum(getattr(connection, "current", None) is not None for connection in left)
        for connection in left:
            connection.transport.abort()
        for upstream in self.upstreams:
            await upstream.close()
        if self.sharing:
            await asyncio.sleep(REPORT_S)
            await self.sharing.stop()

    async def _finish(self) -> None:
        """Wait until all connections are closed, unless the end is forced."""
        pause = 0.0
        while self.server_state.connections and not self.force_exit:
            await asyncio.sleep(pause)
            pause = min(2 * pause + 0.001, LOOK_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(server: Server, sock: socket.socket) -> None:
    """Serve until `server.stop()` is called."""
    factory = server.config.get_loop_factory() or asyncio.new_event_loop

    def on_real_time() -> asyncio.AbstractEventLoop:
        loop = factory()
        if isinstance(loop, asyncio.BaseEventLoop):  # others don't ask `time`, which may be frozen
            loop.time = monotonic  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=on_real_time) as runner:
        runner.run(server.serve(sockets=[sock]))


def make_live_sessions(setup: Setup) -> LiveSessions:
    """Load providers and scenarios and open the default session.

    Raises: SourceError.
    """
    providers: Mapping[str, Provider] = load_providers(setup.schemas)
    sessions = LiveSessions(
        Engine(providers), MemoryStore(setup.journal_size), setup.options, setup.max_sessions,
        upstreams=_upstreams(setup, providers), records=setup.records,
    )  # fmt: skip
    scenarios = load_all(setup.scenarios, providers, setup.options.provider)
    sessions.open_default(scenarios)
    if setup.store != MEMORY:
        from emulator.server.sessions import sharing  # only then Redis is needed

        sharing.Sharing(sessions, setup.store, setup.worker or secrets.token_hex(4), setup.journal_size)
    return sessions


def _upstreams(setup: Setup, providers: Mapping[str, Provider]) -> dict[str, Upstream]:
    """Return the upstreams by provider; what talks to them is loaded only where there are any.

    Raises: Conflict.
    """
    if not setup.upstreams:
        return {}
    try:
        from emulator.server.upstream.client import Bounds, Upstream
    except ImportError:
        message = "needs the package httpcore2; install it with: pip install 'llm-emulator[contract]'"
        raise Conflict([Problem(OPTIONS, 1, 1, "--upstream", message)]) from None
    bounds = Bounds(idle_s=setup.upstream_timeout)
    found = {}
    for name, url in setup.upstreams.items():
        if name not in providers:
            message = f"there is no provider '{name}'; {nearest(name, providers)}"
            where = "--provider" if name == setup.options.provider else "--upstream"
            raise Conflict([Problem(OPTIONS, 1, 1, where, message)])
        try:
            found[name] = Upstream(url, bounds)
        except ValueError as error:
            raise Conflict([Problem(OPTIONS, 1, 1, "--upstream", str(error))]) from None
    return found


def listen(setup: Setup, port: int | None = None, shared: bool = False) -> socket.socket:
    """Bind and listen; a port that is `shared` may be listened on by others too.

    Raises: OSError, where the address is taken.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in setup.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *([socket.SO_REUSEPORT] if shared else [])):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind((setup.host, setup.port if port is None else port))
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def make_server(
    setup: Setup,
    sessions: LiveSessions,
    on_exchange: Callable[[Exchange, str, float], None],
    on_stray: Callable[[str, str, int], None],
) -> Server:
    """Return a uvicorn server whose one protocol is ours."""
    if setup.otel:
        from emulator.server.tracing import spans  # only then OpenTelemetry is needed

        on_exchange = _both(on_exchange, spans())
    app = _control(sessions, is_loopback(setup.host), setup.admin_token)
    protocol = bind(Dispatch(sessions, app, on_exchange, on_stray), setup.max_body)
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", interface="asgi3",
        access_log=False, log_config=None, log_level=logging.CRITICAL, server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=GRACE_S, workers=1,
        ssl_certfile=setup.certificate.server if setup.certificate else None,
    )  # fmt: skip
    server = Server(config)
    server.sharing = sessions.sharing
    server.upstreams = list(sessions.upstreams.values())
    return server


def _both(*told: Callable[[Exchange, str, float], None]) -> Callable[[Exchange, str, float], None]:
    def tell(exchange: Exchange, end: str, seconds: float) -> None:
        for each in told:
            each(exchange, end, seconds)

    return tell


def _control(sessions: LiveSessions, loopback: bool, admin_token: str | None) -> Callable[..., Awaitable[None]]:
    """Return the control app, which is loaded when it is first asked for something: a start does not wait for it."""

    @functools.cache
    def made() -> Callable[..., Awaitable[None]]:
        from emulator.server.control.app import control_app

        return control_app(sessions, loopback, admin_token)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await made()(scope, receive, send)

    return app


def origin(setup: Setup, sock: socket.socket) -> str:
    """Return the URL of a listening server as a client on this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(setup.host, setup.host)
    scheme = "https" if setup.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


def ignore(*told: object) -> None:
    """Log nothing."""
