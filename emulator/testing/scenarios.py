"""Scenarios as a test names them: a mapping, YAML text, or a file beside the test, in a folder or in the library."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.core.errors import printable
from emulator.core.files import read_own
from emulator.testing.client import __tracebackhide__ as __tracebackhide__


def read_scenario(scenario: Any, folders: Sequence[Path] = ()) -> dict[str, Any]:
    """Return what the control API takes for a mapping, YAML text, or a file (a string with no line break is a path).

    A file is looked for in the folders, then in the library.

    Raises: LookupError, where none of them has it.
    """
    if isinstance(scenario, Mapping):
        return {"scenario": dict(scenario)}
    if isinstance(scenario, str) and "\n" in scenario:
        return {"scenario": scenario}
    looked = dict.fromkeys(folders or [Path()])
    found = next((file for folder in looked if (file := folder / scenario).is_file()), None)
    text = found.read_text(encoding="utf-8") if found else _of_library(scenario)
    if text is None:
        where = ", ".join(map(str, looked)) + ", nor in the library"
        raise LookupError(
            f"there is no scenario {scenario} in {where}; set `emulator_scenarios` to the folder that has it"
        )
    return {"scenario": text, "file": printable(os.path.relpath(found or _library() / scenario))}


def _library() -> Path:
    from emulator.core.schema.formats import data_folder  # heavy, and seldom needed

    return data_folder("scenarios")


def _of_library(name: str | Path) -> str | None:
    """Read PROVIDER/FILE of the library that comes with the package, also where a test fakes files."""
    try:
        return read_own(_library() / name).decode("utf-8")
    except OSError:
        return None
