"""What serves in CI and containers: each file is whole. .ci/containers.py lints them and runs their steps in order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from shown import ROOT

from emulator.cli.main import main

ACTION: Any = yaml.safe_load((ROOT / "action.yml").read_text())
#: An application that asks once and swallows what it is told.
ASK = """
import json, os, urllib.error, urllib.request

body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
try:
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers))
except urllib.error.HTTPError as error:
    error.close()
"""
#: A python3 whose `-m venv FOLDER` makes a folder with our command.
SHIM = """#!/bin/sh
mkdir -p "$3/bin"
ln -s /bin/true "$3/bin/pip"
printf '#!/bin/sh\\nexec PYTHON -m emulator "$@"\\n' > "$3/bin/emulator"
chmod +x "$3/bin/emulator"
"""
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_action_hands_every_input_to_its_script() -> None:
    [step] = ACTION["runs"]["steps"]
    given = {name.removeprefix("EMULATOR_").lower(): value for name, value in step["env"].items()}
    assert given == {name: f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}
    script = (ROOT / "clients" / "github" / "run.sh").read_text()
    assert set(re.findall(r"EMULATOR_\w+", script)) == set(step["env"])
    assert os.access(ROOT / "clients" / "github" / "run.sh", os.X_OK)


@pytest.mark.parametrize(("strict", "code"), [("true", 1), ("false", 0)])
def test_the_action_runs_a_command_and_writes_a_summary(tmp_path: Path, strict: str, code: int) -> None:
    """An environment that stands where the script makes one: installing is what CI does elsewhere."""
    shims = tmp_path / "shims"
    shims.mkdir()
    python = shims / "python3"
    python.write_text(SHIM.replace("PYTHON", sys.executable))
    python.chmod(0o755)
    (tmp_path / "a.yaml").write_text("emulator: 1\nprovider: openai\nrules: [{when: {model: x}, reply: {text: a}}]\n")
    (tmp_path / "ask.py").write_text(ASK)
    ask = f"{sys.executable} ask.py"
    inputs = {"RUN": ask, "SCENARIOS": "a.yaml", "STRICT": strict, "JOURNAL": "journal.jsonl"}
    given = {f"EMULATOR_{name}": value for name, value in inputs.items()}
    given |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "clients" / "github" / "run.sh"], cwd=tmp_path, env=os.environ | given, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "no rule answered exchange 1" in (tmp_path / "summary.md").read_text()
    assert json.loads((tmp_path / "journal.jsonl").read_text())["rule"] == "unmatched"


def test_the_image_installs_and_serves_what_there_is() -> None:
    """Its extras are the project's, its command is one of ours, its files are let through to the build."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"\[([\w,]+)\]'", DOCKERFILE):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    [command] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.M)
    words = json.loads(command)
    serve = main.get_command(None, words[0])  # type: ignore[arg-type]
    assert serve
    serve.make_context(words[0], words[1:])
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    built = {"pyproject.toml", "README.md", "LICENSE", "emulator", "schemas", "scenarios", "docs/pages"}
    assert kept == built
    assert all((ROOT / name).exists() for name in built)
    assert "\nUSER 10001\n" in DOCKERFILE


def test_the_services_of_compose_are_commands_of_ours() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    words = services["emulator"]["command"]
    serve = main.get_command(None, words[0])  # type: ignore[arg-type]
    assert serve
    serve.make_context(words[0], words[1:])
    assert services["emulator"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_the_hook_checks_scenarios() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "emulator check"
    files = [f"scenarios/{file.parent.name}/{file.name}" for file in (ROOT / "scenarios").glob("*/*.yaml")]
    assert files
    assert all(re.search(hook["files"], file) for file in files)


def test_their_steps_are_run_by_ci() -> None:
    assert "\n.venv/bin/python .ci/containers.py " in (ROOT / ".ci" / "run").read_text()
