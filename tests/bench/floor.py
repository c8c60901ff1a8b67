"""The floor: a bare ASGI app that reads a request and sends back bytes of ours, a stream's events in one write.

FLOOR names a JSON file of {path: [headers, body]}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Event = MutableMapping[str, Any]


def load_replies(file: str) -> dict[str, tuple[Event, Event]]:
    """Return the two events of each reply by its path."""
    replies: dict[str, tuple[Event, Event]] = {}
    for path, (headers, body) in json.loads(Path(file).read_text()).items():
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers]
        replies[path] = (
            {"type": "http.response.start", "status": 200, "headers": pairs},
            {"type": "http.response.body", "body": body.encode()},
        )
    return replies


REPLIES = load_replies(os.environ["FLOOR"])


async def app(scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]) -> None:
    while (await receive()).get("more_body"):
        pass
    head, body = REPLIES[scope["path"]]
    await send(head)
    await send(body)
