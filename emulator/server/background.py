"""A server of ours: configured, run in the foreground, or in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import uvicorn

from emulator.core.engine import Engine
from emulator.core.folder import load_providers
from emulator.core.load import load_all
from emulator.core.provider import Provider
from emulator.core.session import Options
from emulator.core.wire import Exchange, Plan
from emulator.loopback import is_loopback
from emulator.server.control import control_app
from emulator.server.protocol import bind
from emulator.server.worlds import Worlds
from emulator.server_thread import SERVER_THREAD
from emulator.stores.memory import MemoryStore

if TYPE_CHECKING:
    from emulator.server.sharing import Sharing

MEMORY = "memory://"
MAX_BODY = 20_000_000
KEEP_ALIVE_S = 75
GRACE_S = 1
#: Seconds for the connections that were cut to report it to a store that outlives this process.
REPORT_S = 0.05


@dataclass(frozen=True, slots=True)
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


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it; `cut` counts the answers that its end broke off."""

    cut = 0
    sharing: Sharing | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.sharing:
            await self.sharing.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        left = [item for item in self.server_state.connections if getattr(item, "current", None)]
        self.cut = len(left)
        for connection in left:
            connection.transport.abort()
        if self.sharing:
            await asyncio.sleep(REPORT_S)
            await self.sharing.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(server: Server, sock: socket.socket) -> None:
    """Serve until `server.should_exit` is set."""
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[sock]))


def make_worlds(setup: Setup) -> Worlds:
    """Load providers and scenarios and open the default session.

    Raises: SourceError.
    """
    providers: Mapping[str, Provider] = load_providers(setup.schemas)
    worlds = Worlds(Engine(providers), MemoryStore(setup.journal_size), setup.options, setup.max_sessions)
    scenarios = load_all(setup.scenarios, providers, setup.options.provider)
    worlds.open_default(scenarios)
    if setup.store != MEMORY:
        from emulator.server.sharing import Sharing  # only then Redis is needed

        Sharing(worlds, setup.store, setup.worker or secrets.token_hex(4), setup.journal_size)
    return worlds


def listen(setup: Setup) -> socket.socket:
    """Bind and listen.

    Raises: OSError, where the address is taken.
    """
    family = socket.AF_INET6 if ":" in setup.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((setup.host, setup.port))
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def listen_together(setup: Setup, port: int) -> list[socket.socket]:
    """Listen on a port once for each worker."""
    family = socket.AF_INET6 if ":" in setup.host else socket.AF_INET
    sockets = [socket.socket(family, socket.SOCK_STREAM) for _ in range(setup.workers)]
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((setup.host, port))
        sock.listen(2048)
    return sockets


def make_server(
    setup: Setup,
    worlds: Worlds,
    on_exchange: Callable[[Exchange, str, float], None],
    on_stray: Callable[[str, str, int], None],
) -> Server:
    """Return a uvicorn server whose one protocol is ours."""
    app = control_app(worlds, is_loopback(setup.host), setup.admin_token)
    protocol = bind(worlds, app, setup.max_body, on_exchange, on_stray)
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", interface="asgi3",
        access_log=False, log_config=None, log_level=logging.CRITICAL, server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=GRACE_S, workers=1,
    )  # fmt: skip
    server = Server(config)
    server.sharing = worlds.sharing
    return server


def origin(setup: Setup, sock: socket.socket) -> str:
    """Return the URL of a listening server as a client on this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(setup.host, setup.host)
    return f"http://[{host}]:{sock.getsockname()[1]}" if ":" in host else f"http://{host}:{sock.getsockname()[1]}"


def ignore(*told: object) -> None:
    """Log nothing."""


class Emulator:
    """A server in a thread of its own, for use from Python.

        with Emulator("limits.yaml", provider=NAME) as emulator:
            client = OpenAI(base_url=emulator.base_urls[NAME], api_key="any")

    What is left out is decided by the scenarios; `schemas` is a folder of provider folders, port 0 picks a free one.
    Raises: SourceError, when entered, for a scenario or provider folder that does not load.
    """

    def __init__(
        self,
        *scenarios: str | Path,
        provider: str | None = None,
        seed: int | None = None,
        clock: str | None = None,
        plan: str | Plan | None = None,
        validation: str | None = None,
        api_keys: Sequence[str] = (),
        schemas: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        options = Options(provider, seed, clock, plan, validation, tuple(api_keys))
        self.setup = Setup(tuple(map(Path, scenarios)), options, Path(schemas) if schemas else None, host, port)
        self.url = ""
        self.base_urls: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._server: Server | None = None

    def __enter__(self) -> Emulator:
        worlds = make_worlds(self.setup)
        sock = listen(self.setup)
        self._server = make_server(self.setup, worlds, ignore, ignore)
        self.url = origin(self.setup, sock)
        self.base_urls = worlds.base_urls(worlds.by_id["default"].session, self.url)
        self._thread = threading.Thread(target=run, args=(self._server, sock), name=SERVER_THREAD, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join()
