"""The members of rooms, from memory or from Synapse."""

from collections.abc import Sequence
from typing import Any

from .room_memory import RoomMemory


class MemberLists:
    """The joined members of rooms.

    Synapse remembers such lists, too, but by default none of more than 50,000 members, and a
    look-up takes it fifty times as long.
    """

    def __init__(self, store: Any, memory: RoomMemory) -> None:
        self._store = store
        self._memory = memory

    async def of_room(self, room_id: str) -> Sequence[str]:
        """Returns the joined members of a room, as far as this homeserver knows them. Nobody may
        change the list. Until a member joins or leaves, it usually is the same object."""
        members = self._memory.members_of(room_id)
        if members is None:
            with self._memory.watch() as watch:
                members = await self._store.get_users_in_room(room_id)
                if not watch.has_changed(room_id):
                    self._memory.put_members(room_id, members)
        return members
