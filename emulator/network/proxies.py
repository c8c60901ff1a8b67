"""The proxy that the environment names for a URL, for the two parts of the package that reach out."""

from __future__ import annotations

import urllib.request
from urllib.parse import unquote, urlsplit


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
