"""A real Chromium, and a server for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from emulator import Emulator

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Emulator(plan="unlimited") as emulator:
        yield emulator.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; a loop of its own runs while it does, hence not for longer than this module."""
    program = shutil.which("chromium")
    if program is None and "CI" not in os.environ:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    assert program, "chromium is not installed; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield started
        started.close()
