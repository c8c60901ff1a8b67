"""The emulator from Python: a server in a thread of its own, and its sessions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from emulator.core.scenario.session import Options
from emulator.core.values import Plan
from emulator.server.background import running
from emulator.server.setup import Setup, ignore, listen, make_live_sessions, make_server, origin
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession


class Emulator:
    """A server in a thread of its own, for use from Python.

        with Emulator("limits.yaml", provider=NAME) as emulator:
            client = OpenAI(base_url=emulator.base_urls[NAME], api_key="any")

    and for what the fixture of pytest does, with a session of its own:

        with Emulator() as emulator, emulator.session(provider=NAME) as session:
            session.on().reply("Hello.")

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
        upstreams: Mapping[str, str] | None = None,
    ) -> None:
        options = Options(provider, seed, clock, plan, validation, tuple(api_keys))
        self.setup = Setup(
            tuple(map(Path, scenarios)), options, Path(schemas) if schemas else None, host, port,
            upstreams=upstreams or {},
        )  # fmt: skip
        self.url = ""
        self.base_urls: dict[str, str] = {}
        self._control: Control | None = None
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Emulator:
        sessions = make_live_sessions(self.setup)
        sock = listen(self.setup)
        server = make_server(self.setup, sessions, ignore, ignore)
        self.url = origin(self.setup, sock)
        self.base_urls = sessions.base_urls(sessions.by_id["default"].session, self.url)
        self._ending.enter_context(running(server, sock))
        self._control = self._ending.enter_context(contextlib.closing(Control(self.url)))
        return self

    def session(self, scenario: Any = None, folders: Sequence[Path] = (), **options: Any) -> EmulatedSession:
        """Make a session, as the fixture has it; as a context it fails on what is wrong with what happened.

        Raises: LookupError, where there is no such file; ControlError, where it does not load.
        """
        if self._control is None:
            raise RuntimeError("a session needs a running server: with Emulator() as emulator")
        return EmulatedSession(self._control, scenario, folders, **options)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.close()
