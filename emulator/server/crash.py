"""A fault of our own: said aloud, and never in a provider's name."""

from __future__ import annotations

import logging
import traceback

from emulator.core.answer.render import render_body
from emulator.core.errors import Json, printable, printable_lines
from emulator.core.secrets.repeated import without
from emulator.core.values import Claim, Exchange, Grant, Request, Timeline

log = logging.getLogger("emulator")


#: What our own answers carry that are in no journal: no exchange has the number 0.
NOT_JOURNALLED = (("x-should-retry", "false"), ("x-emulator-exchange", "0"), ("x-emulator-rule", "refused"))


def crash(claim: Claim, grant: Grant, request: Request, error: Exception) -> Exchange:
    """Answer for a fault of ours."""
    from emulator.core.journal.describe import secrets_of  # a start does not wait for it

    secrets = secrets_of(request)
    text = printable_lines(without("".join(traceback.format_exception(error)), secrets))
    address = printable(without(request.address, secrets))
    log.error("the emulator failed on %s %s:\n%s", request.method, address, text)
    said = without(f"{type(error).__name__}: {error}", secrets)
    message = f"The emulator failed; this is a fault of its own, not of the request: {printable_lines(said)}"
    made = own_error("emulator_crash", message, error, grant.number)
    return Exchange(claim, grant, request, made, "refused", crash=text)


def own_error(code: str, message: str, error: Exception, number: int = 0) -> Timeline:
    """Return the 500 that is ours; `number` of the exchange, where it is in a journal."""
    body: Json = {"error": {"code": code, "message": message, "problems": []}}
    headers = {"x-emulator-error": type(error).__name__, **dict(NOT_JOURNALLED), "x-emulator-exchange": str(number)}
    return render_body(body, 500, tuple(headers.items()))
