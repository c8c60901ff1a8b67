"""A request that no session answers: our own error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from emulator.core.errors import Json, Problem, SourceError


class Unaddressed(Exception):
    """A request that no provider answers, or a control request that cannot be met: our own error."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)

    def body(self) -> Json:
        rows = [asdict(item) for item in self.problems]
        return {"error": {"code": self.code, "message": self.message, "problems": rows}}


def invalid(message: str) -> Unaddressed:
    """Say what is wrong with a control request."""
    return Unaddressed(400, "invalid_request", message)


def unloadable(error: SourceError) -> Unaddressed:
    """Say what is wrong with a scenario that was sent."""
    return Unaddressed(422, "invalid_scenario", str(error), error.problems)
