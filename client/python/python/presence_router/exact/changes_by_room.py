"""Sorts the changes of rooms since a position by room, once for all devices that are of the same
age."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .places import Places
from .room_changes import RoomChange
from .turns import Turn

# Ages of devices whose changes are remembered. After a ring, most devices are of one age.
_AGES = 4

# Changes after which a turn may end.
_AT_ONCE = 500


@dataclass
class SortedChanges:
    """Changes of rooms."""

    by_room: dict[str, list[RoomChange]] = field(default_factory=dict)
    """Those of each room, oldest first."""

    rooms_of: dict[str, set[str]] = field(default_factory=dict)
    """The rooms that a user joined or left."""

    def rooms_for(self, user_id: str, present: frozenset[str]) -> list[str]:
        """Returns the rooms with changes that a user is in, or was. `present`: those now."""
        left = self.rooms_of.get(user_id, set())
        if len(present) > len(self.by_room):
            return [room_id for room_id in self.by_room if room_id in present or room_id in left]
        return [room_id for room_id in present | left if room_id in self.by_room]


class ChangesByRoom:
    """The changes that were sorted last."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._place = Places(1)
        # By the number of the changes, and the position of the last one: they all end the log.
        self._sorted: dict[tuple[int, int], SortedChanges] = {}

    async def sort(self, changes: Sequence[RoomChange]) -> SortedChanges:
        """Sorts the last changes of a log."""
        if not changes:
            return SortedChanges()
        key = len(changes), changes[-1].position
        async with self._place.take():
            if (found := self._sorted.get(key)) is None:
                found = await self._sort(changes)
                while len(self._sorted) >= _AGES:
                    del self._sorted[next(iter(self._sorted))]
                self._sorted[key] = found
        return found

    async def _sort(self, changes: Sequence[RoomChange]) -> SortedChanges:
        found = SortedChanges()
        turn = Turn(self._reactor)
        for start in range(0, len(changes), _AT_ONCE):
            await turn.end_if_long()
            for change in changes[start : start + _AT_ONCE]:
                found.by_room.setdefault(change.room_id, []).append(change)
                if change.user_id is not None:
                    found.rooms_of.setdefault(change.user_id, set()).add(change.room_id)
        return found
