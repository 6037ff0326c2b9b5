"""Waits until a process has heard of everything that a ring covers.

The device that hears the bell will not ask again about anything up to it, and the processes of
Synapse hear of a ring and of the daemon's change in either order.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import PreserveLoggingContext
from synapse.module_api import ModuleApi, make_deferred_yieldable
from twisted.internet.defer import CancelledError, Deferred

from .changes import ChangeLog
from .rings import Ring
from .room_changes import RoomLog

logger = logging.getLogger("presence_router")

# Seconds between two looks at how far Synapse has got in its stream of events.
_ROOMS_PAUSE = 0.02


class Arrivals:
    """The rings that one process has heard, and what has arrived of their changes."""

    def __init__(
        self,
        reactor: Any,
        api: ModuleApi,
        changes: ChangeLog,
        room_log: RoomLog,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._api = api
        self._changes = changes
        self._room_log = room_log
        self._deadline = deadline
        self._clock = clock
        # The last ring that this process has heard, and the last one from before its start.
        self._last: Ring | None = None
        self._last_before = 0
        # The latest ring whose changes did not come in time: nobody waits again for it, or for one
        # before it, until its changes or those of a later one have come.
        self._given_up = 0
        self.is_connected = True
        """True if the daemon is connected, or the first attempt has not ended."""

    def note_ring(self, ring: Ring | None) -> None:
        """Notes a ring that this process has heard."""
        if ring is not None and (self._last is None or ring.number > self._last.number):
            self._last = ring

    def end_of_start(self) -> None:
        """Ends the time before the first event of the daemon: the rings so far are not younger
        than that event."""
        self._last_before = self._last.number if self._last is not None else 0

    async def wait_for_last(self) -> bool:
        """Waits for the changes of the last ring. False: they did not come in time."""
        return self._last is None or await self.wait_for(self._last)

    async def wait_for(self, ring: Ring) -> bool:
        """Waits until everything that a ring covers has arrived, within the deadline of a
        question. False: it has not."""
        end = self._clock()
        if ring.number > self._given_up:
            end += self._deadline
        try:
            arrived = await self._wait_for_revision(ring, end) and await self._wait_for_rooms(
                ring.until.room_position, end
            )
        except CancelledError:
            raise
        except Exception:
            logger.debug("Cannot read the changes of rooms", exc_info=True)
            arrived = False
        if not arrived:
            self._given_up = max(self._given_up, ring.number)
        elif ring.number >= self._given_up:
            self._given_up = 0
        return arrived

    def _has_revision_of(self, ring: Ring) -> bool:
        if ring.number <= self._last_before:
            # Its revision is the first one that this process has heard, or one before that.
            return self._changes.revision is not None
        return self._changes.has(ring.until.revision)

    async def _wait_for_revision(self, ring: Ring, end: float) -> bool:
        while not self._has_revision_of(ring):
            left = end - self._clock()
            if left <= 0 or not self.is_connected:
                return False
            arrived: Deferred[None] = Deferred()
            timeout = self._reactor.callLater(left, _fire, arrived)
            handle = self._changes.call_at_next(partial(_fire, arrived))
            try:
                await make_deferred_yieldable(arrived)
            finally:
                self._changes.forget_call(handle)
                if timeout.active():
                    timeout.cancel()
        return True

    async def _wait_for_rooms(self, position: int, end: float) -> bool:
        while not await self._room_log.read_until(position):
            if self._clock() >= end:
                return False
            await self._api.sleep(_ROOMS_PAUSE)
        return True


def _fire(deferred: "Deferred[None]") -> None:
    if not deferred.called:
        # The coroutine that waits runs now, and ends without a log context.
        with PreserveLoggingContext():
            deferred.callback(None)
