"""The log of changes of rooms: who joined or left, and which rooms may meet other conditions.

Each process reads it from Synapse's database when a question needs it, up to the position in the
stream of events that a ring names. An entry is one user in one room, or one room.
"""

import bisect
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import PreserveLoggingContext
from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import DeferredLock

from .._native import RoomFacts

if TYPE_CHECKING:
    from .._native import Visibility

logger = logging.getLogger("presence_router")

# Entries of a log, at most: about 20 MiB.
MAX_ENTRIES = 100_000

# A process that is further behind starts its log afresh: the answers to its devices then look at
# everything again.
_MAX_BEHIND = 20_000

# Joins of one room that are read together and noted one by one, at most. More of them come when
# this server joins a large room.
_MANY_JOINS = 100

# State events that conditions look at, beside members and spaces.
_FACTS = frozenset(
    {
        "m.room.encryption",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.presence_sharing",
    }
)


@dataclass(frozen=True)
class RoomChange:
    """A change of one room."""

    position: int
    room_id: str
    user_id: str | None
    """The user who joined or left. None: the room may meet other conditions now."""

    has_joined: bool = False
    """True if the user joined."""

    crowd: frozenset[str] = frozenset()
    """Instead of one user, many who joined."""


class RoomLog:
    """The changes of rooms that this process has read."""

    def __init__(self, hs: Any, max_entries: int = MAX_ENTRIES) -> None:
        self._store: Any = hs.get_datastores().main
        self._max_entries = max_entries
        self._lock = DeferredLock()
        self._changes: list[RoomChange] = []
        # Nothing up to the one is known, everything up to the other.
        self._begin = self.position = self._store.get_room_max_stream_ordering()
        # The numbers of members at which conditions change, and their patterns.
        self._facts = RoomFacts(1)
        self._answers_noted: set[int] = set()
        self._limits: dict[int, list[int]] = {}
        # Before this position, no entry tells that a number of members passed one of the limits.
        self._limits_since = self.position

    def note_conditions(self, answer: "Visibility") -> None:
        """Notes the limits that the conditions of an answer set to numbers of members."""
        if not answer.depends_on_rooms or answer.number in self._answers_noted:
            return
        if len(self._answers_noted) > 10_000:
            self._answers_noted.clear()
        self._answers_noted.add(answer.number)
        answer.note_member_limits(self._facts)
        limits: dict[int, list[int]] = {}
        for patterns, limit in self._facts.member_limits():
            limits.setdefault(patterns, []).append(limit)
        if limits != self._limits:
            self._limits = limits
            self._limits_since = self.position

    def missed_since(self, position: int) -> list[RoomChange] | None:
        """Returns the changes after a position. None: the log does not reach back so far."""
        if position < max(self._begin, self._limits_since):
            return None
        return self._changes[bisect.bisect_right(self._changes, position, key=_position_of) :]

    def last_changes(self, number: int) -> list[RoomChange]:
        """Returns the last changes that the log still has, at most so many."""
        return self._changes[-number:]

    def newest_position(self) -> int:
        """Returns the position that Synapse has reached in this process."""
        position: int = self._store.get_room_max_stream_ordering()
        return position

    async def read_until(self, position: int) -> bool:
        """Reads the changes up to a position. False: Synapse has not got there yet."""
        if self.position >= position:
            return True
        if self.newest_position() < position:
            return False
        await make_deferred_yieldable(self._lock.acquire())
        try:
            while self.position < position:
                await self._read_some()
        finally:
            # The coroutine that waits runs now, and ends without a log context.
            with PreserveLoggingContext():
                self._lock.release()
        return True

    async def _read_some(self) -> None:
        newest = self.newest_position()
        if newest - self.position > _MAX_BEHIND:
            self._changes.clear()
            self._begin = self.position = newest
            return
        # Not by Synapse's storage controller, which waits until rooms have their full state.
        position, deltas = await self._store.get_partial_current_state_deltas(self.position, newest)
        self._changes.extend(sorted(await self._changes_of(deltas), key=_position_of))
        self.position = position
        if len(self._changes) > self._max_entries:
            dropped = len(self._changes) - self._max_entries // 2
            self._begin = self._changes[dropped - 1].position
            del self._changes[:dropped]

    async def _changes_of(self, deltas: list[Any]) -> list[RoomChange]:
        changes = []
        members: dict[str, list[tuple[RoomChange, bool | None]]] = {}
        memberships = await self._memberships_of(deltas)
        for delta in deltas:
            position, room_id = delta.stream_id, delta.room_id
            if delta.event_type == "m.room.member":
                before = _has_joined(delta.prev_event_id, memberships)
                now = _has_joined(delta.event_id, memberships)
                if before is not None and before == now:
                    continue
                # Of an event that Synapse does not have, nobody can tell.
                joined = bool(now) if now is not None else not before
                changes.append(RoomChange(position, room_id, delta.state_key, joined))
                members.setdefault(room_id, []).append((changes[-1], now))
            elif delta.event_type in _FACTS:
                changes.append(RoomChange(position, room_id, None))
            elif delta.event_type == "m.space.child":
                changes.append(RoomChange(position, delta.state_key, None))
        changes = _without_many_joins(changes, members)
        if self._limits:
            for room_id, some in members.items():
                if await self._may_pass_limit(room_id, some):
                    changes.append(RoomChange(some[-1][0].position, room_id, None))
        return changes

    async def _memberships_of(self, deltas: Iterable[Any]) -> dict[str, str]:
        ids = {
            event_id
            for delta in deltas
            if delta.event_type == "m.room.member"
            for event_id in (delta.event_id, delta.prev_event_id)
            if event_id
        }
        if not ids:
            return {}
        found = await self._store.get_membership_from_event_ids(ids)
        return {event_id: one.membership for event_id, one in found.items() if one is not None}

    async def _may_pass_limit(
        self, room_id: str, changes: list[tuple[RoomChange, bool | None]]
    ) -> bool:
        """Returns true if the number of members may have passed a limit with these changes."""
        try:
            members = await self._store.get_users_in_room(room_id)
        except Exception:
            logger.debug("Cannot count the members of %s", room_id, exc_info=True)
            return True
        # Synapse may be ahead of the changes that are read: those come next, and begin at about
        # this number.
        width = len(changes) + await self._changes_ahead(room_id, changes[-1][0].position)
        steps = [now for _, now in reversed(changes)]
        is_exact = width == len(steps)
        for patterns, limits in self._limits.items():
            if not patterns and is_exact:
                lowest, highest = _range_before(len(members), steps)
            else:
                # Some of those who joined or left may not count.
                number = self._facts.count_members(patterns, list(members))
                lowest, highest = number - width, number + width
            first = bisect.bisect_left(limits, lowest)
            if first < len(limits) and limits[first] < highest:
                return True
        return False

    async def _changes_ahead(self, room_id: str, position: int) -> int:
        newest = self.newest_position()
        if not self._store._curr_state_delta_stream_cache.has_entity_changed(room_id, position):
            return 0
        # At most so many: each change has a position of its own, or shares one with others of a
        # batch that were read together.
        return int(min(newest - position, 50))


def _position_of(change: RoomChange) -> int:
    return change.position


def _without_many_joins(
    changes: list[RoomChange], members: dict[str, list[tuple[RoomChange, bool | None]]]
) -> list[RoomChange]:
    """Returns the changes, with one of the room itself in place of many joins: those who joined
    are among its members, all of whom look at each other then."""
    dropped: set[int] = set()
    added = []
    for room_id, some in members.items():
        joins = [change for change, now in some if now]
        if len(joins) > _MANY_JOINS:
            dropped.update(map(id, joins))
            crowd = frozenset(change.user_id for change in joins if change.user_id is not None)
            added.append(RoomChange(joins[-1].position, room_id, None, crowd=crowd))
    return [change for change in changes if id(change) not in dropped] + added


def _range_before(number: int, joined: Iterable[bool | None]) -> tuple[int, int]:
    """Returns the lowest and the highest number of members before and during some changes, the
    last one first, after which there are so many."""
    lowest = highest = low = high = number
    for one in joined:
        # An unknown change may be either.
        low, high = low - (one is not False), high + (one is not True)
        if one is True:
            high -= 1
        elif one is False:
            low += 1
        lowest, highest = min(lowest, low), max(highest, high)
    return lowest, highest


def _has_joined(event_id: str | None, memberships: dict[str, str]) -> bool | None:
    if event_id is None:
        return False
    membership = memberships.get(event_id)
    return None if membership is None else membership == "join"
