"""One emulator for the whole test process, on a free port; tests that need a world of their own make a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from emulator import Emulator

settings.register_profile("no-deadline", deadline=None)  # a slow machine is no failure
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """The root URL of a running emulator."""
    with Emulator(plan="unlimited") as emulator:
        yield emulator.url
