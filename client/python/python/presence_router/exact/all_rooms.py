"""A set of rooms that contains every room."""

from collections.abc import Iterator, Set
from typing import Any


class AllRooms(Set[Any]):
    """Takes the place of the rooms that Synapse excludes from presence.

    Synapse asks if a room is in the set, or subtracts the set from other sets. It may not list
    the set: that would give no room at all, and exclude nothing, so it raises.

    Not a kind of `frozenset`: subtracting such a set looks at its elements, which do not exist.
    """

    def __contains__(self, room: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __rsub__(self, rooms: Set[Any]) -> frozenset[Any]:
        """Returns what is left of other rooms: none."""
        return frozenset()

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("the set of all rooms cannot be listed")

    def __len__(self) -> int:
        raise TypeError("the set of all rooms has no size")

    def __repr__(self) -> str:
        return "<all rooms>"
