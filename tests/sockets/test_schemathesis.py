"""Schemathesis runs each provider's OpenAPI document against the server: no server error, nothing that breaks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from emulator.core.provider.loading.folder import load_providers

KEY = "key-of-the-tests"
BEARER = f"Authorization: Bearer {KEY}"
#: A repeated idempotency key is refused whatever the schema says; where there are rules, what no schema says is too.
CONFIG = "[checks]\npositive_data_acceptance.expected-statuses = [200, 409, 422{more}]\n"
BEYOND = ", 400, 403, 404"
#: Paths that take the bodies of another, to count their tokens or to stream: each place is tried there, and drawn here.
DRAWN_ONLY = "[[operations]]\ninclude-path = '{path}'\nphases.coverage.enabled = false\n"
PROVIDERS = load_providers()


def schemathesis(folder: Path, provider: str, scenario: dict[str, Any], phases: str) -> tuple[int, str]:
    """Run the command with a bound on the cases of each operation; return its code and what it told."""
    file = folder / "s.yaml"
    file.write_text(str({"emulator": 1, "provider": provider, "rules": [], **scenario}))
    ruled = any(operation.conversation for operation in PROVIDERS[provider].operations.values())
    operations = PROVIDERS[provider].operations.values()
    again = [item.path for item in operations if item.kind == "tokens"] + [item.streams_at for item in operations]
    config = [CONFIG.format(more=BEYOND if ruled else ""), *(DRAWN_ONLY.format(path=path) for path in again if path)]
    (folder / "schemathesis.toml").write_text("".join(config))
    with_405 = PROVIDERS[provider].errors[PROVIDERS[provider].wrong_method]["status"] == 405
    places = PROVIDERS[provider].accepts
    # Where a key may stand in several places, a wrong key in one goes with the right one in another, in any order.
    alone = len(places) == 1
    excluded = [*([] if with_405 else ["unsupported_method"]), *([] if alone else ["ignored_auth"])]
    without = ["--exclude-checks", ",".join(excluded)] if excluded else []
    sent = [f"{place.name}: {KEY}" if place.kind == "header" else BEARER for place in places if place.kind != "query"]
    headers = [word for header in sent for word in ("--header", header)]
    with Emulator(file, plan="unlimited", api_keys=[KEY] if alone else []) as emulator:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run",
            f"{emulator.url}/_emulator/openapi/{provider}.json", "--url", emulator.base_urls[provider],
            *headers, "--checks", "all", "--phases", phases,
            "--max-examples", "10", "--seed", "1", "--continue-on-failure", "--no-shrink",
            "--generation-database", "none", "--suppress-health-check", "too_slow", *without,
        ]  # fmt: skip
        environment = {**os.environ, "NO_COLOR": "1", "NO_PROXY": "*"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_schemathesis_finds_nothing(provider: str, tmp_path: Path) -> None:
    window = PROVIDERS[provider].context_fact  # no schema can say how long a conversation may be
    code, told = schemathesis(tmp_path, provider, {"mute": [window] if window else []}, "coverage,fuzzing")
    assert code == 0, told
    assert re.search(r"(\d+) generated, \1 passed", told), told


def test_schemathesis_finds_what_is_wrong_in_a_stream(tmp_path: Path) -> None:
    rules = [{"reply": {"events": [{"choices": "none"}], "off_contract": True}}]
    code, told = schemathesis(tmp_path, "beatra", {"rules": rules}, "fuzzing")
    assert code == 1, told
    assert "SSE event violates schema" in told
