"""A server that records, in a thread, and a relay with bounds of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulator.core.recording.recorder import Recorder
from emulator.core.scenario.session import Options
from emulator.core.values import Exchange, Sent
from emulator.server.setup import Setup, ignore, listen, make_live_sessions, make_server, origin, run


@dataclass
class Recording:
    """A running `emulator record`, as far as it is no process."""

    base_url: str
    recorder: Recorder
    ended: list[tuple[Exchange, Sent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, exchange: Exchange, sent: Sent) -> None:
        self.recorder.add(exchange, sent)
        with self.changed:
            self.ended.append((exchange, sent))
            self.changed.notify_all()

    def exchanges(self, count: int = 1) -> list[tuple[Exchange, Sent]]:
        """Return what has ended, once it is so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ended) >= count, 10)
        return self.ended


@contextmanager
def recording(
    upstream: str, provider: str = "beatra", timeout: float = 60.0, schemas: Path | None = None
) -> Iterator[Recording]:
    setup = Setup(
        options=Options(provider=provider, plan="unlimited"), schemas=schemas, upstreams={provider: upstream},
        upstream_timeout=timeout, records=True,
    )  # fmt: skip
    sessions = make_live_sessions(setup)
    sock = listen(setup)
    base_url = sessions.base_urls(sessions.by_id["default"].session, origin(setup, sock))[provider]
    found = Recording(base_url, Recorder(sessions.engine, sessions.providers[provider], upstream))
    sessions.recorder = found.take
    server = make_server(setup, sessions, ignore, ignore)
    thread = threading.Thread(target=run, args=(server, sock))
    thread.start()
    try:
        yield found
    finally:
        server.stop()
        thread.join()
