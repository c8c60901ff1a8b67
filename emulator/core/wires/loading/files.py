"""The files of wires, and what one is a change of.

NAME is looked for as NAME.wire.yaml in the provider's folder, as wires/NAME.yaml beside that folder, and among ours.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from emulator.core.errors import Json, SourceError, nearest
from emulator.core.files import read_own
from emulator.core.frozen import frozen
from emulator.core.schema.formats import data_folder, own_schema, schema_problems
from emulator.core.source import Source, parse_source, read_source
from emulator.core.wires.loading.compiler import Compiler
from emulator.core.wires.wire import Wire


@frozen
class WireFiles:
    """The files of wires that a provider's folder can name: its `own`, and `shared` ones, beside it or of ours."""

    own: Mapping[str, Path]
    shared: Mapping[str, Path]

    @property
    def names(self) -> list[str]:
        return [*self.shared, *self.own]

    def load(self, name: str) -> Wire:
        """Load a wire.

        Raises: SourceError, with every problem; KeyError, where there is none of that name.
        """
        if name not in self.own and self.shared[name] == _ours().get(name):
            return _of_ours(name)
        return _compiled(name, self)


def wire_files(folder: Path) -> WireFiles:
    """Find the wires that a provider's folder can name."""
    own = {file.name.removesuffix(".wire.yaml"): file for file in folder.glob("*.wire.yaml")}
    return WireFiles(own, {**_ours(), **_in(folder.parent / "wires")})


def _in(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in folder.glob("*.yaml")}


@functools.cache
def _ours() -> Mapping[str, Path]:
    return _in(data_folder("schemas") / "wires")


@functools.cache
def _of_ours(name: str) -> Wire:
    return _compiled(name, WireFiles({}, _ours()))


def _compiled(name: str, files: WireFiles) -> Wire:
    sources = _chain(name, files)
    data = functools.reduce(merged, [source.data for source in reversed(sources)])
    return Compiler(name, sources, data).compile()


def _chain(name: str, files: WireFiles) -> list[Source]:
    """Return the sources of a wire: its own, then that of which it is a change, and so on."""
    sources: list[Source] = []
    seen: set[Path] = set()
    file: Path | None = files.own.get(name) or files.shared[name]
    while file is not None:
        ours = data_folder("schemas") in file.parents  # tests hold it against the schema
        source = parse_source(read_own(file), str(file)) if ours else read_source(file)
        if not ours and (problems := schema_problems(own_schema("wire"), source)):
            raise SourceError(problems)
        sources.append(source)
        seen.add(file)
        like = source.data.get("like")
        file = None if like is None else _liked(like, source, files, seen)
    return sources


def _liked(like: str, source: Source, files: WireFiles, seen: set[Path]) -> Path:
    """Return the file of which a wire is a change; one with its own name is that outside of the folder."""
    for file in (files.own.get(like), files.shared.get(like)):
        if file and file not in seen:
            return file
    hint = nearest(like, {name for known in (files.own, files.shared) for name in known if known[name] not in seen})
    raise SourceError([source.problem(("like",), f"there is no other wire '{like}'; {hint}")])


def merged(base: Json, change: Json) -> Json:
    """Return data with a change: fields by name, whether or not they may be missing, and the one item of a list."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        changes = {name.removesuffix("~"): name for name in change}
        found = {}
        for key, item in base.items():
            name = changes.pop(key.removesuffix("~"), None)
            found[name or key] = merged(item, change[name]) if name else item
        return found | {name: change[name] for name in changes.values()}
    if isinstance(base, list) and isinstance(change, list) and len(base) == len(change) == 1:
        return [merged(base[0], change[0])]
    return change
