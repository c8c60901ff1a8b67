"""The Node package: built, packed and installed as its users install it, then its own tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shown import ROOT, blocks

PACKAGE = ROOT / "clients" / "node"
SDKS = ROOT / "tests" / "sockets" / "node" / "node_modules"
INSTALL = "npm ci --prefix clients/node && npm ci --prefix tests/sockets/node"


def _run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package from its tarball, the SDKs, and the package's tests."""
    ready = shutil.which("npm") and (PACKAGE / "node_modules" / "typescript").is_dir() and SDKS.is_dir()
    if not ready and "CI" not in os.environ:
        pytest.skip(f"Node, or what the package is built with, is not installed; run: {INSTALL}")
    assert ready, INSTALL
    folder = tmp_path_factory.mktemp("node")
    packed = _run("npm", "pack", "--silent", "--pack-destination", str(folder), cwd=PACKAGE).split()[-1]
    modules = folder / "node_modules"
    modules.mkdir()
    _run("tar", "-xzf", str(folder / packed), "-C", str(modules), cwd=folder)
    (modules / "package").rename(modules / "llm-emulator-node")
    for found in SDKS.iterdir():
        (modules / found.name).symlink_to(found)
    shutil.copytree(PACKAGE / "test", folder / "test")
    return folder


def test_its_own_tests(installed: Path) -> None:
    # Our command is the one of this environment, as a user's would be.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = _run("node", "--test", "--test-reporter=tap", cwd=installed, PATH=path, NO_COLOR="1")
    assert "# fail 0" in said
    assert "# pass 0" not in said


SHOWN = [
    "README.md",
    *(f"{page.relative_to(ROOT)}" for page in sorted((ROOT / "docs" / "pages").rglob("*.md"))),
    "clients/node/README.md",
]


def test_what_the_docs_show(installed: Path) -> None:
    found = [block for file in SHOWN for block in blocks(file) if block.language == "js"]
    assert found
    for number, block in enumerate(found):
        (installed / f"shown-{number}.test.mjs").write_text(f"// {block}\n{block.text}", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = [f"shown-{number}.test.mjs" for number in range(len(found))]
    said = _run("node", "--test", "--test-reporter=tap", *names, cwd=installed, PATH=path, NO_COLOR="1")
    assert f"# pass {len(found)}\n" in said


def test_it_holds_what_it_needs_and_nothing_else(installed: Path) -> None:
    package = installed / "node_modules" / "llm-emulator-node"
    files = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
    own = {"package.json", "README.md", "LICENSE", "dist/cjs/package.json"}
    assert own <= files
    names = ("control", "emulator", "index", "process", "session", "types")
    assert files - own == {
        f"dist/{form}/{name}.{end}" for form in ("esm", "cjs") for name in names for end in ("js", "d.ts")
    }


@pytest.mark.parametrize(
    ("interface", "part", "elsewhere"),
    [("When", "when", set()), ("Reply", "reply", set()), ("RuleOptions", "rule", {"when", "reply", "replies"}),
     ("ToolCall", "tool_call", set())],
)  # fmt: skip
def test_its_types_take_the_keys_of_a_scenario_and_no_others(interface: str, part: str, elsewhere: set[str]) -> None:
    types = (PACKAGE / "src" / "types.ts").read_text(encoding="utf-8")
    [body] = re.findall(rf"^export interface {interface} {{\n(.*?)^}}", types, re.M | re.S)
    schema = json.loads((ROOT / "schemas" / "scenario.schema.json").read_text(encoding="utf-8"))
    assert set(re.findall(r"^  (.+?)\??:", body, re.M)) == set(schema["$defs"][part]["properties"]) - elsewhere
