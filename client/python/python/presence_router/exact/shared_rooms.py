"""The rooms that two users share: if some of them are uncertain, and how much work they are."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

# Users, and rooms that they share with another user, in one question: about three milliseconds.
_USERS = 2_000
_ROOMS = 5_000


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


def cut_by_work(shared: Sequence[Collection[str] | None] | None, users: int) -> Iterator[slice]:
    """Cuts a list of users into parts that take a few milliseconds each, by the rooms that they
    share. One user may take longer."""
    start = work = 0
    for end in range(users):
        rooms = shared[end] if shared is not None else None
        more = 0 if rooms is None else len(rooms)
        if end > start and (end - start >= _USERS or work + more > _ROOMS):
            yield slice(start, end)
            start, work = end, 0
        work += more
    if start < users:
        yield slice(start, users)
