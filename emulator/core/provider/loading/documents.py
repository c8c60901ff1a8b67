"""JSON Schemas of a provider's folder, which can share definitions: a file of several schemas' `$defs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.core.errors import Json


def read_document(file: Path, read: Callable[[Path], bytes]) -> Json:
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
