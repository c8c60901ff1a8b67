"""The store that the command line names: whether it can be, and whether it is there."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from emulator.server.setup import MEMORY

#: host, port and database; a user and a password may stand before them.
_REDIS = re.compile(r"rediss?://(?:[^@/]*@)?(?:\[[0-9a-fA-F:.]+\]|[^:/?#\[\]@]+)(?::[0-9]{1,5})?(?:/[0-9]{0,3})?")
ANSWER_S = 2.0


def problem_of(store: str, workers: int, alone: Sequence[str] = ()) -> str | None:
    """Return what is wrong with a store, or with so many workers on it; `alone` are options that cannot be shared."""
    if store != MEMORY and not (_REDIS.fullmatch(store) and _has_port(store)):
        return "--store must be memory:// or redis://HOST:PORT/DB."
    if workers > 1 and store == MEMORY:
        return (
            f"--workers {workers} needs a store that the workers share: add --store redis://HOST:PORT/DB. Without one, "
            "each would count limits, turns and states for itself."
        )
    if store != MEMORY and alone:
        return f"--{alone[0]} does not go with a shared store: it concerns one process alone."
    if store != MEMORY and importlib.util.find_spec("redis") is None:
        return "--store redis://... needs: pip install 'llm-emulator[redis]'"
    if workers > 1 and sys.platform != "linux":
        return "--workers above 1 needs Linux, whose kernel spreads connections over listening sockets."
    return None


def _has_port(store: str) -> bool:
    try:
        return urlsplit(store).port != 0
    except ValueError:  # over 65535
        return False


def unreachable(store: str) -> str | None:
    """Return why a store cannot be used now; None where it answers."""
    if store == MEMORY:
        return None
    import redis

    from emulator.stores.redis.pipeline import place, told

    try:
        with redis.Redis.from_url(store, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return f"Redis at {place(store)} cannot be used: {told(error)}"
    return None


def forget_worker(store: str, worker: str) -> None:
    """Let the others know at once that a worker has died; they would find out in some seconds."""
    import redis

    from emulator.stores.redis.rows import living

    with (
        contextlib.suppress(redis.RedisError, OSError),
        redis.Redis.from_url(store, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S) as client,
    ):
        client.delete(living(worker))
