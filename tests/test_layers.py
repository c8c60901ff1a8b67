"""The drawing of the layers holds: a module imports only from lower ones, and importing the package costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "emulator"

#: The layers of emulator/core, lowest first. In each the order counts: a module may import those before it.
CORE: dict[int, list[str]] = {
    0: ["frozen", "printable", "errors", "tree", "wire", "store", "take", "framing", "memo"],
    1: ["secrets", "echoes", "explain", "oracle", "patterns", "schema", "source", "template", "tokens", "draws", "chat",
        "timing", "instance", "routes", "keys"],
    2: ["provider", "operations", "folder", "matching", "chunks", "reshape", "faults", "scenario", "parse", "attempts",
        "judges", "form", "journal", "to_scenario"],
    3: ["render", "said", "stream", "message", "embeddings", "builtin", "answers", "verdict", "verify", "candidates",
        "chaos", "openapi"],
    4: ["session", "understand", "reply", "repeats", "engine", "load"],
    5: ["unsaid", "relayed", "tellings", "retold", "recorder"],
}  # fmt: skip
LAYER = {module: layer for layer, modules in CORE.items() for module in modules}

#: What else each part of the package may import from it.
PARTS = {
    "stores": ["emulator.stores", *("emulator.core." + module for module in CORE[0])],
    "contract": [
        "emulator.core",
        "emulator.contract",
        "emulator.testing.client",
        "emulator.network.loopback",
        "emulator.network.proxies",
    ],
    "server": [
        "emulator.core",
        "emulator.stores",
        "emulator.server",
        "emulator.server.thread",
        "emulator.network.loopback",
        "emulator.network.proxies",
    ],
}
FREE = [
    "__init__",
    "__main__",
    "cli",
    "cli_contract",
    "cli_exec",
    "cli_record",
    "cli_check",
    "cli_new",
    "cli_providers",
    "cli_serve",
    "cli_store",
    "cli_streams",
    "cli_worker",
    "cli_workers",
    "client",
    "exchanges",
    "loopback",
    "testing",
    "teardown",
    "ports",
    "pytest_plugin",
    "virtual_time",
    "server_thread",
    "proxies",
]

#: What the core must not import, and who may nevertheless import which names.
OUTSIDE = ["asyncio", "socket", "threading", "time", "random", "multiprocessing", "subprocess", "selectors", "secrets"]
EXCEPTIONS = {("draws", "random"): ["Random"]}

MODULES = sorted(PACKAGE.rglob("*.py"))
CORE_MODULES = sorted((PACKAGE / "core").glob("*.py"))


def imports(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each module that a file imports, inside functions too, and the names that it takes from it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            names = [alias.name for alias in node.names]
            if node.module in ("emulator", "emulator.core"):
                yield from ((f"{node.module}.{name}", []) for name in names)
            else:
                yield node.module or "", names


def ours(file: Path) -> list[str]:
    return [module for module, _ in imports(file) if module.split(".")[0] == "emulator"]


def test_every_module_has_its_place() -> None:
    core = {file.stem for file in CORE_MODULES} - {"__init__"}
    others = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in MODULES} - {"core"}
    assert (core, others) == (set(LAYER), {*PARTS, *FREE})


@pytest.mark.parametrize("file", CORE_MODULES, ids=lambda file: file.stem)
def test_a_module_of_the_core_imports_lower_layers_only(file: Path) -> None:
    if file.stem == "__init__":
        assert ours(file) == []
        return
    layer = LAYER[file.stem]
    siblings = CORE[layer][: CORE[layer].index(file.stem)]
    allowed = {module for module, below in LAYER.items() if below < layer} | set(siblings)
    assert {module.removeprefix("emulator.core.") for module in ours(file)} - allowed == set()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_what_the_drawing_allows(part: str) -> None:
    wrong = [
        f"{file.name}: {module}"
        for file in sorted((PACKAGE / part).rglob("*.py"))
        for module in ours(file)
        if not any(module == allowed or module.startswith(allowed + ".") for allowed in PARTS[part])
    ]
    assert wrong == []


def test_no_circle() -> None:
    graph = {file.stem: {name.removeprefix("emulator.core.") for name in ours(file)} for file in CORE_MODULES}
    while leaves := [module for module, needed in graph.items() if not needed & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert graph == {}


@pytest.mark.parametrize("file", CORE_MODULES, ids=lambda file: file.stem)
def test_the_core_has_no_clock_no_sockets_and_no_chance(file: Path) -> None:
    found = [
        (module, names)
        for module, names in imports(file)
        if module.split(".")[0] in OUTSIDE and EXCEPTIONS.get((file.stem, module)) != names
    ]
    assert found == []
    text = file.read_text()
    assert [word for word in ("os.environ", "os.getenv", "print(", "input(") if word in text] == []


def test_no_name_of_a_provider_stands_in_python() -> None:
    names: list[str] = []
    for file in sorted((ROOT / "schemas").glob("*/provider.yaml")):
        data = yaml.safe_load(file.read_text())
        names += [data["name"], data["base_url"].split("/")[2], data["facts"][0]["id"].split("-")[0] + "-"]
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in MODULES
        for name in names
        if any(_names(constant, name) for constant in _words(file))
    ]
    assert len(names) >= 12
    assert found == []


def _names(text: str, name: str) -> bool:
    return text.startswith(name) if name.endswith("-") else name in text.lower()


def _words(file: Path) -> list[str]:
    """Return what a file says: its names and constants, not its docstrings, which may show an example."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return [word for word in [*words, *names] if word not in docstrings]


@pytest.mark.parametrize("statement", ["import emulator", "import emulator.cli.main"])
def test_importing_costs_nothing(statement: str) -> None:
    heavy = [
        "uvicorn",
        "jsonschema",
        "jsonschema_rs",
        "starlette",
        "orjson",
        "yaml",
        "httptools",
        "asyncio",
        "httpcore2",
        "hypothesis",
        "redis",
    ]
    code = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_names_of_the_package_load_when_they_are_used() -> None:
    import emulator
    from emulator.core.errors import SourceError
    from emulator.core.provider.folder import load_provider
    from emulator.server.background import Emulator

    assert (emulator.Emulator, emulator.SourceError, emulator.load_provider) == (Emulator, SourceError, load_provider)
    with pytest.raises(AttributeError) as caught:
        emulator.Nothing  # noqa: B018
    assert str(caught.value) == "module 'emulator' has no attribute 'Nothing'"
