"""Tells a device what it missed: senders whom its user sees no longer, and others whom its user
sees now, or sees in another way.

The bells say how old the device is, and the logs which senders may look different since then. Of
those, the present answer decides: a sender who is visible comes with the present state, another
one as a user who was never active, because a copy of the state would keep the time of the last
activity.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from synapse.module_api import UserPresenceState, make_deferred_yieldable
from twisted.internet.task import deferLater

from ..bell_names import bells_of
from .changes import ChangeLog, Pairs
from .changes_by_room import ChangesByRoom
from .places import Places
from .rings import Position
from .room_changes import RoomChange, RoomLog
from .room_history import find_room_mates
from .rooms import Rooms
from .shared_rooms import are_known
from .sight import Sight
from .turns import Turn
from .views import Views

logger = logging.getLogger("presence_router")

# States in one turn of the reactor, which take a few milliseconds.
_SLICE = 2_000

# Room changes that one device looks at, at most; with more of them it looks at everything.
_MAX_ROOM_CHANGES = 20_000

# Devices that look at everything at one time, at most: after a restart, all devices do.
_EVERYTHING_AT_ONCE = 8


@dataclass
class _Again:
    """The senders whom a user has to look at again."""

    senders: set[str] = field(default_factory=set)
    lost: list[Pairs] = field(default_factory=list)
    """Pairs of this user that may be visible no longer."""

    room_mates: set[str] = field(default_factory=set)
    """Senders who shared a room with the user, as the log says."""

    is_everything: bool = False


class CatchUp:
    """What the devices of one process missed."""

    def __init__(
        self,
        reactor: Any,
        hs: Any,
        sight: Sight,
        rooms: Rooms,
        changes: ChangeLog,
        room_log: RoomLog,
        views: Views,
    ) -> None:
        self._reactor = reactor
        self._hs = hs
        self._bells = bells_of(hs.hostname)
        self._store: Any = hs.get_datastores().main
        self._sight = sight
        self._rooms = rooms
        self._changes = changes
        self._room_log = room_log
        self._by_room = ChangesByRoom(reactor)
        self._places = Places(_EVERYTHING_AT_ONCE)
        self._views = views

    async def states_for(
        self, user_id: str, since: Position | None, shown: Iterable[UserPresenceState]
    ) -> list[UserPresenceState]:
        """Returns what a device of a user missed since a position, beside the states that it is
        shown anyway. None as position: it may have missed everything."""
        answer = await self._sight.answer_about(user_id)
        if answer is None:
            # The device gets no new states, and no "offline": the bell for everything rings
            # later.
            return []
        again = _Again()
        await self._add_changes(again, user_id, since)
        # Also for an answer that needs no rooms: one before it may have needed them.
        if self._views.rooms_decide:
            await self._add_room_changes(again, user_id, since)
        if not again.is_everything:
            return await self._states_of(user_id, again, shown)
        async with self._places.take():
            again.senders |= await self._sight.candidates(user_id)
            return await self._states_of(user_id, again, shown)

    async def _states_of(
        self, user_id: str, again: _Again, shown: Iterable[UserPresenceState]
    ) -> list[UserPresenceState]:
        again.senders.discard(user_id)
        again.senders.difference_update([state.user_id for state in shown])
        left = list(again.senders - self._bells)
        states: list[UserPresenceState] = []
        for start in range(0, len(left), _SLICE):
            if start:
                await make_deferred_yieldable(deferLater(self._reactor, 0))
            states += await self._present_states(user_id, left[start : start + _SLICE], again)
        return states

    async def _add_changes(self, again: _Again, user_id: str, since: Position | None) -> None:
        turn = Turn(self._reactor)
        missed = None if since is None else self._changes.missed_since(since.revision)
        if missed is None or missed.changed is None:
            again.is_everything = True
            # Of senders whom the user sees no longer, and with whom the user shares no room, only
            # the log can tell.
            for one in self._changes.all_changed():
                await turn.end_if_long()
                if one.pairs.is_lost and one.pairs.concern(user_id):
                    again.senders |= one.senders or frozenset()
                    again.lost.append(one)
            return
        for one in missed.changed:
            await turn.end_if_long()
            if not one.pairs.concern(user_id):
                continue
            if one.senders is None:
                again.is_everything = True
            else:
                again.senders |= one.senders
            if one.pairs.is_lost:
                again.lost.append(one)
        # Hidden fields are not visibility, so that no pair tells that they changed.
        if not missed.is_empty and self._views.may_hide_differently(user_id, missed.first):
            again.is_everything = True

    async def _add_room_changes(self, again: _Again, user_id: str, since: Position | None) -> None:
        changes = self._room_changes_since(again, since)
        if not changes:
            return
        by_room = await self._by_room.sort(changes)
        present: frozenset[str] = await self._store.get_rooms_for_user(user_id)
        # Also rooms that the user left meanwhile.
        members: dict[str, Iterable[str]] = {}
        turn = Turn(self._reactor)
        for room_id in by_room.rooms_for(user_id, present):
            await turn.end_if_long()
            members[room_id] = await self._store.get_users_in_room(room_id)
        # The members are those of now. The log must not lack how they came to be members: who
        # only just joined would count as one who always was in the room.
        await self._room_log.read_until(self._room_log.newest_position())
        by_room = await self._by_room.sort(self._room_changes_since(again, since))
        for room_id, now in members.items():
            await turn.end_if_long()
            some = by_room.by_room.get(room_id, [])
            again.room_mates |= find_room_mates(user_id, some, now)
        again.senders |= again.room_mates

    def _room_changes_since(self, again: _Again, since: Position | None) -> Sequence[RoomChange]:
        changes = None if since is None else self._room_log.missed_since(since.room_position)
        if changes is None or len(changes) > _MAX_ROOM_CHANGES:
            again.is_everything = True
            # Whom the user met in rooms that one of them has left.
            return self._room_log.last_changes(_MAX_ROOM_CHANGES)
        return changes

    async def _present_states(
        self, user_id: str, senders: list[str], again: _Again
    ) -> list[UserPresenceState]:
        handler = self._hs.get_presence_handler()
        present = await handler.current_state_for_users(senders)
        view = await self._sight.look_at(user_id, list(present.values()))
        visible = list(view.shown)
        if not view.has_answer:
            # Nobody is gone because of that. The bell for everything rings later.
            return visible
        seen = {state.user_id for state in visible}
        hidden = [sender for sender in senders if sender not in seen]
        if not hidden:
            return visible
        shared = await self._rooms.shared(user_id, hidden)
        turn = Turn(self._reactor)
        for sender, rooms in zip(hidden, shared, strict=True):
            await turn.end_if_long()
            if (
                are_known(rooms)
                or sender in again.room_mates
                or self._was_seen(again, sender, user_id)
            ):
                visible.append(UserPresenceState.default(sender))
        return visible

    def _was_seen(self, again: _Again, sender: str, user_id: str) -> bool:
        """Returns true if a user who shares no room with a sender saw that sender before. Of all
        others the user must not even learn that they exist."""
        return any(
            one.pairs.contain(sender, user_id) for one in again.lost
        ) and self._views.held_stranger(user_id, sender)
