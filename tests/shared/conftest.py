"""Two servers over a real Redis, in the place of the one that other tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.fleet import together
from shared.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]


@pytest.fixture(scope="session")
def emulator_url(redis_server: RedisServer) -> Iterator[str]:
    """The root URL of two servers on one port: the same test modules run over them."""
    with together(redis_server.url, plan="unlimited") as url:
        yield url
