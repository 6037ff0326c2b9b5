"""The rooms that two users share, if some of them are uncertain."""

from collections.abc import Collection, Iterator
from typing import Any


class UncertainRooms(Collection[str]):
    """The rooms that two users are known to share, while they may share others.

    The native half tries to read these others, fails, and counts them as rooms of which
    everything is unknown. So it must fail to find out if there are any rooms.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known

    def __iter__(self) -> Iterator[Any]:
        yield from self.known
        yield None

    def __len__(self) -> int:
        return len(self.known) + 1

    def __contains__(self, room_id: object) -> bool:
        return room_id in self.known

    def __bool__(self) -> bool:
        if self.known:
            return True
        raise ValueError("it is unknown if the users share a room")


# Nothing is known about the rooms that two users share.
UNKNOWN = UncertainRooms(frozenset())


def are_known(rooms: Collection[str] | None) -> bool:
    """Returns true if two users are known to share a room."""
    if isinstance(rooms, UncertainRooms):
        return bool(rooms.known)
    return bool(rooms)
