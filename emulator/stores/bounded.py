"""What is kept of a session: the newest, so many and no more bytes than a budget that all sessions share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Budget:
    """Bytes that all sessions may keep together of one kind: over them the oldest is forgotten, whose ever it is."""

    __slots__ = ("_order", "_serial", "kept", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept = 0
        self._serial = 0
        self._order: OrderedDict[int, tuple[Kept[Any, Any], Any]] = OrderedDict()  # the oldest first

    def add(self, kept: Kept[Any, Any], key: Any, weight: int) -> int:
        """Count what is kept by a key as the newest, and return its number here."""
        self.kept += weight
        self._serial += 1
        self._order[self._serial] = kept, key
        return self._serial

    def remove(self, serial: int, weight: int) -> None:
        self.kept -= weight
        del self._order[serial]

    def make_room(self) -> None:
        """Forget the oldest until what is kept is within the budget."""
        while self.kept > self.most:
            kept, key = next(iter(self._order.values()))
            kept.forget(key)


class Kept(Generic[K, V]):
    """An ordered mapping that forgets its oldest when it holds too many, or the budget is spent; `dropped` counts."""

    __slots__ = ("_budget", "_most", "_values", "dropped")

    def __init__(self, most: int, budget: Budget) -> None:
        self.dropped = 0
        self._most = most
        self._budget = budget
        self._values: OrderedDict[K, tuple[V, int, int]] = OrderedDict()  # value, weight, number in the budget

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        return found[0] if found else None

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield keys and values, the oldest first."""
        for key, (value, _, _) in self._values.items():
            yield key, value

    def put(self, key: K, value: V, weight: int) -> None:
        """Keep a value of so many bytes as the newest."""
        self.drop(key)
        self._values[key] = value, weight, self._budget.add(self, key, weight)
        if len(self._values) > self._most:
            self.forget(next(iter(self._values)))
        if self._budget.kept > self._budget.most:
            self._budget.make_room()

    def drop(self, key: K) -> None:
        """Keep a value no longer, if it is kept."""
        found = self._values.pop(key, None)
        if found:
            self._budget.remove(found[2], found[1])

    def forget(self, key: K) -> None:
        """Drop a value to make room."""
        self.drop(key)
        self.dropped += 1

    def drop_while(self, over: Callable[[V], bool]) -> None:
        """Drop the oldest as long as they are over."""
        while self._values:
            key, (value, _, _) = next(iter(self._values.items()))
            if not over(value):
                return
            self.drop(key)

    def clear(self) -> None:
        for key in list(self._values):
            self.drop(key)
