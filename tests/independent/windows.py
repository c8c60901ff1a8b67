"""What each key has used: windows of a minute, the first opened by a key's first request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

WINDOW_S = 60


@dataclass(slots=True)
class Window:
    """What a key has used since its window opened."""

    end: float = field(default_factory=lambda: time.time() + WINDOW_S)
    requests: int = 0
    tokens: int = 0


class Windows:
    """The open window of each key."""

    def __init__(self) -> None:
        self._latest: dict[str, Window] = {}

    def __getitem__(self, key: str) -> Window:
        if key not in self._latest or time.time() >= self._latest[key].end:
            self._latest[key] = Window()
        return self._latest[key]
