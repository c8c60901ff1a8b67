"""Reloading: the default session gets its scenario files anew whenever one of them changes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from emulator.core.engine.load import load_all
from emulator.core.errors import SourceError, printable
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import DEFAULT
from emulator.core.store import StoreFailed
from emulator.server.sessions import changes
from emulator.server.sessions.live import LiveSessions
from emulator.server.sessions.source import source_of
from emulator.server.sessions.unaddressed import Unaddressed
from emulator.server.setup import Server, Setup

#: Calls its second argument whenever one of the files of its first may have changed, until its third is set.
Watching: TypeAlias = Callable[[Sequence[Path], Callable[[], None], threading.Event], None]


@contextlib.contextmanager
def reloading(
    setup: Setup, sessions: LiveSessions, server: Server, watching: Watching, tell: Callable[[str], None]
) -> Iterator[None]:
    """Give the default session its scenario files anew whenever one of them changes, if the setup says so."""
    if not setup.reload:
        yield
        return
    stop = threading.Event()

    def reload() -> None:
        try:
            scenarios = load_all(setup.scenarios, sessions.providers, setup.options.provider)
        except SourceError as error:
            tell(f"{error}\nThis does not load; what was loaded before stays.")
        else:
            asyncio.run_coroutine_threadsafe(give(scenarios), server.loop)

    async def give(scenarios: Sequence[Scenario]) -> None:
        try:
            async with sessions.changing(DEFAULT):
                changes.give(sessions, DEFAULT, scenarios, [source_of(item.file) for item in scenarios])
        except (SourceError, Unaddressed, StoreFailed) as error:
            tell(f"{error}\nThis cannot be served; what was loaded before stays.")
        else:
            tell(f"Reloaded {', '.join(printable(scenario.file) for scenario in scenarios)}.")

    thread = threading.Thread(target=watching, args=(setup.scenarios, reload, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
