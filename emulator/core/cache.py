"""What is remembered so that it is not found out again: so much of it, and then the oldest is forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """A mapping of bounded size."""

    __slots__ = ("_most", "_values", "get")

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()
        self.get = self._values.get

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, is_over: Callable[[K], bool]) -> None:
        """Forget what is remembered by such keys."""
        for key in [key for key in self._values if is_over(key)]:
            del self._values[key]

    def clear(self) -> None:
        self._values.clear()
