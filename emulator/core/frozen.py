"""How values are made: a request needs many of them, and a start many classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a dataclass with slots, frozen for mypy alone: frozen at run time, one takes six times as long to make."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
