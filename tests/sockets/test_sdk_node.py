"""The official Node SDK: `node --test` on the scripts beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
INSTALL = "npm ci --prefix tests/sockets/node"


def missing() -> str | None:
    """Return what is missing to run the script."""
    if shutil.which("node") is None:
        return f"node is not installed; install it, then run: {INSTALL}"
    if not (FOLDER / "node_modules" / "openai").is_dir():
        return f"the Node SDK is not installed; run: {INSTALL}"
    return None


def test_the_node_sdk(emulator_url: str) -> None:
    reason = missing()
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    assert reason is None, reason
    environment = {**os.environ, "EMULATOR_URL": emulator_url, "NO_COLOR": "1"}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "sdk.test.mjs", "responses.test.mjs"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout
