"""Who may use the control API: this machine alone, or whoever has the admin token."""

from __future__ import annotations

import hmac
import re

from starlette.requests import Request

from emulator.loopback import is_loopback
from emulator.server.worlds import Unaddressed

_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")


def check_access(request: Request, loopback: bool, admin_token: str | None) -> None:
    """On loopback without a token only loopback Host headers are good; elsewhere only the token is."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if admin_token and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), admin_token.encode()):
        return
    if not loopback:
        message = "The control API of a server that others can reach needs --admin-token, sent as a Bearer token."
        raise Unaddressed(403, "forbidden", message)
    host = request.headers.get("host", "localhost")
    found = _HOST.fullmatch(host)
    name = found[1] if found else host
    if not is_loopback(name):
        raise Unaddressed(403, "forbidden", f"The control API does not answer to the host '{name[:100]}'.")
