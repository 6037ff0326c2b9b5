"""Finds the local users whose waiting /sync has something to say because a bell was rung."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from synapse.module_api import make_deferred_yieldable
from twisted.internet.task import deferLater

from .changes import ChangeLog
from .rings import Position
from .room_changes import RoomLog
from .views import Views

# Users in one turn of the reactor, which take a few milliseconds.
_SLICE = 2_000


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
        self._views = views
        self._askers = askers

    async def find(self, since: Position | None) -> Collection[str]:
        """Returns those whom changes since a position concern. None: all of them."""
        askers = list(self._askers())
        missed = None if since is None else self._changes.missed_since(since.revision)
        if since is None or missed is None or missed.changed is None:
            return askers
        concerned: set[str] = set()
        for start in range(0, len(askers), _SLICE):
            if start:
                await make_deferred_yieldable(deferLater(self._reactor, 0))
            for user_id in askers[start : start + _SLICE]:
                if any(one.pairs.concern(user_id) for one in missed.changed) or (
                    # Hidden fields are not visibility, so that no pair tells that they changed.
                    not missed.is_empty and self._views.has_other_hides_now(user_id)
                ):
                    concerned.add(user_id)
        if self._views.rooms_decide:
            changes = self._room_log.missed_since(since.room_position)
            if changes is None:
                return askers
            concerned.update(change.user_id for change in changes if change.user_id is not None)
            for room_id in {change.room_id for change in changes}:
                concerned.update(await self._store.get_users_in_room(room_id))
            concerned.intersection_update(askers)
        return concerned
