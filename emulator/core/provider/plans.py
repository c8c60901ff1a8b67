"""Plans, and the headers that show what is left of one."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.values import Plan

UNLIMITED = Plan("unlimited")
#: What the headers of a limit show where a plan has none.
UNLIMITED_SHOWN = 1_000_000

#: What headers can show beside the requests of a limit, its end in Unix seconds, and the request's id.
RATE_HOLES = frozenset(
    ("limit_tokens", "remaining_tokens", "reset_in", "reset_at", "reset_tokens", "reset_tokens_in", "reset_tokens_at",
     "remaining_tokens_rounded", "processing_ms", "model")
)  # fmt: skip


def read_plan(name: str, figures: Mapping[str, Json], refills: bool = False) -> Plan:
    """Return a plan of `requests_per_minute` and `tokens_per_minute`; what is left out is without limit."""
    return Plan(name, figures.get("requests_per_minute"), figures.get("tokens_per_minute"), refills)


@frozen
class HeaderScope:
    """The answers that have a header: of some operations (none: of all), but those of a status, and some streams."""

    operations: frozenset[str] = frozenset()
    not_on: frozenset[int] = frozenset()
    not_streamed: frozenset[str] = frozenset()

    def covers(self, operation: str | None, status: int, stream: bool) -> bool:
        """Tell whether an answer has the header."""
        if self.operations and operation not in self.operations:
            return False
        return status not in self.not_on and not (stream and operation in self.not_streamed)
