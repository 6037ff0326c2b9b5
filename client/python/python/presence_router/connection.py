"""Reads the events of the stream on which this process is connected to the daemon, and
tells the health of the daemon and the follower of changes."""

import logging
from typing import TYPE_CHECKING

from synapse.module_api import ModuleApi

from . import metrics
from .completions import await_call
from .exact.bells import Bells
from .follow import Follower
from .health import DaemonHealth

if TYPE_CHECKING:
    from ._native import Change, Done, Gain, Router

logger = logging.getLogger("presence_router")

# Seconds between two looks at a daemon that does not answer.
_PAUSE = 10.0

# Seconds until the next attempt to read an event.
_EVENT_PAUSE = 5.0


class Connection:
    """The connection of one process to the daemon."""

    def __init__(self, api: ModuleApi, router: "Router", health: DaemonHealth) -> None:
        self._api = api
        self._router = router
        self._health = health
        self._follower: Follower | None = None
        self._bells: Bells | None = None
        self._watching = False
        self._failure_logged = False
        self._closed = False
        metrics.CACHES.add(router.cache_stats)

    def close(self) -> None:
        """Ends the threads of the native half, and with them the calls that wait."""
        self._closed = True
        metrics.CACHES.remove(self._router.cache_stats)
        self._router.close()

    async def run(self, follower: Follower | None) -> None:
        """Reads events until the end of the process. Only a follower gets changes of visibility."""
        self._follower = follower

        def next_event(done: "Done[list[Gain]]") -> None:
            self._router.next_event(follower is not None, done)

        while True:
            kind, why, gains = await await_call("next_event", next_event)
            if self._closed:
                return
            if await self._is_event(kind, why) and follower is not None:
                follower.handle(kind, gains or [])

    async def run_with_bells(self, bells: Bells) -> None:
        """As `run`, for a module that decides alone: all changes go to the bells."""
        self._bells = bells
        while True:
            event: tuple[str, str, Change | None] = await await_call(
                "next_change", self._router.next_change
            )
            kind, why, change = event
            if self._closed:
                return
            if await self._is_event(kind, why):
                bells.handle(kind, change)

    async def _is_event(self, kind: str, why: str) -> bool:
        """Records an event. False: it is a failure."""
        if kind == "failed":
            await self._handle_failure(why)
            return False
        if self._failure_logged:
            self._failure_logged = False
            self._health.record_event()
        if kind == "connected":
            self._health.record_connection()
        elif kind in ("disconnected", "refused"):
            self._health.record_disconnection(why, is_refusal=kind == "refused")
            self._watch()
        return True

    def report(self, outcome: str, detail: str) -> None:
        """Records the outcome of a question."""
        self._health.report(outcome, detail)
        self._watch()

    async def _handle_failure(self, why: str) -> None:
        """Logs the first of several failures, and pauses."""
        self._health.record_failed_event()
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning(
                "An event of presence-router was lost, because of a bug in this module: %s; a "
                "change of visibility takes effect with the next update of each user",
                why,
            )
        await self._api.sleep(_EVENT_PAUSE)

    def _watch(self) -> None:
        if self._health.is_away and not self._watching:
            self._watching = True
            self._api.run_as_background_process("presence_router_watch", self._watch_absence)

    async def _watch_absence(self) -> None:
        """Looks at the daemon until it is back.

        Synapse may ask nothing for hours, and an answer from memory tells nothing about a
        daemon that hangs and keeps its connections.
        """
        try:
            while self._health.is_away:
                await self._api.sleep(_PAUSE)
                if self._health.is_away and self._health.is_connected:
                    outcome, detail, _ = await await_call("check_daemon", self._router.check_daemon)
                    self._health.report(outcome, detail, is_question=False)
                self._health.log_lasting_absence()
        finally:
            self._watching = False
        if self._follower is not None:
            self._follower.send_missed()
        if self._bells is not None:
            self._bells.note_return()
