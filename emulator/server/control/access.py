"""Who may use the control API: this machine alone, or whoever has the admin token; never a web page of another origin.

    request ──> token? ──no──> host ──> origin ──> type of the body ──> the app
                  └──────────────yes────────────────┘

All of it is asked before any route, so that a redirect, a 404 and a 405 tell a stranger nothing either.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import Scope

from emulator.network.hosts import is_loopback
from emulator.server.control.bodies import is_json
from emulator.server.own_errors import OwnError

#: The inspector's page. It holds no data and asks for the token itself, so it is shown by any host, and to who follows
#: a link to it from another site.
PAGE = ("/", "/_emulator", "/_emulator/")
#: What a container's health check asks, by any name, of a server that others can reach: it says nothing secret.
HEALTH = ("/_emulator/health",)
_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(?::[0-9]*)?")
#: A PUT needs no type: no page may send one elsewhere without being asked first (CORS), and a scenario is YAML as well.
_TYPED = ("POST", "PATCH", "DELETE")


def check_access(scope: Scope, loopback: bool, admin_token: str | None) -> None:
    """Let a request through to the control API; `loopback` tells whether the server is bound to this machine only.

    Raises: OwnError, 403 for who may not ask, 415 for a body that a page could send without being asked first.
    """
    headers = Headers(scope=scope)
    page = _is_look(scope, PAGE)
    if not (admin_token and _has_token(headers, admin_token)):
        if not page and (loopback or not _is_look(scope, HEALTH)):
            _check_host(headers, loopback)
        _check_origin(headers, scope["scheme"], page)
    _check_type(headers, scope["method"])


def _is_look(scope: Scope, paths: Collection[str]) -> bool:
    return scope["path"] in paths and scope["method"] in ("GET", "HEAD")


def _has_token(headers: Headers, admin_token: str) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), admin_token.encode())


def _check_host(headers: Headers, loopback: bool) -> None:
    """Refuse a name that is not this machine's: a page sends its own, wherever DNS was made to lead it (rebinding)."""
    if not loopback:
        raise _forbidden(
            "The control API of a server that others can reach needs --admin-token, sent as a Bearer token."
        )
    host = ", ".join(headers.getlist("host"))  # repeated ones are no name
    found = _HOST.fullmatch(host)
    if not host:
        raise _forbidden("The control API needs a Host header that names this machine, such as 127.0.0.1:4010.")
    if found is None or not is_loopback(found[1]):
        raise _forbidden(
            f"The control API does not answer to the host '{host[:100]}'; ask it at 127.0.0.1, [::1] or localhost, "
            "or start the server with --admin-token and send that as a Bearer token."
        )


def _check_origin(headers: Headers, scheme: str, page: bool) -> None:
    """Refuse what a page of another origin sends; `same-site` is another port of this machine, `none` a typed URL."""
    own = f"{scheme}://{headers.get('host', '')}".lower()
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    followed = page and headers.get("sec-fetch-mode") == "navigate"
    if origin is not None and origin.lower() != own:
        raise _foreign(f"Origin: {origin[:100]}", own)
    if site not in ("same-origin", "none") and not followed:
        raise _foreign(f"Sec-Fetch-Site: {site[:100]}", own)


def _check_type(headers: Headers, method: str) -> None:
    """Refuse a body that does not say it is JSON: those that a form can send are sent to any origin unasked."""
    has_body = headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers
    if method in _TYPED and has_body and not is_json(headers):
        given = headers.get("content-type") or "no content type"
        raise OwnError(
            415, "unsupported_media_type",
            f"The body must be sent as JSON, not as {given[:100]}; with curl: -H 'Content-Type: application/json'.",
        )  # fmt: skip


def _foreign(said: str, own: str) -> OwnError:
    return _forbidden(
        f"The control API does not answer to web pages of other origins ({said}); ask it from a page of {own[:100]}, "
        "or from a program that is no browser."
    )


def _forbidden(message: str) -> OwnError:
    return OwnError(403, "forbidden", message)
