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
from shown import ROOT, Block, blocks, text_of

from emulator.core.errors import STATUS
from emulator.core.provider.loading.folder import load_providers

HERE = Path(__file__).parent
PACKAGE = ROOT / "clients" / "node"
SDKS = ROOT / "tests" / "sockets" / "node" / "node_modules"
#: Stand-ins for what the docs' examples import beside the package.
STAND_INS = {"vitest": "vitest", "playwright": "@playwright/test"}
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
    # What the front page has its readers do: the command's whole output is what is installed.
    packed_in, folder = tmp_path_factory.mktemp("packed"), tmp_path_factory.mktemp("node")
    (packed_in / "llm-emulator").symlink_to(ROOT)
    [pack] = re.findall(r"npm install .*?\$\((.*?)\)", text_of("docs/pages/index.md"))
    packed = packed_in / _run("sh", "-c", pack, cwd=packed_in).rstrip("\n")
    modules = folder / "node_modules"
    modules.mkdir()
    _run("tar", "-xzf", str(packed), "-C", str(modules), cwd=folder)
    (modules / "package").rename(modules / "llm-emulator-node")
    for found in SDKS.iterdir():
        (modules / found.name).symlink_to(found)
    (modules / "@playwright").mkdir()
    for name, module in STAND_INS.items():
        shutil.copytree(HERE / "stand-ins" / name, modules / module)
    shutil.copytree(PACKAGE / "test", folder / "test")
    return folder


def _tsc(folder: Path, *options: str) -> None:
    tsc = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
    _run("node", str(tsc), "--strict", "--target", "es2022", "--module", "nodenext", *options, cwd=folder)


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


def _shown(language: str) -> list[Block]:
    return [block for file in SHOWN for block in blocks(file) if block.language == language]


def test_what_the_docs_show(installed: Path) -> None:
    """The examples in JavaScript and TypeScript; of those that are files with names, only the types are checked."""
    tests = [(block, "cjs" if block.label else "mjs") for block in _shown("js")]  # jest's has a name
    tests += [(block, "mts") for block in _shown("ts") if not block.label]
    for number, (block, end) in enumerate(tests):
        (installed / f"shown-{number}.test.{end}").write_text(f"// {block}\n{block.text}", encoding="utf-8")
    named = [block for block in _shown("ts") if block.label]
    for block in named:
        (installed / Path(block.label).with_suffix(".mts")).write_text(block.text, encoding="utf-8")
    (installed / "agent.d.ts").write_text("export declare function answer(question: string): Promise<string>;\n")
    types = ("--typeRoots", str(PACKAGE / "node_modules" / "@types"), "--types", "node", "--skipLibCheck")
    _tsc(installed, *types, "--outDir", ".", *sorted(file.name for file in installed.glob("*.mts")))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = [f"shown-{number}.test.{end.replace('mts', 'mjs')}" for number, (_, end) in enumerate(tests)]
    shutil.copy(HERE / "stand-ins" / "jest.mjs", installed)
    run = ("node", "--import", "./jest.mjs", "--test", "--test-reporter=tap", *names)
    said = _run(*run, cwd=installed, PATH=path, NO_COLOR="1")
    assert {"mjs", "mts", "cjs"} == {end for _, end in tests}
    assert f"# pass {len(tests)}\n" in said


@pytest.mark.parametrize("name", ["vitest.config.ts", "emulator.setup.ts", "agent.test.ts"])
def test_the_recipe_for_vitest_is_the_example(name: str) -> None:
    [block] = [block for block in _shown("ts") if block.label == name]
    assert (ROOT / "examples" / "vercel-ai-sdk" / name).read_text(encoding="utf-8").startswith(block.text)


def test_its_types(installed: Path) -> None:
    """They hold without the types of Node, and where libraries are checked too."""
    shutil.copy(HERE / "types.ts", installed / "types.mts")
    _tsc(installed, "--noEmit", "--typeRoots", "none", "--lib", "es2022", "--exactOptionalPropertyTypes", "types.mts")


def test_it_holds_what_it_needs_and_nothing_else(installed: Path) -> None:
    package = installed / "node_modules" / "llm-emulator-node"
    files = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
    own = {"package.json", "README.md", "LICENSE", "dist/cjs/package.json"}
    assert own <= files
    names = ("control", "emulator", "index", "process", "session", "time", "types")
    assert files - own == {
        f"dist/{form}/{name}.{end}" for form in ("esm", "cjs") for name in names for end in ("js", "d.ts")
    }


@pytest.mark.parametrize(
    ("interface", "part", "elsewhere"),
    [("When", "when", set()), ("Reply", "reply", set()), ("RuleOptions", "rule", {"when", "reply", "replies"}),
     ("ToolCall", "tool_call", set()), ("ToolResult", "tool_result", set()), ("Stream", "stream", set()),
     ("Fault", "fault", set()), ("Operator", "matcher", set())],
)  # fmt: skip
def test_its_types_take_the_keys_of_a_scenario_and_no_others(interface: str, part: str, elsewhere: set[str]) -> None:
    [body] = re.findall(rf"^export interface {interface} {{\n(.*?)^}}", TYPES, re.M | re.S)
    schema = json.loads((ROOT / "schemas" / "scenario.schema.json").read_text(encoding="utf-8"))["$defs"][part]
    [known] = [item["properties"] for item in [schema, *schema.get("anyOf", [])] if "properties" in item]
    assert set(re.findall(r"^  (\w+)\??:", body, re.M)) == set(known) - elsewhere


@pytest.mark.parametrize("name", ["Provider", "ErrorName"])
def test_its_types_know_names(name: str) -> None:
    [body] = re.findall(rf"^export type {name} = (.*?);$", TYPES, re.M | re.S)
    listed = set(re.findall(r'"(\w+)"', body))
    providers = load_providers()
    known = {"Provider": set(providers), "ErrorName": {name for item in providers.values() for name in item.errors}}
    every = {"Provider": set(providers), "ErrorName": set(STATUS)}
    assert every[name] <= listed <= known[name]


TYPES = (PACKAGE / "src" / "types.ts").read_text(encoding="utf-8")
