"""What is kept of a session: the newest, so many and no more bytes than a budget that all sessions share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Budget:
    """Bytes that all sessions may keep together of one kind, and those that they do keep."""

    __slots__ = ("kept", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept = 0


class Kept(Generic[K, V]):
    """An ordered mapping that forgets its oldest when it holds too many, or the budget is spent; never its newest."""

    __slots__ = ("_budget", "_most", "_values")

    def __init__(self, most: int, budget: Budget) -> None:
        self._most = most
        self._budget = budget
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        return found[0] if found else None

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield keys and values, the oldest first."""
        for key, (value, _) in self._values.items():
            yield key, value

    def put(self, key: K, value: V, weight: int) -> Sequence[K]:
        """Keep a value of so many bytes as the newest, and return the keys that were forgotten for it."""
        values, budget = self._values, self._budget
        if key in values:
            self.drop(key)
        values[key] = value, weight
        budget.kept += weight
        if len(values) <= self._most and budget.kept <= budget.most:
            return ()
        dropped = []
        while len(values) > 1 and (len(values) > self._most or budget.kept > budget.most):
            oldest, (_, freed) = values.popitem(last=False)
            budget.kept -= freed
            dropped.append(oldest)
        return dropped

    def drop(self, key: K) -> None:
        found = self._values.pop(key, None)
        if found:
            self._budget.kept -= found[1]

    def drop_while(self, over: Callable[[V], bool]) -> None:
        """Forget the oldest as long as they are over."""
        while self._values:
            key, (value, _) = next(iter(self._values.items()))
            if not over(value):
                return
            self.drop(key)

    def clear(self) -> None:
        self._budget.kept -= sum(weight for _, weight in self._values.values())
        self._values.clear()
