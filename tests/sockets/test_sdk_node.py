"""The official Node SDKs: `node --test` on the scripts beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
INSTALL = "npm ci --prefix tests/sockets/node"
#: The scripts that need an SDK.
SCRIPTS = {
    "openai": ("sdk.test.mjs", "responses.test.mjs"),
    "@anthropic-ai/sdk": ("anthropic.test.mjs",),
    "@google/genai": ("gemini.test.mjs",),
}


def missing(sdk: str) -> str | None:
    """Return what is missing to run the scripts of an SDK."""
    if shutil.which("node") is None:
        return f"node is not installed; install it, then run: {INSTALL}"
    if not (FOLDER / "node_modules" / sdk).is_dir():
        return f"the Node SDK {sdk} is not installed; run: {INSTALL}"
    return None


@pytest.mark.parametrize("sdk", SCRIPTS)
def test_the_node_sdk(sdk: str, emulator_url: str) -> None:
    reason = missing(sdk)
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    assert reason is None, reason
    environment = {**os.environ, "EMULATOR_URL": emulator_url, "NO_COLOR": "1"}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", *SCRIPTS[sdk]],
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


def test_every_script_is_run() -> None:
    assert {file.name for file in FOLDER.glob("*.test.mjs")} == {name for names in SCRIPTS.values() for name in names}
