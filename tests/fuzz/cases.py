"""What a fuzzed case is: how many there are, how long one may take, and where one that fails is kept.

`pytest tests/fuzz` takes about a minute; with `--fuzz-examples N` each test makes N examples, other ones every time.
A case may use a second of processor time, ours and the server's: no busy machine makes it fail.

A case that fails leaves its smallest input as corpus/KIND/found. Give the file a name that says what it is, and commit
it: all that is in corpus/ is asked again in every run.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MOST_S = 1.0
#: For an answer that never comes; so long that no busy machine takes it: seconds.
TIMEOUT_S = 60
CORPUS = Path(__file__).with_name("corpus")
#: Examples of each test where the command line gives their number.
asked: list[int] = []


def fuzz(examples: int) -> settings:
    """Return the settings of a test: so many examples, or as many as the command line says."""
    return settings(
        max_examples=asked[0] if asked else examples, deadline=None, derandomize=not asked, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def kept(kind: str) -> list[Any]:
    """Return the inputs of a kind that are asked in every run, as parameters of a test."""
    return [pytest.param(file.read_bytes(), id=file.name) for file in sorted((CORPUS / kind).iterdir())]


@contextmanager
def case(kind: str, data: bytes, spent: Callable[[], float] | None = None) -> Iterator[None]:
    """Bound what one input may take; where it fails, keep it: the last one that fails is the smallest.

    `spent` tells the seconds that a server's processor has worked.
    """
    before = spent() if spent else 0.0
    try:
        with _stopped_after(MOST_S):
            yield
        if spent:
            worked = spent() - before
            assert worked <= MOST_S, f"the server worked {worked:.2f} s on one case"
    except Exception:
        (CORPUS / kind / "found").write_bytes(data)
        raise


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise in the middle of whatever takes more of this process's processor time."""

    def stop(number: int, frame: Any) -> None:
        raise AssertionError(f"one case takes over {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    gc.disable()  # what other tests left behind would be looked through on this one's time
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.enable()
        signal.signal(signal.SIGPROF, before)


def processor_time(pid: int) -> float:
    """Return how many seconds a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Bytes that are nearly right


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace pieces of some bytes: each edit is where, how many, by what."""
    for start, length, new in edits:
        start %= len(data) + 1
        data = data[:start] + new + data[start + length :]
    return data


_PIECES = st.binary(max_size=4) | st.sampled_from(
    [b'"', b"[", b"]", b"{", b"}", b",", b":", b"null", b"NaN", b"1e999", b"-0", b"9" * 30, b"\\ud800", b"\xed\xa0\x80",
     b"\xff", b"\x00", b"\n", b"\t", b"  ", b"true", b"'", b"&a", b"*a", b"!!python/object", b"${", b"- ", b": ", b"#"]
)  # fmt: skip
EDITS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 12), _PIECES), min_size=1, max_size=4)
