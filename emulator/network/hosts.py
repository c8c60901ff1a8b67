"""Hosts: which are this machine and nothing else, and which are reached by a proxy that the environment names."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

_EXCEPTIONS = ("no_proxy", "NO_PROXY")


def is_loopback(name: str) -> bool:
    """Tell whether a host is this machine; a domain such as 127.example.com is not."""
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def proxy_for(url: str) -> tuple[str, tuple[str, str] | None] | None:
    """Return the address of the proxy and the name and password for it; None where requests go straight."""
    import urllib.request  # a start does not wait for it

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
