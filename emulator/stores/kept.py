"""What is kept of a session: the newest, so many and no more bytes than a budget that all sessions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

    __slots__ = ("_budget", "_most", "_values", "_weights")

    def __init__(self, most: int, budget: Budget) -> None:
        self._most = most
        self._budget = budget
        self._values: dict[K, V] = {}
        self._weights: dict[K, int] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield keys and values, the oldest first."""
        yield from self._values.items()

    def put(self, key: K, value: V, weight: int) -> list[K]:
        """Keep a value of so many bytes as the newest, and return the keys that were forgotten for it."""
        self.drop(key)
        self._values[key], self._weights[key] = value, weight
        self._budget.kept += weight
        dropped = []
        while len(self._values) > 1 and (len(self._values) > self._most or self._budget.kept > self._budget.most):
            dropped.append(oldest := next(iter(self._values)))
            self.drop(oldest)
        return dropped

    def drop(self, key: K) -> None:
        if key in self._values:
            del self._values[key]
            self._budget.kept -= self._weights.pop(key)

    def drop_while(self, over: Callable[[V], bool]) -> None:
        """Forget the oldest as long as they are over."""
        while self._values:
            key, value = next(iter(self._values.items()))
            if not over(value):
                return
            self.drop(key)

    def clear(self) -> None:
        self._budget.kept -= sum(self._weights.values())
        self._values.clear()
        self._weights.clear()
