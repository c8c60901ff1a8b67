"""An endpoint of ours that breaks its answers as it is told, for the tests of the contract runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from broken_endpoint import BrokenEndpoint


@pytest.fixture(scope="session")
def broken(emulator_url: str) -> Iterator[BrokenEndpoint]:
    with BrokenEndpoint(emulator_url) as endpoint:
        yield endpoint
