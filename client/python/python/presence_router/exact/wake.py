"""Names the local users to wake because of new states, and the servers to send them to.

Synapse wakes the keys of the answer that are local users, and they ask for their view; only users
who asked lately in this process can be waiting. A key of another server stands for the whole
server, and gets the state of the answer, without what is hidden from anybody there.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from synapse.module_api import UserPresenceState
from twisted.internet.defer import CancelledError

from ..bell_names import bells_of
from .audiences import Audiences
from .listings import Listings
from .local_recipients import LocalRecipients
from .room_views import RoomView, RoomViews
from .servers import Servers
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Router, Visibility

logger = logging.getLogger("presence_router")


class Wake:
    """Names the keys of updates, in one process."""

    def __init__(
        self,
        hs: Any,
        reactor: Any,
        router: "Router",
        audiences: Audiences,
        views: RoomViews,
        local: LocalRecipients,
        listings: Listings,
        servers: Servers,
        rooms_when_away: bool,
        count_unsent: Callable[[int], None],
    ) -> None:
        self._hs = hs
        self._bells = bells_of(hs.hostname)
        self._reactor = reactor
        self._router = router
        self._audiences = audiences
        self._views = views
        self._local = local
        self._listings = listings
        self._servers = servers
        self._rooms_when_away = rooms_when_away
        self._count_unsent = count_unsent
        self.on_unanswered: Callable[[], None] = _do_nothing
        """Called for a sender about whom nothing could be decided, and whom somebody may miss."""
        # In all other processes Synapse does not look at keys of servers.
        self._sends = (
            hs.should_send_federation()
            or hs.get_instance_name() in hs.config.worker.writers.presence
        )

    async def keys_of(self, states: list[UserPresenceState]) -> dict[str, set[UserPresenceState]]:
        """Returns the users to wake, without states, and the servers to send to, each with one
        state a sender.

        Synapse wakes the users whatever the states are, and they ask for them. If it took this
        for the answer to a user's own question, that user would see nobody, rather than too many.
        """
        by_sender = {state.user_id: state for state in states if state.user_id not in self._bells}
        answers, may_come_later = await self._audiences.look_up(list(by_sender))
        if may_come_later and None in answers.values():
            self.on_unanswered()
        users: set[str] = set()
        keys: dict[str, set[UserPresenceState]] = {}
        turn = Turn(self._reactor)
        for sender, state in by_sender.items():
            await turn.end_if_long()
            try:
                await self._add(users, keys, state, answers[sender])
            except CancelledError:
                raise
            except Exception:
                logger.warning("Cannot decide who gets a presence, nobody does", exc_info=True)
                self.on_unanswered()
        nothing: set[UserPresenceState] = set()
        keys.update(dict.fromkeys(users, nothing))
        return keys

    async def _add(
        self,
        users: set[str],
        keys: dict[str, set[UserPresenceState]],
        state: UserPresenceState,
        answer: "Visibility | None",
    ) -> None:
        is_away = answer is None and self._rooms_when_away and self._router.is_away()
        if answer is None and not is_away:
            return
        sends = self._sends and self._hs.is_mine_id(state.user_id)
        rooms: dict[str, RoomView] = {}
        if sends or answer is None or self._local.needs_rooms(answer):
            rooms = await self._views.of_user(state.user_id)
        if answer is None:
            users.update(self._local.mates(rooms))
        else:
            users.update(await self._local.of(state.user_id, answer, rooms))
        if sends:
            await self._add_servers(keys, state, answer, rooms)

    async def _add_servers(
        self,
        keys: dict[str, set[UserPresenceState]],
        state: UserPresenceState,
        answer: "Visibility | None",
        rooms: Mapping[str, RoomView],
    ) -> None:
        versions = await self._servers.versions(state, answer, rooms)
        for server, version in versions.items():
            # Only the server counts: no such user needs to exist.
            keys.setdefault(f"@presence-router:{server}", set()).add(version)
        if answer is not None and (await self._listings.of(answer)).is_everywhere:
            self._count_unsent(1)


def _do_nothing() -> None:
    pass
