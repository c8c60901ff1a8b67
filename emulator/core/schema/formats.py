"""Our own file formats: where their schemas are, and what is wrong with a file by them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from emulator.core.errors import Problem, in_order
from emulator.core.files import read_own
from emulator.core.schema.schema import Schema
from emulator.core.source import Source


@functools.cache
def data_folder(name: str) -> Path:
    """Return the folder of `schemas` or `scenarios`: packed in an installed wheel, at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent.parent
    packed = package / "_data" / name
    return packed if packed.is_dir() else package.parent / name


@functools.cache
def own_schema(name: str) -> Schema:
    """Return one of the schemas of our own file formats: `provider`, `scenario`, `wire`."""
    file = data_folder("schemas") / f"{name}.schema.json"
    return Schema(lambda: json.loads(read_own(file)))


def schema_problems(schema: Schema, source: Source) -> list[Problem]:
    """Check a source against one of our own schemas; each problem with its place, in their order."""
    if schema.verdict(source.data):
        return []
    errors = schema.violations(source.data)
    return in_order(source.problem(error.steps, error.message, where=error.path) for error in errors)
