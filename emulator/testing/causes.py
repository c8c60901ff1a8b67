"""Why a rule was never used, or not one request came: what may be the cause is said with the finding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from emulator.core.journal.findings import Row, answered, differences
from emulator.network.hosts import proxy_for
from emulator.testing.route import Route

#: How the names of variables end that hold a base URL.
_BASE_URLS = ("_BASE_URL", "_API_BASE", "_API_URL", "_API_HOST", "_ENDPOINT")


class WhyUnused:
    """Looks for why a rule, or a whole session, was never used; `ask` calls the control API."""

    def __init__(
        self, ask: Callable[..., Any], session: Row, routes: Mapping[str, Route], journal: Sequence[Row]
    ) -> None:
        self._ask = ask
        self._session = session
        self._routes = routes
        self._journal = journal

    def rule(self, rule: Row) -> str:
        """Tell which rules answered what fits a rule of `.on()`, or what the nearest requests lack."""
        route = self._routes.get(rule["id"])
        if route is None:
            return ""
        if any(item["rule"] == "unmatched" for item in self._journal):  # which tells the nearest rules
            return ""
        wanted = {"when": route.rule["when"], "at_least": 1}
        found = self._ask("POST", f"/sessions/{self._session['id']}/verify", wanted)
        if fitting := [item for item in self._journal if item["n"] in found["exchanges"]]:
            return f"; what fits it went elsewhere: exchange {answered(fitting)}"
        lines = [f"\n  exchange {row['exchange']}: {differences(row)}" for row in found["nearest"]]
        return "".join(["; the nearest:", *lines]) if lines else ""

    def session(self) -> str:
        """Tell why not one request may have come."""
        journal = self._ask("GET", "/sessions/default/journal")["exchanges"]
        late = [item for item in journal if item["at"] >= self._session["clock"]["now"]]
        lines = [f"\n  - {cause}" for cause in _causes(self._session["base_urls"], late)]
        return "".join(["; what may be the cause:", *lines])


def _causes(base_urls: Mapping[str, str], elsewhere: Sequence[Row]) -> Iterator[str]:
    some = next(iter(base_urls.values()), "")
    origin = some.partition("/s/")[0]
    if elsewhere:
        came = ", ".join(dict.fromkeys(f"{item['method']} {item['path']}" for item in elsewhere[:3]))
        yield f"the client has another address than this session's base_url: the server's default session got {came}"
    if proxy := _proxy(some):
        yield f"{proxy} is set, and requests go to that proxy: set NO_PROXY={urlsplit(some).hostname}"
    for name, value in os.environ.items():
        if name.upper().endswith(_BASE_URLS) and value and not value.startswith(origin):
            yield f"{name} is set, to {urlsplit(value).hostname or value}: clients that read it go there"
    yield (
        "the client was made before the variables were set, as one at the top of a module is: set "
        "`emulator_env = true` in pytest's ini, or make the client in the test"
    )
    yield "the client was given another base URL, or the application asked nothing"


def _proxy(url: str) -> str:
    """Return the variable that names a proxy for a URL, if there is one."""
    kinds = (urlsplit(url).scheme, "all") if proxy_for(url) else ()
    names = (name for kind in kinds for name in (f"{kind}_proxy", f"{kind}_proxy".upper()))
    return next((name for name in names if os.environ.get(name)), "")
