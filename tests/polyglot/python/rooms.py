"""Conditions on rooms, evaluated over the facts that a homeserver has.

Copy this file as you copy `sets.py`, and fill a `Room` from what your homeserver has in
memory. It follows `room_mates.proto`. Every answer has three values: `None` says that a
fact is missing which decides.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from presence_router.v1.room_mates_pb2 import RoomCondition, RoomPresenceSharing
from sets import all_of, any_of, glob, matching


@dataclass(frozen=True)
class Room:
    """The facts about one room. `None`: the homeserver does not know the fact."""

    room_id: str
    # Users with membership `join`: neither invited, nor knocking. `None` while the state
    # of the room is partial.
    members: Collection[str] | None
    # The room has an `m.room.encryption` event.
    encrypted: bool | None = False
    join_rule: str | None = "invite"
    history_visibility: str | None = "shared"
    # Spaces that list the room as a child, with a non-empty `via`.
    spaces: Collection[str] = ()
    # Spaces of which the homeserver does not know the children.
    unknown_spaces: Collection[str] = ()
    # The hint of MSC4495, `suggest` or `forbid`; empty if the room has none.
    presence_sharing: str | None = ""


def meets_any(rooms: Iterable[Room], conditions: Sequence[RoomCondition]) -> bool | None:
    """Returns true if one of the rooms, which two users share, meets all conditions."""
    return any_of(all_of(meets(room, one) for one in conditions) for room in rooms)


def meets(room: Room, condition: RoomCondition) -> bool | None:
    """Returns true if a room meets a condition."""
    match condition.WhichOneof("condition"):
        case "at_most":
            count = count_members(room, condition.at_most.not_counting)
            return None if count is None else count <= condition.at_most.members
        case "at_least":
            count = count_members(room, condition.at_least.not_counting)
            return None if count is None else count >= condition.at_least.members
        case "encrypted":
            return None if room.encrypted is None else room.encrypted == condition.encrypted
        case "join_rule":
            return is_one_of(room.join_rule, condition.join_rule.values)
        case "history_visibility":
            return is_one_of(room.history_visibility, condition.history_visibility.values)
        case "rooms":
            return any(glob(pattern, room.room_id) for pattern in condition.rooms.values)
        case "not_rooms":
            return not any(glob(pattern, room.room_id) for pattern in condition.not_rooms.values)
        case "space":
            if condition.space in room.unknown_spaces:
                return None
            return condition.space in room.spaces
        case "presence_sharing":
            suggests = RoomPresenceSharing.ROOM_PRESENCE_SHARING_SUGGEST
            hint = "suggest" if condition.presence_sharing == suggests else "forbid"
            return is_one_of(room.presence_sharing, [hint])
        case _:
            return None


def count_members(room: Room, not_counting: Iterable[str]) -> int | None:
    """Counts the members who match none of the patterns."""
    if room.members is None:
        return None
    patterns = [matching(*pattern.split(":", 1)) for pattern in not_counting]
    return sum(not any(matches(user, "") for matches in patterns) for user in room.members)


def is_one_of(value: str | None, values: Iterable[str]) -> bool | None:
    """Returns true if a fact has one of some values."""
    return None if value is None else value in values
