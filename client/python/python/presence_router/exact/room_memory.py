"""Remembers facts about rooms until the state of the room changes.

Memory is bounded. Full, it takes about 60 MB: the native half keeps the state of 50,000
rooms (12 MB), this class the numbers of members of as many rooms (20 MB), and lists of members
with 300,000 ids in all (27 MB, less if Synapse remembers the same lists).
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from .._native import RoomFacts

logger = logging.getLogger("presence_router")

V = TypeVar("V")

_ROOMS = 50_000
_MEMBERS = 300_000

# How often a room is read that changes while it is read.
_ATTEMPTS = 5


class Watch:
    """The rooms that changed while something was read about them."""

    def __init__(self) -> None:
        self._rooms: set[str] = set()
        self._is_all = False

    def note(self, room_id: str) -> None:
        """Notes that a room changed."""
        self._rooms.add(room_id)

    def note_all(self) -> None:
        """Notes that any room may have changed."""
        self._is_all = True

    def has_changed(self, room_id: str) -> bool:
        """Returns true if the room may have changed."""
        return self._is_all or room_id in self._rooms


class RoomMemory:
    """The facts about rooms of one process."""

    def __init__(self, rooms: int = _ROOMS, members: int = _MEMBERS) -> None:
        self.facts = RoomFacts(rooms)
        self._max_rooms = rooms
        self._max_members = members
        # Numbers of members, by room and number of the patterns; oldest first, as the lists.
        self._counts: dict[str, dict[int, int]] = {}
        self._members: dict[str, Sequence[str]] = {}
        self._members_in_lists = 0
        self._watches: list[Watch] = []

    def forget(self, room_id: str) -> None:
        """Forgets a room because its state changed."""
        for watch in self._watches:
            watch.note(room_id)
        self._counts.pop(room_id, None)
        self._drop_members(room_id)
        try:
            self.facts.forget([room_id])
        except Exception:
            # Synapse calls this while it handles an event, and no other room may stay wrong.
            logger.debug("Cannot forget the room %r", room_id, exc_info=True)
            self.facts.forget_all()

    def forget_all(self) -> None:
        """Forgets all rooms."""
        for watch in self._watches:
            watch.note_all()
        self._counts.clear()
        self._members.clear()
        self._members_in_lists = 0
        self.facts.forget_all()

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Notes the rooms that change from now on."""
        watch = Watch()
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    async def read(
        self,
        room_ids: Collection[str],
        read: Callable[[list[str]], Awaitable[dict[str, V]]],
        put: Callable[[str, V], None],
    ) -> set[str]:
        """Reads something about rooms and remembers it; reads again about rooms that change
        meanwhile. Returns the rooms about which nothing was read, or which never came to rest."""
        unread = set(room_ids)
        changing = list(room_ids)
        for _ in range(_ATTEMPTS):
            with self.watch() as watch:
                for room_id, value in (await read(changing)).items():
                    if not watch.has_changed(room_id):
                        put(room_id, value)
                        unread.discard(room_id)
            changing = [room_id for room_id in changing if watch.has_changed(room_id)]
            if not changing:
                break
        return unread

    def count_of(self, room_id: str, patterns: int) -> int | None:
        """Returns the number of joined members who match none of some patterns."""
        counts = self._counts.get(room_id)
        return None if counts is None else counts.get(patterns)

    def put_count(self, room_id: str, patterns: int, count: int) -> None:
        """Remembers a number of members."""
        self._counts.setdefault(room_id, {})[patterns] = count
        if len(self._counts) > self._max_rooms:
            del self._counts[next(iter(self._counts))]

    def members_of(self, room_id: str) -> Sequence[str] | None:
        """Returns the joined members of a room."""
        return self._members.get(room_id)

    def put_members(self, room_id: str, members: Sequence[str]) -> None:
        """Remembers the joined members of a room, unless they are too many."""
        self._drop_members(room_id)
        if len(members) > self._max_members:
            return
        self._members[room_id] = members
        self._members_in_lists += len(members)
        # Also of rooms without members, of which there may be many.
        while self._members_in_lists > self._max_members or len(self._members) > self._max_rooms:
            self._drop_members(next(iter(self._members)))

    def _drop_members(self, room_id: str) -> None:
        self._members_in_lists -= len(self._members.pop(room_id, ()))
