"""Every answer is as the golden record has it: nothing that users see has changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import record
from .groups import GROUPS, cases
from .recorded import Server, serving

KNOWN = record.read()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("group", GROUPS)
def test_answers_are_as_they_were(server: Server, group: str) -> None:
    found = cases(group, server)
    known = {name: value for name, value in KNOWN.items() if name.startswith(f"{group}/")}
    differ = list(record.differences(known, found))
    assert not differ, record.told(differ, found)


def test_the_record_holds_no_group_that_is_gone() -> None:
    assert [name for name in KNOWN if not name.startswith(tuple(f"{group}/" for group in GROUPS))] == []
