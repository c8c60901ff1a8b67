"""All groups of cases, each a function of a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import answers, control, outside, sessions
from .answers import Case
from .recorded import Server

GROUPS: Mapping[str, Callable[[Server], Iterator[Case]]] = {
    **answers.GROUPS, **sessions.GROUPS, **control.GROUPS, **outside.GROUPS,
}  # fmt: skip


def cases(group: str, server: Server) -> dict[str, Any]:
    """Return the cases of a group by id."""
    found: dict[str, Any] = {}
    for name, value in GROUPS[group](server):
        assert f"{group}/{name}" not in found, f"{group}/{name} stands twice"
        found[f"{group}/{name}"] = value
    return found
