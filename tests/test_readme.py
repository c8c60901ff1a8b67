"""What the README shows is true: its snippets run, its scenario loads, its figures are the providers'."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from emulator import Emulator, load_scenario
from emulator.cli import main
from emulator.core.folder import load_providers
from emulator.core.judges import COMMON

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def snippets(language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
    return [text for given, text in blocks if given == language]


def test_the_sdk_example_runs() -> None:
    with Emulator() as emulator:
        code = snippets("python")[1].replace("http://127.0.0.1:4010", emulator.url)
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_first_example_is_a_test_and_passes_as_written(tmp_path: Path) -> None:
    assert README.index("```python") < README.index("```\n", README.index("```python")) < README.index("## Start it")
    (tmp_path / "test_readme_example.py").write_text(snippets("python")[0])
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout


def test_the_contract_runs_from_python_and_from_the_command_line() -> None:
    lines = [
        line for line in README.splitlines() if line.startswith(("emulator contract", "API_KEY=... emulator contract"))
    ]
    assert len(lines) == 4
    with Emulator(plan="unlimited") as emulator:
        url = emulator.base_urls["beatra"]
        code = snippets("python")[2].replace("http://127.0.0.1:8080/v1", url)
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        words = shlex.split(lines[-1].replace("http://127.0.0.1:8080/v1", url), comments=True)
        done = CliRunner().invoke(main, words[1:])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "facts  1 passed")


def test_python_is_shown_three_times_and_the_verdict_table_names_every_finding() -> None:
    assert len(snippets("python")) == 3
    shown = re.findall(r"^\| `([\w-]+)`(?: \((advice)\))? \| .* \|$", README, re.M)
    facts = [fact for provider in load_providers().values() for fact in provider.facts.values()]
    asked = {(fact.id, "advice" if fact.advice else "") for fact in facts if fact.who == "client"}
    assert {row for row in shown if "-" in row[0]} == asked | {(name, "") for name in COMMON}


def curl_command(text: str) -> tuple[dict[str, str], str]:
    words = shlex.split(text.replace("\\\n", " "))
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    return headers, words[words.index("-d") + 1]


def test_curl_commands_get_an_answer_and_a_refusal() -> None:
    import httpx2

    commands = [text for text in snippets("") if text.startswith("curl")]
    statuses = []
    with Emulator() as emulator:
        for command in commands:
            headers, body = curl_command(command)
            url = f"{emulator.base_urls['beatra']}/chat/completions"
            statuses.append(httpx2.post(url, headers=headers, content=body).status_code)
    assert statuses == [200, 400]


def test_the_scenario_loads_and_the_check_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("retry.yaml").write_text(snippets("yaml")[0])
    Path("body.json").write_text('{"model": "auto", "messages": [{"role": "user", "content": "the report"}]}')
    assert load_scenario("retry.yaml").warnings == ()
    for line in README.splitlines():
        if line.startswith("emulator check"):
            result = CliRunner().invoke(main, shlex.split(line, comments=True)[1:])
            assert (result.exit_code, result.exception) in ((0, None), (1, result.exception)), result.output
            assert result.output.startswith(
                ("retry.yaml: ok, 2 rules", "answered by retry.yaml:4 (rule-1), status 429")
            )


def test_figures_are_the_providers() -> None:
    rows = re.findall(r"^\| \w+ \| `/(\w+)/v1` \| .* \| (\d+) / (\d+) \|$", README, re.M)
    counted = []
    for name, provider in load_providers().items():
        assumed = sum(fact.assumed for fact in provider.facts.values())
        counted.append((name, str(len(provider.facts) - assumed), str(assumed)))
    assert sorted(rows) == sorted(counted)
