"""The pages of the reference that are made from schemas and code, so that they cannot say otherwise."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from emulator.cli.main import main
from emulator.core.journal.client_rules import COMMON
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.provider import Provider
from emulator.core.schema.formats import data_folder

Json = Any
Rows = Sequence[Sequence[str]]


def table(head: Sequence[str], rows: Rows) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in [head, ["---"] * len(head), *rows])


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("\n", " ")


# The command line


def command_line() -> str:
    """Return a section for each command: what it does, how it is called, its options."""
    context = click.Context(main, info_name="emulator", **main.context_settings)
    return "\n\n".join(["# Command line", *_commands(context)])


def _commands(context: click.Context) -> Iterator[str]:
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        options = [_option(item, inner) for item in command.get_params(inner) if isinstance(item, click.Option)]
        yield f"## emulator {name}"
        yield f"```text\n{command.get_usage(inner).removeprefix('Usage: ')}\n```"
        yield inspect.cleandoc(command.help or "")
        yield table(["option", "what it does"], [row for row in options if row])


def _option(option: click.Option, context: click.Context) -> list[str]:
    name, text = option.get_help_record(context) or ("", "")
    return [f"`{name}`", text] if name else []


# Schemas of our files


def scenario_keys() -> str:
    return _keys(
        "scenario",
        "Scenario keys",
        {"rule": "Rules", "when": "When", "reply": "Replies", "stream": "Streams", "faults": "Faults"},
    )


def provider_keys() -> str:
    return _keys("provider", "Provider keys", {"operation": "Operations", "fact": "Facts", "plan": "Plans"})


def wire_keys() -> str:
    return _keys("wire", "Wire keys", {})


def _keys(name: str, title: str, first: Mapping[str, str]) -> str:
    """Return the keys of a schema: those of the file, then of each of its parts, the named ones first."""
    schema = json.loads((data_folder("schemas") / f"{name}.schema.json").read_text(encoding="utf-8"))
    parts = schema.get("$defs", {})
    names = [*first, *(item for item in parts if item not in first)]
    sections = [f"# {title}", schema.get("description", ""), _properties(schema)]
    for part in names:
        if not _properties(parts[part]):
            continue
        sections += [
            f"## {first.get(part) or part.replace('_', ' ')}",
            parts[part].get("description", ""),
            _properties(parts[part]),
        ]
    return "\n\n".join(section for section in sections if section)


def _properties(schema: Json) -> str:
    found = dict(_fields(schema))
    rows = [[f"`{name}`", _kind(item), item.get("description", "")] for name, item in found.items()]
    return table(["key", "is", "what it says"], rows) if rows else ""


def _fields(schema: Json, before: str = "") -> Iterator[tuple[str, Json]]:
    """Yield the properties of a schema, of what is in them, and of its alternatives, with dotted names."""
    for name, item in schema.get("properties", {}).items():
        if isinstance(item, dict):
            yield f"{before}{name}", item
            yield from _fields(item, f"{before}{name}.")
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], f"{before.removesuffix('.')}[].")
    for word in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(word, []):
            yield from _fields(branch, before)


def _kind(schema: Json) -> str:
    """Say in a word or two what a value is."""
    if "$ref" in schema:
        part = schema["$ref"].rpartition("/")[2]
        return part.replace("_", " ")
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(item).strip(chr(34))}`" for item in schema["enum"][:6])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {})) or 'values'}"
    if isinstance(kind, list):
        return " or ".join(kind)
    branches = [_kind(item) for word in ("anyOf", "oneOf") for item in schema.get(word, [])]
    return kind or " or ".join(dict.fromkeys(item for item in branches if item))


# What is emulated


def providers() -> str:
    """Return what each provider serves, and how many of its facts are documented and assumed."""
    rows = []
    for item in load_providers().values():
        assumed = sum(fact.assumed for fact in item.facts.values())
        served = "<br>".join(f"`{one.method} {one.path}`" for one in item.operations.values())
        address = f'<code class="whole">/{item.name}{item.base_path}</code>'
        title = f"[{item.title}](providers/{item.name}.md)"
        rows.append([title, address, served, str(len(item.facts) - assumed), str(assumed)])
    return "\n\n".join(["# Providers", table(["provider", "base URL here", "serves", "documented", "assumed"], rows)])


def provider(item: Provider) -> str:
    """Return every fact of a provider, with its source."""
    sections = [f"# {item.title}", f"Its docs name `{item.base_url}`; here it is at `/{item.name}{item.base_path}`."]
    for title, assumed in (("What its docs say", False), ("What is assumed, where they are silent", True)):
        facts = [fact for fact in item.facts.values() if fact.assumed is assumed]
        rows = [[f"`{fact.id}`", fact.who, fact.text, fact.evidence, fact.source] for fact in facts]
        if rows:
            sections += [f"## {title}", table(["fact", "about", "what", "known by", "source"], rows)]
    return "\n\n".join(sections)


def findings() -> str:
    """Return what the verdict judges of a client: everywhere, and where a provider's docs ask for it."""
    rows = [[f"`{name}`", asked or "a retry comes no earlier than Retry-After says", where]
            for name, (_, source) in COMMON.items() for where, _, asked in [source.partition(": ")]]  # fmt: skip
    for item in load_providers().values():
        facts = [fact for fact in item.facts.values() if fact.who == "client"]
        rows += [
            [f"`{fact.id}`{' (advice)' if fact.advice else ''}", fact.text, f"{item.title}: {fact.source}"]
            for fact in facts
        ]
    head = ["finding", "what the docs ask", "source"]
    told = (
        "A finding is something that a client did though the docs ask otherwise, or something odd that it did. The "
        "[verdict](manual.md#the-verdict-on-the-client) judges each of these: `assert_well_behaved()`, `exec --strict` "
        "and the inspector tell what failed. `ignore=[...]`, `--ignore` and `mute:` take these names."
    )
    return "\n\n".join(["# Findings", told, table(head, rows)])


def written() -> dict[str, str]:
    """Return the guides and references of the repository as pages: links between them stay, those to code go."""
    return {page: _relinked(file, (ROOT / file).read_text(encoding="utf-8")) for file, page in _WRITTEN.items()}


def _relinked(file: str, text: str) -> str:
    places = _WRITTEN | {"schemas": "reference/providers.md"}

    def link(found: re.Match[str]) -> str:
        words, path, anchor = found.groups()
        target = os.path.normpath(Path(file).parent / path) if path else file
        if target not in places:
            return words
        page = os.path.relpath(places[target], Path(places[file]).parent) if path else ""
        return f"[{words}]({page}{anchor or ''})"

    return re.sub(r"\[([^\]]+)\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)", link, text)


def pages() -> dict[str, str]:
    """Return the text of each page by its path."""
    made = {f"reference/{name}.md": make() for name, make in _PAGES.items()} | written()
    return made | {f"reference/providers/{name}.md": provider(item) for name, item in load_providers().items()}


ROOT = Path(__file__).resolve().parent.parent
GUIDES = ROOT / "docs" / "pages"
_WRITTEN = {
    **{f"docs/pages/{page}": page for page in (file.relative_to(GUIDES).as_posix() for file in GUIDES.rglob("*.md"))},
    "emulator/README.md": "reference/manual.md",
    "scenarios/README.md": "reference/scenarios.md",
    "schemas/README.md": "reference/adding-a-provider.md",
}
_PAGES: Mapping[str, Callable[[], str]] = {
    "command-line": command_line,
    "scenario-keys": scenario_keys,
    "provider-keys": provider_keys,
    "wire-keys": wire_keys,
    "providers": providers,
    "findings": findings,
}
