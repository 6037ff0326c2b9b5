"""Rings the bells. Only the process that writes presence does, at most once a second."""

import logging
from collections.abc import Callable
from typing import Any

from synapse.module_api import ModuleApi

from .. import metrics
from .changes import ChangeLog
from .rings import BellNames, Position, Ring
from .room_changes import RoomLog

logger = logging.getLogger("presence_router")

# Seconds from one ring to the next, at least. Also before the first one: the other processes hear
# of a change on connections of their own.
_PAUSE = 1.0

# Seconds from one time that all devices look at everything to the next, at least. A daemon that
# comes and goes would cause the next outage at once by the questions that follow.
_PAUSE_FOR_ALL = 5.0

# Seconds until the next attempt after a failure.
_PAUSE_AFTER_FAILURE = 5.0


class Ringer:
    """The bells of one homeserver."""

    def __init__(
        self,
        api: ModuleApi,
        names: BellNames,
        changes: ChangeLog,
        room_log: RoomLog,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._names = names
        self._changes = changes
        self._room_log = room_log
        self._clock = clock
        # The last ring, by this process or by one before it. None: it is not known yet.
        self._last: Ring | None = None
        self._last_for_all_at: float | None = None
        self._for_all_is_due = True
        self._ring_is_due = False
        self._runs = False

    @property
    def last(self) -> Ring | None:
        """Returns the last ring of this process."""
        return self._last

    def request(self) -> None:
        """Rings soon, because something changed."""
        self._ring_is_due = True
        self._start()

    def request_for_all(self) -> None:
        """Rings the bell for everything soon."""
        self._for_all_is_due = True
        self._start()

    def _start(self) -> None:
        # Without a revision, the daemon has not answered yet.
        if not self._runs and self._changes.revision is not None:
            self._runs = True
            self._api.run_as_background_process("presence_router_bells", self._run)

    async def _run(self) -> None:
        try:
            while self._ring_is_due or self._for_all_is_due:
                await self._api.sleep(_PAUSE)
                try:
                    if self._last is None:
                        self._last = await self._read_last()
                    await self._ring_due()
                except Exception as why:
                    metrics.FOLLOWED.labels("failed").inc()
                    logger.warning(
                        "Cannot tell devices that the policy shows them other users: %r", why
                    )
                    await self._api.sleep(_PAUSE_AFTER_FAILURE)
        finally:
            self._runs = False

    async def _ring_due(self) -> None:
        if self._for_all_is_due:
            pause = 0.0
            if self._last_for_all_at is not None:
                pause = self._last_for_all_at + _PAUSE_FOR_ALL - self._clock()
            if pause > 0:
                await self._api.sleep(pause)
        # First, so that whatever comes from here on is due again.
        for_all, self._for_all_is_due, self._ring_is_due = self._for_all_is_due, False, False
        try:
            await self._ring(for_all)
        except BaseException:
            self._for_all_is_due |= for_all
            self._ring_is_due = True
            raise

    async def _ring(self, for_all: bool) -> None:
        last, revision = self._last, self._changes.revision
        assert last is not None and revision is not None
        newest = self._room_log.newest_position()
        await self._room_log.read_until(newest)
        until = Position(revision, self._room_log.position)
        if not for_all and self._is_up_to_date(last):
            return
        ring = Ring(last.number + 1, last.until, until)
        if for_all:
            bell = self._names.for_all
            self._last_for_all_at = self._clock()
            metrics.FOLLOWED.labels("everything").inc()
        else:
            bell = self._names.bell_of(ring)
            metrics.FOLLOWED.labels("ring").inc()
        # Before Synapse asks whom the ring concerns.
        self._last = ring
        try:
            await self._api.set_presence_for_users(
                {bell: ("offline", self._names.text_of(bell, ring))}
            )
        except BaseException:
            # The next ring covers the changes of this one, heard or not.
            self._last = last
            raise

    def _is_up_to_date(self, last: Ring) -> bool:
        return (
            last.until.revision == self._changes.revision
            and self._room_log.missed_since(last.until.room_position) == []
        )

    async def _read_last(self) -> Ring:
        """Returns the last ring of the process before this one."""
        rings = await read_rings(self._api._hs, self._names)
        nothing = Position("-", 0)
        return max(rings, key=lambda ring: ring.number, default=Ring(0, nothing, nothing))


async def read_rings(hs: Any, names: BellNames) -> list[Ring]:
    """Returns the last ring of each bell that was ever rung."""
    states = await hs.get_presence_handler().current_state_for_users(names.all)
    rings = [names.ring_of(state) for state in states.values()]
    return [ring for ring in rings if ring is not None]
