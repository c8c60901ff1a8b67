"""A fault of our own: said aloud, and never in a provider's name."""

from __future__ import annotations

import logging
import traceback

from emulator.core.errors import Json
from emulator.core.render import render_body
from emulator.core.wire import Claim, Exchange, Grant, Headers, Request, Timeline

log = logging.getLogger("emulator")


def crash(claim: Claim, grant: Grant, request: Request, error: Exception) -> Exchange:
    """Answer for a fault of ours."""
    text = "".join(traceback.format_exception(error))
    log.error("the emulator failed on %s %s:\n%s", request.method, request.address, text)
    message = f"The emulator failed; this is a fault of its own, not of the request: {type(error).__name__}: {error}"
    ours = (("x-emulator-exchange", str(grant.number)),)
    return Exchange(claim, grant, request, own_error("emulator_crash", message, error, ours), "refused", crash=text)


def own_error(code: str, message: str, error: Exception, more: Headers = ()) -> Timeline:
    """Return the 500 that is ours."""
    body: Json = {"error": {"code": code, "message": message, "problems": []}}
    headers = (("x-emulator-error", type(error).__name__), ("x-should-retry", "false"), *more)
    return render_body(body, 500, (*headers, ("x-emulator-rule", "refused")))
