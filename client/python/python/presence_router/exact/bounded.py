"""A memory of a limited size, which forgets first what was used least recently."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """Values by key, each with a weight; all weights together have a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Those that were used last are at the end.
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        """Returns the value of a key, which is used now."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Stores a value, in place of an earlier one."""
        self._forget(key)
        self._values[key] = value, weight
        self._weight += weight
        while self._weight > self._limit:
            self._forget(next(iter(self._values)))

    def _forget(self, key: K) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._weight -= found[1]
