"""What is wrong in a provider's folder, all of it. What is ours is shipped without a fault: a start does not look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.core.errors import Json
from emulator.core.provider.loading.problems.address import address_problems
from emulator.core.provider.loading.problems.data import data_problems
from emulator.core.provider.loading.problems.facts import fact_problems, header_problems
from emulator.core.provider.loading.problems.operations import kept_problems, operation_problems, wire_problems
from emulator.core.provider.loading.problems.operations import sample_problems as sample_problems
from emulator.core.provider.operation import Operation
from emulator.core.schema.schema import Schema
from emulator.core.tree import Path


def folder_problems(
    name: str, data: Mapping[str, Json], beside: Mapping[str, Schema | None], operations: Mapping[str, Operation]
) -> Iterator[tuple[Path, str]]:
    """Yield the place of each problem in provider.yaml, and what is wrong there; `name` is the folder's."""
    yield from address_problems(data, name)
    yield from header_problems(data, beside["request_headers"])
    yield from operation_problems(data, operations)
    yield from data_problems(data)
    yield from fact_problems(data, beside, operations)
    yield from wire_problems(data, operations)
    yield from kept_problems(data, operations)
