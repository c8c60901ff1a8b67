"""What is kept of a session: the newest, so many and no more bytes than a budget that all sessions share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Budget:
    """Bytes that all sessions may keep together of one kind: over them the oldest is forgotten, whose ever it is.

    In which order all of it came is not known before it passes them, which few runs ever do.
    """

    __slots__ = ("_gone", "kept", "most", "newest", "order", "stores")

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept = 0
        self.newest = 0  # the number of what was added last
        self._gone = 0  # up to this number nothing is kept any more
        self.stores: set[BoundedStore[Any, Any]] = set()  # those that may keep something
        self.order: dict[int, BoundedStore[Any, Any]] | None = None  # who keeps what, by its number, the oldest first

    def make_room(self) -> None:
        """Forget the oldest until what is kept is within the budget."""
        if self.order is None:
            self.order = dict(sorted((number, store) for store in self.stores for number in store.numbers()))
        while self.kept > self.most:
            self._gone += 1
            if self._gone not in self.order:
                self._gone = next(iter(self.order))  # takes long where many are gone
            self.order[self._gone].drop_oldest()

    def forget(self, weight: int, number: int) -> None:
        """Know that something is kept no longer."""
        self.kept -= weight
        if self.order is not None:
            del self.order[number]


class BoundedStore(Generic[K, V]):
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

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of what is kept, the oldest first."""
        return (number for _, _, number in self._values.values())

    def put(self, key: K, value: V, weight: int) -> None:
        """Keep a value of so many bytes as the newest."""
        values, budget = self._values, self._budget
        if key in values:
            self.drop(key)
        budget.newest = number = budget.newest + 1
        budget.kept += weight
        if budget.order is not None:
            budget.order[number] = self
        elif not values:
            budget.stores.add(self)
        values[key] = value, weight, number
        if len(values) > self._most:
            self.drop_oldest()
        if budget.kept > budget.most:
            budget.make_room()

    def drop(self, key: K) -> None:
        """Keep a value no longer, if it is kept."""
        found = self._values.pop(key, None)
        if found:
            self._budget.forget(*found[1:])

    def drop_oldest(self) -> None:
        """Forget the oldest."""
        _, (_, weight, number) = self._values.popitem(last=False)
        self._budget.forget(weight, number)
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
        self._budget.stores.discard(self)
