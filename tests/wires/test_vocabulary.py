"""The vocabulary of wires is closed: a word stays while two wires use it; what wires say stands nowhere in Python."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.core.schema.formats import data_folder
from emulator.core.wires.loading.parser import WORDS
from emulator.core.wires.template import ANSWER, PART, PIECE, ROWS
from tests.wires.asks import MADE_UP
from tests.wires.build import SCHEMAS

FILES = sorted(
    file
    for folder in (data_folder("schemas"), SCHEMAS)
    for pattern in ("wires/*.yaml", "*/*.wire.yaml")
    for file in folder.glob(pattern)
)
DATA = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in FILES]


def walk(value: Any) -> Iterator[Any]:
    """Yield all that a value holds, names of fields too."""
    yield value
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def words_of(data: Any) -> set[str]:
    """Return the words and holes of a wire's templates."""
    asked = data.get("request", {}).get("messages", {})
    templates = [*walk(data.get("response")), *walk(data.get("stream")), *walk(asked.get("parts"))]
    texts = [item for item in templates if isinstance(item, str)]
    holes = {hole for text in texts for hole in re.findall(r"\$\{([^}]+)\}", text)}
    return (
        holes
        | {text for text in texts if text in WORDS}
        | {item[word] for item in templates for word in ("$if", "$rows") if isinstance(item, dict) and word in item}
        | ({"~"} if any(text.endswith("~") for text in texts) else set())
    )


#: What rows have; the number of an annotation is told by one wire, whose events have it.
OF_ROWS = {*ROWS, *(hole for holes in ROWS.values() for hole in holes)} - {"annotation.index"}


@pytest.mark.parametrize("word", [*ANSWER, *PART, PIECE, *WORDS, *sorted(OF_ROWS), "~"])
def test_a_word_of_templates_is_used_by_two_wires(word: str) -> None:
    assert sum(word in words_of(data) for data in DATA) >= 2


def keys(schema: Any, data: Any, root: Any) -> Iterator[str]:
    """Yield the keys of a wire that the schema names, as paths."""
    schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    for name, inner in schema.get("properties", {}).items():
        if isinstance(data, dict) and name in data:
            yield name
            yield from (f"{name}.{key}" for key in keys(inner, data[name], root))


def named(schema: Any, root: Any) -> Iterator[str]:
    schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{key}" for key in named(inner, root))


SCHEMA = json.loads((data_folder("schemas") / "wire.schema.json").read_bytes())
USED = Counter(key for data in DATA for key in keys(SCHEMA, data, SCHEMA))
#: A change of a wire names it; no wire of ours has words between the pieces of what it does not begin; one provider has
#: a wire with a prompt, one has models that reason unasked and tell it when asked, and in one wire a field tells custom
#: tools from others.
ONCE = {"request.reasoning", "request.tools.custom.is", "stream.custom.end",
        "like", "request.prompt", "request.prompt.at", "request.prompt.echo",
        "stream.reasoning.begin", "stream.reasoning.end", "stream.text.begin", "stream.text.end",
        "stream.refusal.begin", "stream.refusal.end"}  # fmt: skip


@pytest.mark.parametrize("key", sorted({*named(SCHEMA, SCHEMA)} - ONCE))
def test_a_key_is_used_by_two_wires(key: str) -> None:
    assert USED[key] >= 2


#: What wires say, of their fields and the texts that tell forms apart, that nothing else in the package has a use for.
ONLY_WIRES = {
    "choices", "delta", "message", "messages", "role", "assistant", "tool_call_id", "tool_choice", "image_url",
    "max_tokens", "stream_options", "include_usage", "response_format", "json_schema", "json_object", "chat.completion",
    "chat.completion.chunk", "[DONE]", "function",
}  # fmt: skip
#: Where such a word is one of ours: a role and a message as the matchers have them, the problems of our own errors, a
#: budget of the command line, a choice of the wire's own vocabulary, texts that are sent to try a server.
OURS = {
    "core/wires": {"choices", "messages", "tool_choice", "role", "assistant", "message"},
    "core": {"message", "assistant", "messages", "choices", "tool_choice"},
    "contract": {"message", "messages", "max_tokens", "[DONE]"},
    "core/schema/instances/scalars.py": {"delta"},  # a name for made-up values
    "": {"message"},
}


def said_in(file: Path) -> set[str]:
    """Return the strings of a module, its docstrings aside."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            } - docstrings  # fmt: skip


def test_what_only_wires_say_stands_nowhere_in_the_package() -> None:
    package = Path(__file__).parents[2] / "emulator"
    found = set()
    for file in package.rglob("*.py"):
        place = file.relative_to(package)
        within = [folder.as_posix() for folder in place.parents if folder.as_posix() in OURS]
        ours = OURS[within[0] if within else ""] | OURS.get(place.as_posix(), set())
        paths = [text for text in said_in(file) if re.fullmatch(r"[a-z_*.0-9\[\]A-Z]+", text)]
        words = {step for text in paths for step in (text, *re.split(r"[.]", text))}
        found |= {f"{file.relative_to(package)}: {word}" for word in words & (ONLY_WIRES - ours)}
    assert found == set()


def test_no_module_knows_a_made_up_api() -> None:
    package = Path(__file__).parents[2] / "emulator"
    texts = {str(file.relative_to(package)): file.read_text().lower() for file in package.rglob("*.py")}
    assert [file for file, text in texts.items() if any(name in text for name in MADE_UP)] == []


def test_the_words_that_only_wires_say_are_those_of_a_wire() -> None:
    said = {item for data in DATA for item in walk(data) if isinstance(item, str)}
    steps = {step for text in said for step in (text.removesuffix("~"), *re.split(r"[.\[\]~]+", text))}
    assert ONLY_WIRES - steps == set()
