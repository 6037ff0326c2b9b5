"""Rooms as the Synapse of this process knows them: which ones users share, and facts about them.

Who is in which room comes from Synapse at each question. Facts about rooms are remembered until
Synapse notes that the state of the room has changed. Reading order: `state_changes` hears of
these changes, `room_memory` remembers facts until then, `room_facts` loads facts that questions
lack, by `room_state` and `member_lists`. `shared_rooms` stands for rooms that are uncertain.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError

from ..completions import await_call
from .member_lists import MemberLists
from .room_facts import FactLoader
from .room_memory import RoomMemory
from .room_shapes import find_deviations_of_rooms
from .shapes import refusal
from .shared_rooms import UNKNOWN, UncertainRooms
from .state_changes import listen_to_state_changes
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Known, MissingFact, Router, Visibility

logger = logging.getLogger("presence_router")

T = TypeVar("T")

# So many users at a time cost less one by one.
_FEW = 8

# Users whose rooms Synapse reads in one query.
_BATCH = 250

# Members that are added to a set at a time, in about a millisecond.
_SLICE = 10_000


class Rooms:
    """The rooms of one process's Synapse."""

    def __init__(self, hs: Any, router: "Router") -> None:
        """Raises RuntimeError, with a message for the operator, if this Synapse has no storage
        that the module knows."""
        deviations = find_deviations_of_rooms(hs)
        if deviations:
            raise RuntimeError(refusal(deviations, with_federation=False))
        self._reactor = hs.get_reactor()
        self._is_local = hs.is_mine_id
        self._store = hs.get_datastores().main
        self._router = router
        # Synapse 1.156 and before exclude no rooms. Not those of Synapse's presence handler: the
        # seal may exclude all there.
        excluded = getattr(hs.config.server, "rooms_to_exclude_from_presence", ())
        self._excluded = frozenset(excluded)
        memory = RoomMemory()
        listen_to_state_changes(self._store, memory.forget, memory.forget_all)
        self._member_lists = MemberLists(self._store, memory)
        self._facts = FactLoader(self._reactor, self._store, memory, self._member_lists)

    async def shared(self, user_id: str, others: Sequence[str]) -> "list[Collection[str] | None]":
        """Returns the rooms that a user shares with each of some others, in their order, without
        those that Synapse excludes from presence. None: they share none. `UncertainRooms`: they
        may share others, because Synapse does not know all members of a room, or cannot say."""
        try:
            own: frozenset[str] = await self._store.get_rooms_for_user(user_id) - self._excluded
            partial = await self._store.get_partial_rooms() - self._excluded
        except CancelledError:
            raise
        except Exception:
            logger.debug("Cannot find the rooms of a user", exc_info=True)
            return [UNKNOWN] * len(others)
        is_local = not partial or self._is_local(user_id)
        turn = Turn(self._reactor)
        shared: list[Collection[str] | None] = []
        for start in range(0, len(others), _BATCH):
            some = others[start : start + _BATCH]
            rooms = await self._rooms_of(some)
            for other in some:
                theirs = rooms.get(other)
                if theirs is None:
                    shared.append(UNKNOWN)
                    continue
                both = own & theirs
                if partial and (
                    # Synapse knows all members of its own in any room.
                    (not is_local and not partial.isdisjoint(theirs - own))
                    or (not partial.isdisjoint(own - theirs) and not self._is_local(other))
                ):
                    shared.append(UncertainRooms(both))
                else:
                    shared.append(both or None)
                await turn.end_if_long()
        return shared

    async def _rooms_of(self, users: Sequence[str]) -> dict[str, frozenset[str]]:
        """Returns the rooms of each of some users, without users whose rooms cannot be found."""
        try:
            if len(users) <= _FEW:
                return {user: await self._store.get_rooms_for_user(user) for user in users}
            rooms: dict[str, frozenset[str]] = await self._store.get_rooms_for_users(users)
            return rooms
        except CancelledError:
            raise
        except Exception:
            logger.debug("Cannot find the rooms of users", exc_info=True)
            return {}

    async def room_mates(self, user_id: str) -> set[str]:
        """Returns all users who are known to share a room with a user, without excluded rooms.
        May contain the user. Rooms that cannot be read are left out."""
        room_mates: set[str] = set()
        turn = Turn(self._reactor)
        try:
            for room_id in await self._store.get_rooms_for_user(user_id) - self._excluded:
                members = iter(await self._member_lists.of_room(room_id))
                while some := list(islice(members, _SLICE)):
                    room_mates.update(some)
                    await turn.end_if_long()
        except CancelledError:
            raise
        except Exception:
            logger.debug("Cannot find all room-mates of a user", exc_info=True)
        return room_mates

    async def members_of_rooms(self, user_id: str) -> dict[str, Sequence[str]]:
        """Returns the known joined members of each room of a user, without excluded rooms. Raises
        if Synapse cannot read them: without them nobody knows from whom something is hidden."""
        turn = Turn(self._reactor)
        members = {}
        for room_id in await self._store.get_rooms_for_user(user_id) - self._excluded:
            members[room_id] = await self._member_lists.of_room(room_id)
            await turn.end_if_long()
        return members

    async def have_unknown_members(self, room_ids: Iterable[str]) -> bool:
        """Returns true if some rooms may have members whom Synapse does not know, because the
        state of one is partial. Raises if Synapse cannot read that."""
        partial: Collection[str] = await self._store.get_partial_rooms()
        return bool(partial) and any(room_id in partial for room_id in room_ids)

    async def decide(self, ask: "Callable[[Known], tuple[T, list[MissingFact]]]") -> T:
        """Asks a question of the native half until no fact is missing. A fact that cannot be
        loaded counts as unknown. `ask` runs once or several times."""
        return await self._facts.decide(ask)

    async def senders_without_rooms(self, answer: "Visibility") -> list[str]:
        """Returns the known senders that an answer may show without a shared room. Without an
        answer of the native half: nobody."""
        found: tuple[str, str, list[str] | None] = await await_call(
            "senders_without_rooms",
            lambda done: self._router.find_senders_without_rooms(answer, done),
        )
        return found[2] or []
