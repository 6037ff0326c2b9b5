"""Which other servers get the presence of a local user, and how they may see it.

A server gets the state without all fields that are hidden from any of its users who see the
sender: Synapse sends one state to the whole server. Without an answer of the daemon no server
gets anything, unless the configuration says `when_away: rooms` and the daemon is away.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from synapse.module_api import UserPresenceState

from ..redact import redact
from .bounded import Bounded
from .listings import Listings
from .room_views import RoomView
from .rooms import Rooms
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Known, MissingFact, Router, Visibility

# Servers that are decided about at once.
_AT_ONCE = 50

# Remembered verdicts, one for each server, presence and answer.
_LIMIT = 200_000
_WEIGHT_OF_ANSWER = 10

OnDecision = Callable[
    [
        UserPresenceState,
        "Visibility",
        Mapping[str, UserPresenceState],
        Collection[str] | None,
    ],
    None,
]

# The fields that are hidden from a server. None: it must not get the state.
Hidden = int | None


class Servers:
    """Decides about other servers, for one process."""

    def __init__(
        self,
        reactor: Any,
        router: "Router",
        rooms: Rooms,
        listings: Listings,
        rooms_when_away: bool,
        alone: bool,
    ) -> None:
        """`alone`: false if Synapse itself sends to the servers of room-mates."""
        self._reactor = reactor
        self._router = router
        self._rooms = rooms
        self._listings = listings
        self._rooms_when_away = rooms_when_away
        self._alone = alone
        self.on_decision: OnDecision | None = None
        """Called with each state that the daemon's answer decides about, the answer, the servers
        that get the state, and those that were asked about."""
        # By the number of the answer and the presence, for answers that need no rooms.
        self._verdicts: Bounded[tuple[int, str], dict[str, Hidden]] = Bounded(_LIMIT)

    async def versions(
        self,
        state: UserPresenceState,
        answer: "Visibility | None",
        rooms: Mapping[str, RoomView],
        only: Collection[str] | None = None,
    ) -> dict[str, UserPresenceState]:
        """Returns the servers that get a state of a local user, each with its version. `rooms`:
        those of the user. `only`: the servers to decide about; None: all that there are."""
        if answer is None:
            if not (self._alone and self._rooms_when_away and self._router.is_away()):
                return {}
            mates = _servers_of(rooms)
            return dict.fromkeys(mates if only is None else mates.intersection(only), state)
        servers = only if only is not None else await self._candidates(answer, rooms)
        if answer.depends_on_rooms:
            verdicts = await self._decide(answer, state.state, servers, rooms)
        else:
            verdicts = await self._decide_without_rooms(answer, state.state, servers)
        versions = {
            server: redact(state, hidden) if hidden else state
            for server, hidden in verdicts.items()
            if hidden is not None
        }
        if self.on_decision is not None:
            self.on_decision(state, answer, versions, only)
        return versions

    async def _candidates(self, answer: "Visibility", rooms: Mapping[str, RoomView]) -> set[str]:
        listing = await self._listings.of(answer)
        servers = {*self._router.named_servers()[1], *listing.servers}
        mates = _servers_of(rooms)
        return servers | mates if self._alone else servers - mates

    async def _decide_without_rooms(
        self, answer: "Visibility", presence: str, servers: Collection[str]
    ) -> dict[str, Hidden]:
        key = answer.number, presence
        verdicts = self._verdicts.get(key) or {}
        missing = [server for server in servers if server not in verdicts]
        if missing:
            verdicts = verdicts | await self._decide(answer, presence, missing, {})
            self._verdicts.put(key, verdicts, _WEIGHT_OF_ANSWER + len(verdicts))
        return {server: verdicts[server] for server in servers}

    async def _decide(
        self,
        answer: "Visibility",
        presence: str,
        servers: Collection[str],
        rooms: Mapping[str, RoomView],
    ) -> dict[str, Hidden]:
        complete = not (rooms and await self._rooms.have_unknown_members(rooms))
        verdicts: dict[str, Hidden] = {}
        turn = Turn(self._reactor)
        left = list(servers)
        for start in range(0, len(left), _AT_ONCE):
            await turn.end_if_long()
            some = left[start : start + _AT_ONCE]
            mates = [_mates_on(server, rooms) for server in some]

            def ask(
                known: "Known",
                some: list[str] = some,
                mates: list[dict[str, Collection[str]]] = mates,
            ) -> "tuple[list[Hidden], list[MissingFact]]":
                found: list[Hidden] = []
                missing: list[MissingFact] = []
                for server, there in zip(some, mates, strict=True):
                    hidden, lacking = answer.server_sees(server, presence, there, complete, known)
                    found.append(hidden)
                    missing.extend(lacking)
                return found, missing

            verdicts.update(zip(some, await self._rooms.decide(ask), strict=True))
        return verdicts


def _servers_of(rooms: Mapping[str, RoomView]) -> set[str]:
    return set().union(*(view.by_server for view in rooms.values()))


def _mates_on(server: str, rooms: Mapping[str, RoomView]) -> dict[str, Collection[str]]:
    """Returns the members of rooms who live on a server, each with their rooms."""
    mates: dict[str, list[str]] = {}
    for room_id, view in rooms.items():
        for user_id in view.by_server.get(server, ()):
            mates.setdefault(user_id, []).append(room_id)
    return dict(mates)
