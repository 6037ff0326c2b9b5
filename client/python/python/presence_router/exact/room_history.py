"""Finds out with whom a user shared a room, from those who are in it now and the changes before."""

from collections.abc import Iterable, Sequence

from .room_changes import RoomChange


def find_room_mates(
    user_id: str, changes: Sequence[RoomChange], members: Iterable[str]
) -> set[str]:
    """Returns the users whom a user may see differently because of changes of one room, oldest
    first: who joined or left while the user was in it, and all who were in it with the user if
    the user joined or left, or the room changed otherwise.

    Never somebody who was not in the room at the same time: the user must not learn of them.
    """
    present = set(members)
    # Those of them who are not among the mates yet: each is looked at once.
    new = set(present)
    is_in = user_id in present
    # All who are in the room are looked at only for the user's own changes, and the room's.
    mates: set[str] = set()
    # From the present state backwards.
    for change in reversed(changes):
        if change.user_id == user_id:
            # Before or after this change the user was in the room, with these.
            mates |= new
            new = set()
            is_in = not change.has_joined
        elif change.user_id is not None:
            if is_in:
                mates.add(change.user_id)
            if change.has_joined:
                present.discard(change.user_id)
                new.discard(change.user_id)
            else:
                present.add(change.user_id)
                new.add(change.user_id)
        else:
            if is_in:
                mates |= new
                new = set()
            present -= change.crowd
            new -= change.crowd
            if user_id in change.crowd:
                is_in = False
    mates.discard(user_id)
    return mates
