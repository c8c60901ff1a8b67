"""Reloading: the default session gets its scenario files anew whenever one of them changes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

from emulator.core.engine.load import load_all
from emulator.core.errors import SourceError, printable
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import DEFAULT
from emulator.core.store import StoreFailed
from emulator.server.own_errors import OwnError
from emulator.server.sessions import changes
from emulator.server.sessions.live import LiveSessions
from emulator.server.sessions.source import source_of
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
        except (SourceError, OwnError, StoreFailed) as error:
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


#: Between two attempts to watch: seconds.
PAUSE_S = 0.1


# Watching files for changes, whoever writes them and however


def watch(paths: Iterable[Path], on_change: Callable[[], None], stop: threading.Event) -> None:
    """Call `on_change` each time some of the files were changed, until `stop` is set.

    Their folders are watched: editors write another file and rename it into place. Links are followed. A folder that is
    removed is waited for, and what is in the next one of its name has changed.

    Raises: ImportError, where watchfiles is missing.
    """
    files = {str(place) for path in paths for place in (path.absolute(), path.resolve())}
    folders = {Path(file).parent for file in files}
    while not stop.is_set():
        watched = _identities(folders)
        with suppress(FileNotFoundError), closing(_changes(watched, files, stop)) as changes:
            for changed in changes:
                if changed or _identities(folders) != watched:
                    on_change()
                if _identities(folders) != watched:
                    break
            else:
                return
        stop.wait(PAUSE_S)


def _changes(
    folders: Iterable[Path], files: Collection[str], stop: threading.Event
) -> Generator[Collection[Any], None, None]:
    """Yield what changed of some files, or nothing after a while without a change, until `stop` is set."""
    import watchfiles

    yield from watchfiles.watch(
        *folders, watch_filter=lambda _, changed: changed in files, stop_event=stop, debounce=200, rust_timeout=500,
        recursive=False, raise_interrupt=False, yield_on_timeout=True,
    )  # fmt: skip


def _identities(folders: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Return which folders are there, and which ones they are: one that was made anew is another."""
    found = {}
    for folder in folders:
        with suppress(OSError):
            status = folder.stat()
            found[folder] = status.st_dev, status.st_ino
    return found
