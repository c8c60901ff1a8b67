"""Watching files for changes, whoever writes them and however."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

#: Between two attempts to watch: seconds.
PAUSE_S = 0.1


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
