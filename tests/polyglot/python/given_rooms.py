"""The rooms of a scenario, and the facts about them that its homeserver has."""

from collections.abc import Sequence
from typing import Any

from presence_router.v1.room_mates_pb2 import RoomCondition
from rooms import Room, meets_any


class GivenRooms:
    """Rooms in the form of the scenario files: each room by its id."""

    def __init__(self, rooms: dict[str, dict[str, Any]]) -> None:
        self._members = {room_id: set(room["members"]) for room_id, room in rooms.items()}
        self._facts = {room_id: read_room(room_id, **room) for room_id, room in rooms.items()}

    def share_room(self, one: str, other: str, conditions: Sequence[RoomCondition]) -> bool | None:
        """Returns true if the users share a room that meets all conditions."""
        shared = (room_id for room_id, users in self._members.items() if {one, other} <= users)
        return meets_any((self._facts[room_id] for room_id in shared), conditions)


def read_room(
    room_id: str, members: list[str], partial: bool = False, **facts: Any
) -> Room:
    """Returns the facts about a room, without the members of a partial one."""
    return Room(room_id, None if partial else members, **facts)
