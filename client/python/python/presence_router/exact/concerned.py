"""Finds the local users whose waiting /sync has something to say because a bell was rung."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from .changes import ChangeLog
from .changes_by_room import ChangesByRoom
from .rings import Position
from .room_changes import RoomLog
from .turns import Turn
from .views import Views


class Concerned:
    """The users of one process who asked lately: others cannot wait in it."""

    def __init__(
        self,
        reactor: Any,
        hs: Any,
        changes: ChangeLog,
        room_log: RoomLog,
        views: Views,
        askers: Callable[[], Iterable[str]],
    ) -> None:
        self._reactor = reactor
        self._store: Any = hs.get_datastores().main
        self._changes = changes
        self._room_log = room_log
        self._by_room = ChangesByRoom(reactor)
        self._views = views
        self._askers = askers

    async def find(self, since: Position | None) -> Collection[str]:
        """Returns those whom changes since a position concern. None: all of them."""
        askers = list(self._askers())
        missed = None if since is None else self._changes.missed_since(since.revision)
        if since is None or missed is None or missed.changed is None:
            return askers
        concerned: set[str] = set()
        turn = Turn(self._reactor)
        for user_id in askers:
            await turn.end_if_long()
            if any(one.pairs.concern(user_id) for one in missed.changed) or (
                # Hidden fields are not visibility, so that no pair tells that they changed.
                not missed.is_empty and self._views.has_other_hides_now(user_id)
            ):
                concerned.add(user_id)
        if self._views.rooms_decide:
            changes = self._room_log.missed_since(since.room_position)
            if changes is None:
                return askers
            by_room = await self._by_room.sort(changes)
            concerned.update(by_room.rooms_of)
            for room_id in by_room.by_room:
                await turn.end_if_long()
                concerned.update(await self._store.get_users_in_room(room_id))
            concerned.intersection_update(askers)
        return concerned
