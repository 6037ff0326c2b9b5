"""Follows the changes of rooms in the process that writes presence, and has a bell rung for those
that may change who sees whom."""

import logging
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi

from ..completions import await_call
from .ringer import Ringer
from .room_changes import RoomLog

if TYPE_CHECKING:
    from .._native import Router, Visibility

logger = logging.getLogger("presence_router")

# Seconds between two looks at the rooms, while they change.
_PAUSE = 1.0

# Seconds until the next attempt after a failure.
_PAUSE_AFTER_FAILURE = 5.0


class RoomFollower:
    """The changes of rooms."""

    def __init__(self, api: ModuleApi, router: "Router", room_log: RoomLog, ringer: Ringer) -> None:
        self._api = api
        self._router = router
        self._room_log = room_log
        self._ringer = ringer
        self._hs: Any = api._hs
        self._store: Any = self._hs.get_datastores().main
        # False only if no answer about any known sender depends on rooms.
        self._rooms_decide = True
        self._position = room_log.position
        self._reads = False
        self._asks = False
        self._asks_again = False

    def start(self) -> None:
        """Begins to follow."""
        self._hs.get_notifier().add_replication_callback(self._note_events)

    def note_revision(self) -> None:
        """Finds out which conditions on rooms there are now."""
        self._asks_again = True
        if not self._asks:
            self._asks = True
            self._api.run_as_background_process("presence_router_bells", self._find_conditions)

    async def _find_conditions(self) -> None:
        try:
            while self._asks_again:
                self._asks_again = False
                found: tuple[str, str, list[Visibility | None] | None] = await await_call(
                    "find_answers_about_rooms", self._router.find_answers_about_rooms
                )
                outcome, _, answers = found
                for answer in answers or []:
                    if answer is not None:
                        self._room_log.note_conditions(answer)
                # Without an answer about some sender, rooms may decide about that one.
                self._rooms_decide = outcome != "ok" or bool(answers)
                await self._api.sleep(_PAUSE)
        finally:
            self._asks = False

    def _note_events(self) -> None:
        # Called for everything that happens, such as each message.
        if (
            not self._reads
            and self._room_log.newest_position() > self._position
            and self._store._curr_state_delta_stream_cache.has_any_entity_changed(self._position)
        ):
            self._reads = True
            self._api.run_as_background_process("presence_router_bells", self._read_changes)

    async def _read_changes(self) -> None:
        # First, so that one ring tells of many changes.
        await self._api.sleep(_PAUSE)
        try:
            await self._room_log.read_until(self._room_log.newest_position())
            changes = self._room_log.missed_since(self._position)
            self._position = self._room_log.position
            if changes is None or (changes and self._rooms_decide):
                self._ringer.request()
        except Exception:
            logger.debug("Cannot read the changes of rooms", exc_info=True)
            await self._api.sleep(_PAUSE_AFTER_FAILURE)
            # It may take long until something else happens.
            self._ringer.request_for_all()
        finally:
            self._reads = False
        self._note_events()
