"""What Prometheus reads at /_emulator/metrics: counted when an exchange ends, written as text when it is asked for.

The text format is three kinds of line, so there is no library for it here, and nothing to install.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from emulator.core.values import Exchange, Sent

TEXT = "text/plain; version=0.0.4; charset=utf-8"
#: Upper bounds of the buckets of lateness: seconds.
LATENESS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
#: How many series are kept; sessions come and go with rules of their own, which are then counted as OTHER.
MOST_SERIES = 2000
OTHER = "other"
_LABELS = ("provider", "operation", "status", "rule")
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class Metrics:
    """The counts of one process."""

    requests: Counter[tuple[str, str, int, str]] = field(default_factory=Counter)
    late: list[int] = field(default_factory=lambda: [0] * (len(LATENESS_S) + 1))
    late_s: float = 0.0

    def count(self, exchange: Exchange) -> None:
        """Count an exchange, or one that is like it."""
        series = (exchange.claim.provider, exchange.claim.operation or "", exchange.timeline.status, exchange.rule)
        if len(self.requests) >= MOST_SERIES and series not in self.requests:
            series = (*series[:3], OTHER)
        self.requests[series] += 1

    def time(self, exchange: Exchange, sent: Sent) -> None:
        """Count how late each frame of a paced stream was."""
        frames = exchange.timeline.frames
        if exchange.timeline.stream and frames and frames[-1].at and not exchange.timeline.endless:
            waits = [at - frame.at for frame, at in zip(frames, sent.frames, strict=False)]
            self.late_s += sum(waits)
            for late in waits:
                self.late[bisect_left(LATENESS_S, late)] += 1

    def text(self, sessions: int | None) -> str:
        """Return all of it in Prometheus' text format; nothing of the sessions where their number is not known."""
        head = _head("emulator_sessions", "gauge", "Sessions that exist, the default one included.")
        gauge = () if sessions is None else (*head, f"emulator_sessions {sessions}")
        return "\n".join([*self._requests(), *self._lateness(), *gauge, ""])

    def _requests(self) -> Iterator[str]:
        name = "emulator_requests_total"
        yield from _head(name, "counter", "Requests that reached a provider; rule is a rule's place, or how it ended.")
        for series, number in sorted(self.requests.items()):
            yield f"{name}{_labels(dict(zip(_LABELS, series, strict=True)))} {number}"

    def _lateness(self) -> Iterator[str]:
        name = "emulator_stream_lateness_seconds"
        yield from _head(name, "histogram", "How long after its time each frame of a paced stream was written.")
        total = sum(self.late)
        for bound, number in zip([*LATENESS_S, "+Inf"], accumulate(self.late), strict=True):
            yield f"{name}_bucket{_labels({'le': bound})} {number}"
        yield from (f"{name}_sum {self.late_s:.6f}", f"{name}_count {total}")


def _head(name: str, kind: str, said: str) -> Iterator[str]:
    yield from (f"# HELP {name} {said}", f"# TYPE {name} {kind}")


def _labels(labels: Mapping[str, object]) -> str:
    return "{" + ",".join(f'{name}="{str(value).translate(_ESCAPED)}"' for name, value in labels.items()) + "}"
