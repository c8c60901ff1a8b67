"""Values: equal, hashed and shown as those of a plain dataclass are."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest

from emulator.core.frozen import frozen


def made_by(decorate: Callable[[Any], Any], name: str) -> Any:
    """Return a class of values; `name` is where pickle finds it."""

    class Value:
        """A value."""

        name: str
        sizes: tuple[int, ...] = ()
        note: str = field(default="", compare=False, repr=False)
        made: dict[str, int] = field(default_factory=dict, compare=False)

        @property
        def total(self) -> int:
            return sum(self.sizes)

    Value.__qualname__ = name
    return decorate(Value)


Ours = made_by(frozen, "Ours")
Theirs = made_by(dataclass(frozen=True, slots=True), "Theirs")


@frozen
class Single:
    """One field."""

    x: int


ASKED: dict[str, Callable[[Any], Any]] = {
    "shown": lambda kind: repr(kind("a", (1,), "n")).removeprefix(kind.__qualname__),
    "equal": lambda kind: kind("a", (1,), "n") == kind("a", (1,), "m"),
    "unequal": lambda kind: kind("a", (1,)) == kind("a", (2,)),
    "of another class": lambda kind: kind("a") == ("a", ()),
    "hashed": lambda kind: hash(kind("a", (1,), "n")) == hash(kind("a", (1,), "m")),
    "by name": lambda kind: asdict(kind(sizes=(1,), name="a")),
    "replaced": lambda kind: asdict(replace(kind("a", (1,)), name="b")),
    "copied": lambda kind: asdict(copy.copy(kind("a", (1,), "n"))),
    "pickled": lambda kind: asdict(pickle.loads(pickle.dumps(kind("a", (1,), "n")))),
    "each with its own": lambda kind: kind("a").made is kind("a").made,
    "a property": lambda kind: kind("a", (1, 2)).total,
    "slots": lambda kind: (kind.__slots__, hasattr(kind("a"), "__dict__")),
    "matched": lambda kind: kind.__match_args__,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_value_is_as_the_standard_library_makes_it(ask: Callable[[Any], Any]) -> None:
    assert ask(Ours) == ask(Theirs)


def test_a_value_of_one_field_is_not_that_field() -> None:
    assert Single(1) == Single(1)
    assert Single(1) != Single(2)
    assert Single(1) != 1
    assert len({Single(1), Single(1), Single(2)}) == 2


def test_what_cannot_be_hashed_makes_a_value_that_cannot() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a", [1]))
