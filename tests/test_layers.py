"""The drawing of the layers holds: a room imports only from those below it, and importing the package costs nothing."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "emulator"

#: Each room of the core may import the ground and the rooms that stand before it.
CORE_ROOMS = (
    "secrets",
    "schema",
    "wires",
    "provider",
    "faults",
    "scenario",
    "answer",
    "engine",
    "journal",
    "recording",
)
GROUND = sorted(
    f"core.{file.stem}" for file in (PACKAGE / "core").glob("*.py") if file.stem != "__init__"
)  # the modules that stand in no room
CORE = [*GROUND, *(f"core.{room}" for room in CORE_ROOMS)]

#: What each part of the package may import beside itself. A part is a module, or a folder with all below it.
DRAWING: Mapping[str, list[str]] = {
    **{name: [*GROUND, "core.wires"] for name in GROUND},  # a call has its conversation
    **{f"core.{room}": [*GROUND, *(f"core.{lower}" for lower in CORE_ROOMS[:number])]
       for number, room in enumerate(CORE_ROOMS)},
    "network": [],
    "stores": GROUND,
    "server.own_errors": CORE,
    "server.metrics": CORE,
    "server.certificate": CORE,
    "server.real_time": [],
    "server.sessions": [*CORE, "stores", "server.metrics", "server.own_errors", "server.real_time", "server.upstream"],
    "server.upstream": [*CORE, "network"],
    "server.http": [*CORE, "server.own_errors", "server.real_time", "server.sessions", "server.upstream"],
    "server.control": [
        *CORE, "network", "stores", "server.metrics", "server.own_errors", "server.real_time", "server.sessions",
    ],
    "server": [*CORE, "stores", "network"],
    "testing": [*CORE, "server", "network"],
    "pytest_plugin": ["testing"],
    "contract": [*CORE, "network", "testing.client"],
    "cli": [*CORE, "stores", "network", "server", "testing", "contract"],
    "": [*CORE, "server", "testing", "cli"],
}  # fmt: skip

#: What the core must not import, and who may nevertheless import which names.
OUTSIDE = ["asyncio", "socket", "threading", "time", "random", "multiprocessing", "subprocess", "selectors", "secrets"]
EXCEPTIONS = {("seeded_random", "random"): ["Random"]}
#: How many modules a room has at the most.
MOST_MODULES = 12

FILES = sorted(PACKAGE.rglob("*.py"))
CORE_FILES = sorted((PACKAGE / "core").rglob("*.py"))


def name_of(file: Path) -> str:
    """Return a module's name without the package's: server.http.player."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(file): file for file in FILES}


def imports(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each module that a file imports, inside functions and for type checkers too, and the names it takes."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield node.module or "", [alias.name for alias in node.names]


def ours(file: Path) -> set[str]:
    """Return the modules of the package that a file imports."""
    found = set()
    for module, names in imports(file):
        top, _, name = module.partition(".")
        if top == "emulator":
            inner = {".".join(filter(None, (name, item))) for item in names} & NAMES.keys()
            found |= inner or {name}
    return found


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports: read where a test asks, not wherever the tests are collected."""
    return {name: ours(file) for name, file in NAMES.items()}


def part_of(name: str) -> str:
    """Return the part of the drawing that a module belongs to: the narrowest."""
    while name not in DRAWING:
        name = name.rpartition(".")[0]
    return name


def belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_what_the_drawing_allows(name: str) -> None:
    part = part_of(name)
    wrong = {module for module in graph()[name] if not any(belongs(module, item) for item in [part, *DRAWING[part]])}
    assert wrong == set()


def test_no_circle_of_modules() -> None:
    assert circle({name: set(needed) for name, needed in graph().items()}) == {}


def test_no_circle_of_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for name, needed in graph().items():
        rooms.setdefault(part_of(name), set()).update(map(part_of, needed))
    assert circle({room: needed - {room} for room, needed in rooms.items()}) == {}


def circle(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is left of a graph when leaves are taken off as long as there are any."""
    while leaves := [module for module, needed in graph.items() if not needed & graph.keys()]:
        for module in leaves:
            del graph[module]
    return graph


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda folder: folder.name)
def test_a_room_says_its_purpose_and_is_not_crowded(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert text
    assert text.endswith(".")
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("file", CORE_FILES, ids=name_of)
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
        for file in FILES
        for words in [_words(file)]
        for name in names
        if name != "compatible"  # a level of validation has that name too
        if any(_names(constant, name) for constant in words)
    ]
    assert len(names) >= 12
    assert found == ["emulator/server/tracing.py: gemini"]  # as the conventions for spans name it


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
    from emulator.core.provider.loading.folder import load_provider
    from emulator.testing.emulator import Emulator

    assert (emulator.Emulator, emulator.SourceError, emulator.load_provider) == (Emulator, SourceError, load_provider)
    with pytest.raises(AttributeError) as caught:
        emulator.Nothing  # noqa: B018
    assert str(caught.value) == "module 'emulator' has no attribute 'Nothing'"
