"""How values are made: a request needs many of them, and a start many classes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a dataclass with slots, frozen for mypy alone: frozen at run time, one takes six times as long to make.

    All share the methods that a dataclass compiles for each class anew, which is half of what a class costs a start.
    """
    made: Any = dataclass(slots=True, repr=False, eq=False)(cls)
    made._compared = attrgetter(*[item.name for item in fields(made) if item.compare])
    made.__eq__, made.__hash__, made.__repr__ = _is_equal, _hash, _show
    result: type[T] = made
    return result


def _is_equal(self: Any, other: Any) -> Any:
    return self._compared(self) == self._compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _show(self: Any) -> str:
    shown = (f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
