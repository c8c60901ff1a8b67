"""The files that a command names: whether they are there, and can be written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from emulator.cli.streams import fail


def find_scenarios(names: Sequence[Path]) -> tuple[Path, ...]:
    """Find scenario files: here, or by a name such as PROVIDER/chat.yaml in the library that comes with the package."""
    from emulator.core.schema.formats import data_folder

    library = data_folder("scenarios")
    found = []
    for name in names:
        inside = library / Path(*[step for step in name.parts if step != "scenarios"])
        found.append(inside if not name.exists() and not name.is_absolute() and inside.is_file() else name)
    check_files(found)
    return tuple(found)


def check_files(files: Iterable[Path]) -> None:
    for file in files:
        if file.is_dir():
            fail(f"{file} is a folder; name its files.")
        if not file.is_file():
            fail(f"{file} does not exist{_meant(file)}")


def check_writable(file: Path) -> None:
    """Find out before anything begins whether a file can be written."""
    if file.is_dir():
        fail(f"{file} is a folder; name a file.")
    if not file.absolute().parent.is_dir():
        fail(f"{file} cannot be written: there is no folder {file.parent}.")
    if not os.access(file.absolute().parent, os.W_OK):
        fail(f"{file} cannot be written: nothing can be made in {file.absolute().parent}.")


def _meant(file: Path) -> str:
    """Name the file whose name is nearest: beside it, or in the library of scenarios."""
    from emulator.core.errors import closest
    from emulator.core.schema.formats import data_folder

    for folder in (file.parent, data_folder("scenarios") / file.parent):
        with suppress(OSError):
            names = {item.stem: item.name for item in folder.iterdir() if item.is_file() and item.suffix == file.suffix}
            close = closest(file.stem, names)
            if close:
                return f"; did you mean {file.with_name(names[close])}?"
    return "."
