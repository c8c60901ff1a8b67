"""One emulator for the whole test process, on a free port; tests that need a world of their own make a session."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Tests start hundreds of processes: they share what the first of them compiled, whatever is the custom here. So do the
# processes of this run, which compile the package with its assertions rewritten.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# They share too what Hypothesis makes of Unicode, which takes a process the better part of a second.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).parents[1] / ".hypothesis"))

from hypothesis import HealthCheck, settings  # noqa: E402

from emulator import Emulator  # noqa: E402

# A slow machine is no failure; in CI the same examples come each time.
settings.register_profile(
    "emulator", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("emulator")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what all tests share (modules, strategies, thousands of tests), and seldom later.

    Drawing values makes so many small objects that looking for garbage took a fifth of the tests' time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(1_000, 10, 200)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests of half a minute each: begun last, they would leave the other processes idle."""
    items.sort(key=lambda item: item.path.name != "test_schemathesis.py")


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are processors: for a tenth of their time tests wait for others."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-examples", type=int, metavar="N", help="examples of each test in tests/fuzz, drawn anew")


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """The root URL of a running emulator."""
    with Emulator(plan="unlimited") as emulator:
        yield emulator.url
