"""Addresses: which provider a path is for, its place below the base URL, and what was meant where it is for none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.core.errors import closest
from emulator.core.provider import Provider
from emulator.server.reader import Head

Providers = Mapping[str, Provider]


def find_place(
    providers: Providers, prefix: str, steps: Sequence[str], implied: str | None
) -> tuple[str, str, str] | None:
    """Return provider, path below its base URL, and that URL; `implied` is the provider of a path that names none."""
    if steps and steps[0] in providers:
        name, steps, base_url = steps[0], steps[1:], f"{prefix}/{steps[0]}/v1"
    elif implied and steps and steps[0] == "v1":
        name, base_url = implied, f"{prefix}/v1"
    else:
        return None
    if not steps:
        return None
    below = "/" + "/".join(steps[1:]) if steps[0] == "v1" else "/" + "/".join(["..", *steps])
    return name, below, base_url


def implied_provider(providers: Providers, headers: Mapping[str, str]) -> str | None:
    """Return the provider whose documented host is in the Host header, or the only one."""
    host = headers.get("host", "").partition(":")[0].lower()
    for provider in providers.values():
        if provider.host.partition(":")[0].lower() == host:
            return provider.name
    return next(iter(providers)) if len(providers) == 1 else None


def nowhere(providers: Providers, path: str, prefix: str, steps: Sequence[str], implied: str | None) -> str:
    """Say that a path leads to no provider, what was meant, and which base URLs are good."""
    bases = ", ".join(f"{prefix}/{name}/v1" for name in providers)
    message = (
        f"There is nothing at {path[:200]}{_meant(providers, prefix, steps, implied)}. The base URLs are: {bases}."
    )
    if steps[:1] == ["v1"]:
        message += " For /v1 alone, name one provider: in the scenario, or by --provider."
    return message


def _meant(providers: Providers, prefix: str, steps: Sequence[str], implied: str | None) -> str:
    """Name the URL of a path whose parts stand in another order, or lack /v1, or the nearest provider's name."""
    named = next((step for step in steps if step in providers), implied)
    if named:
        rest = steps[steps.index(named) + 1 :] if named in steps else steps
        below = "/" + "/".join(step for step in rest if step != "v1")
        base_url = f"{prefix}/v1" if named == implied else f"{prefix}/{named}/v1"
        return f" (did you mean {base_url}{below}?)" if below in providers[named].routes else ""
    close = closest(steps[0], providers) if steps else None
    return f" (did you mean '{close}'?)" if close else ""


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
