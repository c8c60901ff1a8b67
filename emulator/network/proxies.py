"""The proxy that the environment names for a URL, and how it is told that one is reached without."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

_EXCEPTIONS = ("no_proxy", "NO_PROXY")


def proxy_for(url: str) -> tuple[str, tuple[str, str] | None] | None:
    """Return the address of the proxy and the name and password for it; None where requests go straight."""
    parts = urlsplit(url)
    known = urllib.request.getproxies()
    found = known.get(parts.scheme) or known.get("all")
    if found is None or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    auth = (unquote(proxy.username or ""), unquote(proxy.password or "")) if proxy.username else None
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", auth


def without_proxy(url: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a URL's host is reached without a proxy, beside the hosts that are there."""
    known = (variables.get(name, "").split(",") for name in _EXCEPTIONS)
    hosts = [host.strip() for hosts in known for host in hosts] + [urlsplit(url).hostname or ""]
    return dict.fromkeys(_EXCEPTIONS, ",".join(dict.fromkeys(filter(None, hosts))))
