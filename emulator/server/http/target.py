"""Where a request was sent: the target on its request line, and the server as this client reaches it."""

from __future__ import annotations

from typing import Any

from emulator.server.http.reader import Head


def origin(transport: Any, head: Head) -> str:
    """Return scheme and host, as this client reaches the server."""
    scheme = "https" if transport.get_extra_info("sslcontext") else "http"
    host = head.headers.get("host")
    if not host:
        name = transport.get_extra_info("sockname")
        host = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "localhost"
    return f"{scheme}://{host}"


def target(head: Head) -> tuple[str, str]:
    """Return path and query of a target; the host of an absolute one, as proxies send it, goes to the headers."""
    path, _, query = head.url.decode("latin-1").partition("?")
    if not path.startswith("/"):  # absolute; also `*` and an authority
        _, absolute, rest = path.partition("://")
        host, _, path = rest.partition("/") if absolute else ("", "", path)
        path, host = f"/{path}", host.rpartition("@")[2]  # who asks is told in a header, if at all
        if host:
            head.headers["host"] = host
    return path, query
