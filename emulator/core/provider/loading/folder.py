"""Loading a provider's folder: every unknown key, unfilled hole, missing envelope and unlisted fact is a problem."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from emulator.core.errors import Json, Problem, SourceError, nearest
from emulator.core.files import read_own
from emulator.core.provider.loading.compiled import compile_operation, compile_provider, usual
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.schema.formats import data_folder, own_schema, schema_problems
from emulator.core.schema.schema import Schema
from emulator.core.source import read_source
from emulator.core.wires.loading.files import wire_files
from emulator.core.wires.wire import Wire


def load_providers(extra: Path | None = None) -> dict[str, Provider]:
    """Load the built-in providers and those of another folder of provider folders, the default first.

    Raises: SourceError, with all that is wrong in any of them.
    """
    folders = [data_folder("schemas")] + ([extra] if extra else [])
    providers: dict[str, Provider] = {}
    problems: list[Problem] = []
    loaded: dict[Path, Provider] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/provider.yaml")):
            try:
                path = file.parent.resolve()
                provider = loaded.get(path) or loaded.setdefault(path, load_provider(file.parent, loaded))
            except SourceError as error:
                problems += [item for item in error.problems if item not in problems]
            else:
                providers[provider.name] = provider
        if folder == extra and not any(folder.glob("*/provider.yaml")):
            problems.append(Problem(str(folder), 1, 1, "", "holds no provider; each has a folder with a provider.yaml"))
    if problems:
        raise SourceError(problems)
    return dict(sorted(providers.items(), key=lambda item: not item[1].default))


def load_provider(folder: Path | str, loaded: dict[Path, Provider] | None = None, checked: bool = False) -> Provider:
    """Compile a provider's folder; `loaded` has those that are compiled already, by their folders.

    What is ours is compiled once in a process; tests check it (`checked`), and it is checked here where it cannot be
    compiled.

    Raises: SourceError, with file:line:col of an unknown key, a hole that nothing fills, a missing envelope, a fact
    that is named but not listed.
    """
    folder = Path(folder)
    if folder.parent == data_folder("schemas") and not checked:
        with suppress(KeyError, TypeError, ValueError, SourceError):
            return _of_ours(folder)
    return _Loader(folder, {} if loaded is None else loaded, trusted=False).load()


@functools.cache
def _of_ours(folder: Path) -> Provider:
    return replace(_Loader(folder, {}, trusted=True).load(), proven=True)


class _Loader:
    """Checks a provider's folder as a whole and collects every problem before it gives up."""

    def __init__(self, folder: Path, loaded: dict[Path, Provider], trusted: bool) -> None:
        self.folder = folder
        self.source = read_source(folder / "provider.yaml")
        self.data = self.source.data
        self.problems: list[Problem] = []
        self.wires = wire_files(folder)
        self.trusted = trusted
        self.loaded = loaded
        self.reference: Provider | None = None
        self.reference_muted: frozenset[str] = frozenset()

    def load(self) -> Provider:
        data = self.data
        if not self.trusted:
            self.problems += schema_problems(own_schema("provider"), self.source)
        if self.problems:
            raise SourceError(self.problems)
        beside = {part: self.schema((part,), data.get(part)) for part in ("request_headers", "request_query")}
        operations = {name: self.operation(name, its) for name, its in data["operations"].items()}
        self.load_reference()
        if not self.trusted:
            self.check(beside, operations)
        if self.problems:
            raise SourceError(self.problems)
        return compile_provider(data, operations, beside, self.reference, self.reference_muted)

    def check(self, beside: Mapping[str, Schema | None], operations: Mapping[str, Operation]) -> None:
        from emulator.core.provider.loading.problems import folder as problems  # no start waits for it

        for path, message in problems.folder_problems(self.folder.resolve().name, self.data, beside, operations):
            self.report(path, message)
        for path, message in () if self.problems else problems.sample_problems(operations):
            self.report(path, message)

    def report(self, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.source.problem(path, message))

    def operation(self, name: str, given: Mapping[str, Json]) -> Operation:
        parts = ("request", "response", "chunk")
        schemas = [self.schema(("operations", name, part), given.get(part)) for part in parts]
        query = self.schema(("operations", name, "query", "schema"), given.get("query", {}).get("schema"))
        return compile_operation(name, given, self.data, self.wire(name, given), *schemas, query)

    def wire(self, name: str, data: Mapping[str, Json]) -> Callable[[], Wire] | None:
        """Return what loads the wire that a chat names, or what counts a chat's tokens, or the usual one.

        What is ours is loaded when it is first asked for: most of a start's providers never are.
        """
        if data["kind"] not in ("chat", "tokens"):
            return None
        named = data.get("wire", usual("$defs", "operation", "wire"))
        try:
            if self.trusted:
                return functools.partial(self.wires.load, named)
            wire = self.wires.load(named)
            return lambda: wire
        except SourceError as error:
            self.problems += [item for item in error.problems if item not in self.problems]
        except KeyError:
            hint = nearest(named, self.wires.names)
            self.report(("operations", name, "wire"), f"there is no wire '{named}'; {hint}")
        return None

    def schema(self, path: tuple[str | int, ...], name: str | None) -> Schema | None:
        """Read a JSON Schema beside provider.yaml; a problem is put in that file where it can be."""
        if name is None:
            return None
        file = self.folder / name
        try:
            if self.trusted:
                return Schema(lambda: _read_document(file, read_own))
            return Schema(_read_document(file, Path.read_bytes))
        except FileNotFoundError as error:
            self.report(path, f"there is no file {Path(error.filename).name} in this folder")
        except (OSError, UnicodeDecodeError) as error:
            self.report(path, f"{name} cannot be read: {error}")
        except json.JSONDecodeError as error:
            self.problems.append(Problem(str(file), error.lineno, error.colno, "", f"is not JSON: {error.msg}"))
        except ValueError as error:
            self.problems.append(Problem(str(file), 1, 1, "", str(error)))
        return None

    def load_reference(self) -> None:
        """Load the API with which this one is compatible: beside this folder, or one of ours."""
        given = self.data.get("compatible_with")
        if given is None:
            return
        name, muted = (given, ()) if isinstance(given, str) else (given["provider"], given.get("except", ()))
        where = ("compatible_with",) if isinstance(given, str) else ("compatible_with", "provider")
        folders = [self.folder.resolve().parent / name, data_folder("schemas").resolve() / name]
        folder = next((item for item in folders if (item / "provider.yaml").is_file()), None)
        if folder is None or folder == self.folder.resolve():
            self.report(where, f"there is no other provider '{name}'")
            return
        if folder not in self.loaded:
            self.loaded[folder] = load_provider(folder, self.loaded)
        self.reference = self.loaded[folder]
        if self.reference.reference is not None:
            self.report(where, f"'{name}' is itself compatible with another; name that")
        for index, fact in enumerate(muted):
            if fact not in self.reference.facts:
                hint = f"'{name}' has no fact '{fact}'; {nearest(fact, self.reference.facts)}"
                self.report(("compatible_with", "except", index), hint)
        self.reference_muted = frozenset(muted)


def _read_document(file: Path, read: Callable[[Path], bytes]) -> Json:
    """Return a schema; with a `$ref` to a file beside it, `FILE#/$defs/NAME`, that file's definitions become its own.

    Raises: OSError; ValueError, where a file is not JSON, holds no object, or two define one name.
    """
    shared: set[str] = set()

    def own(part: dict[str, Json]) -> dict[str, Json]:
        """Return a part whose reference to a file beside it leads to the same place in this document."""
        reference = part.get("$ref")
        name, mark, place = reference.partition("#") if isinstance(reference, str) else ("", "", "")
        if not mark or not name.endswith(".json") or "/" in name:
            return part
        shared.add(name)
        return {**part, "$ref": f"#{place}"}

    document = json.loads(read(file), object_hook=own)
    if not isinstance(document, Mapping):
        raise ValueError("must hold an object")
    definitions = dict(document.get("$defs", {}))
    for name in sorted(shared):
        for key, item in _definitions(file.parent / name, read).items():
            if key in definitions:
                raise ValueError(f"defines '{key}', as {name} does, to which it refers")
            definitions[key] = item
    return {**document, "$defs": definitions} if shared else document


def _definitions(file: Path, read: Callable[[Path], bytes]) -> Mapping[str, Json]:
    try:
        found = json.loads(read(file))
    except ValueError as error:
        raise ValueError(f"refers to {file.name}, which is not JSON: {error}") from None
    definitions = found.get("$defs") if isinstance(found, Mapping) else None
    if not isinstance(definitions, Mapping):
        raise ValueError(f"refers to {file.name}, which has no $defs")
    return definitions
