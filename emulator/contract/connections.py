"""Connections for one answer each, whose every wait ends: after a silence, and, however busy the other side is, at a
deadline.

None is used again: what comes behind an answer would be taken for the next one's.
"""

from __future__ import annotations

import functools
import math
import ssl
import time
from typing import Any

import httpcore2

from emulator.network.hosts import proxy_for

_EMPTY_LINE = b"\r\n\r\n"


class Deadline:
    """The moment (of `time.monotonic`) at which the answer that is being read must be whole."""

    def __init__(self) -> None:
        self.at = math.inf

    def left(self, timeout: float | None) -> float:
        """Return how long the next wait may last. Raises: ReadTimeout, where no time is left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(timeout, left)


class Stream(httpcore2.NetworkStream):
    """A stream that looks at the deadline before each wait: bytes that trickle in never make a silence.

    It gives out what it has read up to each empty line, where a head or a chunked body may end, and no more than the
    bytes of a body that declares them: what is `held` when an answer is whole came behind it.
    """

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self.declared: int | None = None  # bytes that are still to come
        self._stream = stream
        self._deadline = deadline
        self._read = b""
        self._given = 0  # of what was read

    @property
    def held(self) -> bytes:
        return self._read[self._given :]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        start = self._given
        if start == len(self._read):
            self._read, start = self._stream.read(max_bytes, self._deadline.left(timeout)), 0
        if self.declared is None:
            end = self._read.find(_EMPTY_LINE, start)
            self._given = len(self._read) if end < 0 else end + len(_EMPTY_LINE)
        else:
            self._given = min(len(self._read), start + self.declared)
            self.declared -= self._given - start
        return self._read[start : self._given]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._deadline.left(timeout)
        return Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **more: Any) -> Stream:
        return Stream(super().connect_tcp(host, port, self._deadline.left(timeout), *rest, **more), self._deadline)


def open_pool(url: str, deadline: Deadline, proxies: bool) -> httpcore2.ConnectionPool:
    """Return what opens connections to a URL's host, through the environment's proxy where `proxies` and one is set."""
    proxy = proxy_for(url) if proxies else None
    backend = _Backend(deadline)
    if proxy is None:
        return httpcore2.ConnectionPool(_ssl_context(), max_keepalive_connections=0, network_backend=backend)
    return httpcore2.HTTPProxy(*proxy, ssl_context=_ssl_context(), max_keepalive_connections=0, network_backend=backend)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()
