"""The files of wires, and what one is a change of.

NAME is looked for as NAME.wire.yaml in the provider's folder, as wires/NAME.yaml beside that folder, and among ours.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.schema.formats import data_folder, own_schema, schema_problems
from emulator.core.source import Source, parse_source
from emulator.core.wires.loading.compiler import Compiler
from emulator.core.wires.wire import Wire


def wire_files(folder: Path) -> dict[str, Path]:
    """Return the wires that a provider's folder can name."""
    ours = {file.stem: file for file in (data_folder("schemas") / "wires").glob("*.yaml")}
    beside = {file.stem: file for file in (folder.parent / "wires").glob("*.yaml")}
    own = {file.name.removesuffix(".wire.yaml"): file for file in folder.glob("*.wire.yaml")}
    return ours | beside | own


def load_wire(name: str, folder: Path) -> Wire:
    """Load a wire that a provider's folder names.

    Raises: SourceError, with every problem; KeyError, where there is none of that name.
    """
    files = wire_files(folder)
    file = files[name]
    if file.parent == data_folder("schemas") / "wires":
        return _of_ours(name, file)
    return _compiled(name, _chain(name, files, folder))


@functools.cache
def _of_ours(name: str, file: Path) -> Wire:
    return _compiled(name, _chain(name, wire_files(file.parent / "none"), file.parent))


def _compiled(name: str, sources: Sequence[Source]) -> Wire:
    data = functools.reduce(merged, [source.data for source in reversed(sources)])
    return Compiler(name, sources, data).compile()


def _chain(name: str, files: Mapping[str, Path], folder: Path) -> list[Source]:
    """Return the sources of a wire: its own, then that of which it is a change, and so on."""
    sources: list[Source] = []
    seen: set[Path] = set()
    file: Path | None = files[name]
    while file is not None:
        source = parse_source(_read(file), str(file))
        ours = data_folder("schemas") in file.parents  # tests hold it against the schema
        if not ours and (problems := schema_problems(own_schema("wire"), source)):
            raise SourceError(problems)
        sources.append(source)
        seen.add(file)
        like = source.data.get("like")
        file = None if like is None else _liked(like, source, files, folder, seen)
    return sources


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None


def _liked(like: str, source: Source, files: Mapping[str, Path], folder: Path, seen: set[Path]) -> Path:
    """Return the file of which a wire is a change; one with its own name is that outside of the folder."""
    file = files.get(like)
    if file in seen:
        file = wire_files(folder.parent / "none").get(like)
    if file is None or file in seen:
        hint = nearest(like, {name for name, other in files.items() if other not in seen})
        raise SourceError([source.problem(("like",), f"there is no other wire '{like}'; {hint}")])
    return file


def merged(base: Json, change: Json) -> Json:
    """Return data with a change: fields by name, whether or not they may be missing, and the one item of a list."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        found = dict(base)
        for name, item in change.items():
            bare = name.removesuffix("~")
            same = next((key for key in (bare, f"{bare}~") if key in base), None)
            if same in (None, name):
                found[name] = merged(base[name], item) if same else item
            else:
                found = {name if key == same else key: merged(base[same], item) if key == same else value
                         for key, value in found.items()}  # fmt: skip
        return found
    if isinstance(base, list) and isinstance(change, list) and len(base) == len(change) == 1:
        return [merged(base[0], change[0])]
    return change
