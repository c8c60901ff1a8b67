"""Watching files for changes, whoever writes them and however."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path


def watch(paths: Iterable[Path], on_change: Callable[[], None], stop: threading.Event) -> None:
    """Call `on_change` each time some of the files were changed, until `stop` is set.

    Their folders are watched: editors write another file and rename it into place. Links are followed.

    Raises: ImportError, where watchfiles is missing.
    """
    import watchfiles

    files = {str(place) for path in paths for place in (path.absolute(), path.resolve())}
    folders = {Path(file).parent for file in files}
    changes = watchfiles.watch(
        *folders, watch_filter=lambda _, changed: changed in files, stop_event=stop, debounce=200, rust_timeout=500,
        recursive=False, raise_interrupt=False,
    )  # fmt: skip
    for _ in changes:
        on_change()
