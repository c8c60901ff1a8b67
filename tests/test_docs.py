"""What the site shows is true: tests pass, scenarios load, commands are understood, the reference is whole."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from build import PROVIDERS, scenario
from shown import ROOT, Block, blocks

from emulator.cli.main import main
from emulator.contract.checks.table import CHECKS

sys.path.insert(0, str(ROOT / "docs"))
import reference

pytest_plugins = ["pytester"]

MADE = reference.pages()
PAGES = sorted(file.relative_to(reference.GUIDES).as_posix() for file in reference.GUIDES.rglob("*.md"))
BLOCKS = [block for page in PAGES for block in blocks(f"docs/pages/{page}")]
#: Programs that the site shows beside ours.
OTHERS = ("pip", "node", "npm", "npx", "docker", "pytest", "vitest", "python3", "curl")


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def test_the_python_examples_pass(pytester: pytest.Pytester) -> None:
    """All in one run: each is a file of tests, as a reader would have it."""
    for number, block in enumerate(of("python")):
        assert "def test_" in block.text, block
        (pytester.path / f"test_{number}.py").write_text(f"# {block}\n{block.text}", encoding="utf-8")
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")
    shown = sum(len(re.findall(r"^(?:async )?def test_|^    def test_", block.text, re.M)) for block in of("python"))
    done.assert_outcomes(passed=shown)


@pytest.mark.parametrize("block", [*of("yaml"), *of("json")], ids=str)
def test_yaml_and_json_load(block: Block) -> None:
    data = yaml.safe_load(block.text)
    assert isinstance(data, dict | list)
    if "emulator" in data:
        assert scenario(block.text).warnings == ()


@pytest.mark.parametrize("block", of(""), ids=str)
def test_commands_are_understood(block: Block) -> None:
    for line in block.commands:
        words = shlex.split(line, comments=True)
        words = words[next(index for index, word in enumerate(words) if "=" not in word or word.startswith("-")) :]
        if words[0] not in ("emulator", "llm-emulator"):
            assert words[0] in OTHERS, line
            continue
        command = main.get_command(None, words[1])  # type: ignore[arg-type]
        assert command is not None, line
        command.make_context(words[1], words[2:])


def test_every_block_is_tried() -> None:
    """A block of another language has a test of its own: JavaScript's and TypeScript's are in tests/clients."""
    assert {block.language for block in BLOCKS} <= {"python", "yaml", "json", "", "js", "ts"}


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\((?!https?:|#)([^)#\s]+)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def test_pages_are_called_as_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = [(page, f"{section} {name}" if section == "Coming from" else name)
             for part in nav for section, items in part.items() if isinstance(items, list)
             for item in items for name, page in item.items()]  # fmt: skip
    texts = {page: MADE.get(page) or (ROOT / "docs" / "pages" / page).read_text(encoding="utf-8") for page, _ in named}
    assert named == [(page, re.findall("^# (.+)$", text, re.M)[0]) for page, text in texts.items()]


def test_a_finding_says_what_is_asked_and_by_whom() -> None:
    rows = [line.strip("| ").split(" | ") for line in reference.findings().splitlines() if line.startswith("| `")]
    assert rows
    assert all(len(row) == 3 and all(row) for row in rows)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_in_the_checkout_and_on_the_site(page: str) -> None:
    folder = (reference.GUIDES / page).parent
    text = (reference.GUIDES / page).read_text(encoding="utf-8")
    assert [link for link in links_of(text) if not (folder / link).exists()] == []
    assert [link for link in links_of(MADE[page]) if os.path.normpath(Path(page).parent / link) not in MADE] == []
    assert re.findall(r"^```.*?^```$", text, re.M | re.S) == re.findall(r"^```.*?^```$", MADE[page], re.M | re.S)


def test_the_checks_of_contracts_are_told_as_they_are() -> None:
    text = (ROOT / "schemas" / "README.md").read_text(encoding="utf-8")
    told = dict(
        re.findall(r"(?m)^\| `(\w+)` \| ([^|]*) \| [^|]+ \|$", text.partition("## Checks")[2].partition("\n## ")[0])
    )
    known = {
        name: ", ".join(
            f"`{item.name}`" + ("" if item.default is item.empty else "?")
            for item in list(inspect.signature(check).parameters.values())[1:]
        )
        for name, check in CHECKS.items()
    }
    assert told == known


def test_the_reference_names_every_key_command_and_fact() -> None:
    schema = json.loads((ROOT / "schemas" / "scenario.schema.json").read_text())
    keys = {*schema["properties"], *schema["$defs"]["rule"]["properties"], *schema["$defs"]["when"]["properties"]}
    assert [key for key in keys if f"| `{key}` |" not in MADE["reference/scenario-keys.md"]] == []
    commands = main.list_commands(None)  # type: ignore[arg-type]
    assert [name for name in commands if f"## emulator {name}" not in MADE["reference/command-line.md"]] == []
    for name, provider in PROVIDERS.items():
        page = MADE[f"reference/providers/{name}.md"]
        assert [fact for fact in provider.facts if f"| `{fact}` |" not in page] == []
