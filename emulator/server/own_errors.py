"""What is answered in our own name and not in a provider's: what cannot be met, and faults of ours, said aloud."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import asdict

from emulator.core.answer.render import render_body
from emulator.core.errors import Json, Problem, printable, printable_lines
from emulator.core.secrets.repeated import without
from emulator.core.values import Claim, Exchange, Grant, Headers, Plan, Request, Timeline

log = logging.getLogger("emulator")


#: What our own answers carry that are in no journal: no exchange has the number 0.
NOT_JOURNALLED = (("x-should-retry", "false"), ("x-emulator-exchange", "0"), ("x-emulator-rule", "refused"))


class OwnError(Exception):
    """A request that no provider answers, or that cannot be read; a control request that cannot be met."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)

    def body(self) -> Json:
        rows = [asdict(item) for item in self.problems]
        return {"error": {"code": self.code, "message": self.message, "problems": rows}}

    def answer(self, headers: Headers = NOT_JOURNALLED) -> Timeline:
        return render_body(self.body(), self.status, headers)


def invalid(message: str) -> OwnError:
    """Say what is wrong with a control request."""
    return OwnError(400, "invalid_request", message)


def crash(claim: Claim, grant: Grant, request: Request, error: Exception) -> Exchange:
    """Answer for a fault of ours."""
    from emulator.core.journal.describe import secrets_of  # a start does not wait for it

    secrets = secrets_of(request)
    text = printable_lines(without("".join(traceback.format_exception(error)), secrets))
    address = printable(without(request.address, secrets))
    log.error("the emulator failed on %s %s:\n%s", request.method, address, text)
    said = without(f"{type(error).__name__}: {error}", secrets)
    message = f"The emulator failed; this is a fault of its own, not of the request: {printable_lines(said)}"
    made = failure("emulator_crash", message, error, grant.number)
    return Exchange(claim, grant, request, made, "refused", crash=text)


def failure(code: str, message: str, error: Exception, number: int = 0) -> Timeline:
    """Return the 500 that is ours; `number` of the exchange, where it is in a journal."""
    headers = {"x-emulator-error": type(error).__name__, **dict(NOT_JOURNALLED), "x-emulator-exchange": str(number)}
    return OwnError(500, code, message).answer(tuple(headers.items()))


def unknown_claim(request: Request) -> Claim:
    """Return the claim of a request that could not be understood for a fault of ours."""
    return Claim(request.session, request.provider, None, Plan("unlimited"), request.at, False)
