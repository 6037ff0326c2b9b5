"""Hears the bells and the daemon's changes in one process.

An answer to a /sync must be of the revision of the last ring at least. If that does not come in
time, the device gets the answer of the last revision heard, and the bell for everything rings as
soon as this process has caught up.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from synapse.module_api import ModuleApi, UserPresenceState

from .arrivals import Arrivals
from .asking import Asked
from .catch_up import CatchUp
from .changes import ChangeLog
from .codes import Codes
from .concerned import Concerned
from .owed_ring import OwedRing
from .requests import Requests
from .ringer import Ringer, read_rings
from .rings import BellNames, Heard, Position
from .room_changes import RoomLog
from .room_follower import RoomFollower
from .server_views import ServerViews
from .sight import Sight
from .views import Views

if TYPE_CHECKING:
    from .._native import Change, Router

logger = logging.getLogger("presence_router")


class Bells:
    """The bells, as one process hears them."""

    def __init__(
        self,
        reactor: Any,
        api: ModuleApi,
        router: "Router",
        sight: Sight,
        catch_up: CatchUp,
        concerned: Concerned,
        changes: ChangeLog,
        room_log: RoomLog,
        views: Views,
        arrivals: Arrivals,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._hs: Any = api._hs
        self._router = router
        self._sight = sight
        self._catch_up = catch_up
        self._concerned = concerned
        self._changes = changes
        self._room_log = room_log
        self._views = views
        self._arrivals = arrivals
        self._clock = clock
        self.names = BellNames(api.server_name, Codes(self._hs))
        self.server_views: ServerViews | None = None
        """Only in a process that sends to other servers, with `federation: exact`."""
        self._requests = Requests(self._hs)
        # Only in the process that writes presence.
        self._ringer: Ringer | None = None
        self._room_follower: RoomFollower | None = None
        self._owed = OwedRing(reactor, clock, self._can_ring, self._ring_for_all)

    async def start(self) -> None:
        """Prepares to hear bells. Before the first event of the daemon: the revisions of rings
        that were rung before are then not younger than the first revision heard."""
        try:
            for ring in await read_rings(self._hs, self.names):
                self._arrivals.note_ring(ring)
            self._arrivals.end_of_start()
        except Exception:
            # Rings from before then count as rings whose revision does not come in time.
            logger.debug("Cannot read the bells", exc_info=True)
        if await self._writes_presence():
            self._ringer = Ringer(self._api, self.names, self._changes, self._room_log, self._clock)
            self._room_follower = RoomFollower(
                self._api, self._router, self._room_log, self._ringer
            )
            self._room_follower.start()

    async def _writes_presence(self) -> bool:
        if not self._hs.config.server.presence_enabled:
            # Synapse would store nothing, and log a warning at each ring.
            return False
        try:
            # With no users: the call does nothing in the process that writes presence, and
            # fails in every other process.
            await self._api.set_presence_for_users({})
        except AssertionError:
            return False
        return True

    # The daemon's changes.

    def handle(self, kind: str, change: "Change | None") -> None:
        """Handles an event of the connection to the daemon."""
        self._arrivals.is_connected = kind not in ("disconnected", "refused")
        if change is None:
            return
        log = self._changes
        if kind == "connected":
            # After an outage, an event with the missed changes follows if there are any.
            log.begin(change.revision)
        elif kind == "reset":
            log.note_everything(change.revision)
        else:
            log.note(change)
        self._pay_owed_ring()
        if self._room_follower is not None:
            self._room_follower.note_revision()
        if self._ringer is not None:
            if kind == "reset":
                self._ringer.request_for_all()
            else:
                # Also the start bell, at the first connection.
                self._ringer.request()

    def note_unanswered(self) -> None:
        """Notes that somebody got an answer without the daemon: devices may have missed anything
        when it is back."""
        self._owed.owe()

    def note_return(self) -> None:
        """Notes that the daemon answers again."""
        self._pay_owed_ring()

    def _pay_owed_ring(self) -> None:
        if self._ringer is not None:
            # It keeps pauses of its own.
            self._owed.pay(pause=0.0)
        else:
            self._owed.pay()

    def _can_ring(self) -> bool:
        # Otherwise the devices would get no answer again.
        return (
            self._arrivals.is_connected
            and self._changes.revision is not None
            and not self._router.is_away()
        )

    def _ring_for_all(self) -> None:
        if self._ringer is not None:
            self._ringer.request_for_all()
        else:
            self._api.run_as_background_process("presence_router_bells", self._request_ring)

    async def _request_ring(self) -> None:
        try:
            await self._requests.send()
        except Exception:
            self._owed.owe()
            logger.debug("Cannot ask for a ring of the bell for everything", exc_info=True)

    # Answers to clients.

    async def wait_for_rings(self, states: list[UserPresenceState]) -> Heard | None:
        """Waits until the answer to a client is not older than the bells among the states, or
        than any other ring that this process has heard. Returns the bells among the states."""
        heard = self.names.find_among(states)
        if heard is not None:
            self._arrivals.note_ring(heard.last)
        if not await self._arrivals.wait_for_last():
            self._owed.owe()
        return heard

    async def missed_by(
        self, asked: Asked, heard: Heard | None, shown: list[UserPresenceState]
    ) -> list[UserPresenceState]:
        """Returns what a client missed, beside the states that it is shown anyway."""
        answer = await self._sight.answer_about(asked.user_id)
        if answer is None:
            # The device hears of no change now: the bell for everything rings when the daemon is
            # back.
            return []
        self._views.note(answer, self._changes.number_of(answer.revision))
        self._room_log.note_conditions(answer)
        if heard is None and not (asked.reads_all and _has_token(asked)):
            return []
        since = await self._known_to(heard) if heard is not None else None
        return await self._catch_up.states_for(asked.user_id, since, shown)

    async def _known_to(self, heard: Heard) -> Position | None:
        """Returns what a device knows that has missed some bells. None: too little."""
        if heard.first is not None:
            return heard.first.since
        if heard.is_for_all:
            return None
        # It is younger than the last ring of the bell for everything, which it has heard.
        handler = self._hs.get_presence_handler()
        states = await handler.current_state_for_users([self.names.for_all])
        rings = [self.names.ring_of(state) for state in states.values()]
        return next((ring.until for ring in rings if ring is not None), None)

    # Users to wake.

    async def keys_of(self, states: list[UserPresenceState]) -> dict[str, set[UserPresenceState]]:
        """Returns the users to wake because of bells among some states, and the servers that see
        other users than before, each with states."""
        if self._ringer is not None and self._requests.are_among(states):
            self._ringer.request_for_all()
        heard = self.names.find_among(states)
        if heard is None or heard.last is None:
            # Nobody rang, though the presence of a bell changed.
            return {}
        self._arrivals.note_ring(heard.last)
        reached = heard.last is not None and await self._arrivals.wait_for(heard.last)
        since = heard.first.since if reached and heard.first is not None else None
        users = await self._concerned.find(since)
        # No states: Synapse wakes the users nevertheless, and they ask for their view.
        nothing: set[UserPresenceState] = set()
        keys = dict.fromkeys(users, nothing)
        if self.server_views is not None and heard.last is not None:
            missed = None if since is None else self._changes.missed_since(since.revision)
            rooms = None if since is None else self._room_log.missed_since(since.room_position)
            found = await self.server_views.keys_of(heard.last.number, missed, rooms)
            keys.update(found.keys)
            if not found.is_complete:
                self.note_unanswered()
        return keys


def _has_token(asked: Asked) -> bool:
    """Returns true if a client asks what changed since a token. A device that is new, or that
    begins anew, has seen nobody yet."""
    if asked.reads_offline:
        return True
    # Synapse also reads everything if a client wants the full state besides.
    url = getattr(getattr(asked.context, "request", None), "url", None)
    return "since" in parse_qs(urlsplit(str(url)).query)
