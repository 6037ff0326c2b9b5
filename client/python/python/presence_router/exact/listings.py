"""Recipients whom an answer names although they may share no room with the sender: the servers
on which they live, and those who are users of application services.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._native import is_server_name
from .bounded import Bounded
from .held_users import find_held_users
from .rooms import Rooms
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Visibility

# Users that are looked at at once.
_AT_ONCE = 500

# The weight of all remembered listings together: a name weighs 1, and takes about 100 bytes.
_LIMIT = 200_000
_WEIGHT_OF_LISTING = 10

# A server that no policy names, and its user: only an audience with everybody holds it.
_UNNAMED = "unnamed.invalid"
_NOBODY = "@presence-router-nobody:"


@dataclass(frozen=True)
class Listing:
    """What one answer lists."""

    servers: frozenset[str]
    """Other servers on which listed recipients live."""

    of_services: frozenset[str]
    """Local recipients who are users of application services. Of an open audience only those who
    were known when it was read: the services' own senders are looked at besides."""

    is_everywhere: bool
    """True if there are recipients on every server, also on those that nothing names."""


class Listings:
    """What the answers of one process list."""

    def __init__(
        self,
        reactor: Any,
        rooms: Rooms,
        own_server: str,
        is_of_service: Callable[[str], bool],
        limit: int = _LIMIT,
    ) -> None:
        self._reactor = reactor
        self._rooms = rooms
        self._own_server = own_server
        self._is_of_service = is_of_service
        # By the numbers of the answers.
        self._listings: Bounded[int, Listing] = Bounded(limit)

    async def of(self, answer: "Visibility") -> Listing:
        """Returns what an answer lists, from memory if possible."""
        listing = self._listings.get(answer.number)
        if listing is None:
            listing = await self._read(answer)
            names = len(listing.servers) + len(listing.of_services)
            self._listings.put(answer.number, listing, _WEIGHT_OF_LISTING + names)
        return listing

    async def _read(self, answer: "Visibility") -> Listing:
        servers: set[str] = set()
        of_services: set[str] = set()
        turn = Turn(self._reactor)
        users = await self._rooms.senders_without_rooms(answer)
        for start in range(0, len(users), _AT_ONCE):
            await turn.end_if_long()
            for user_id in users[start : start + _AT_ONCE]:
                server = user_id.partition(":")[2]
                if server != self._own_server:
                    servers.add(server)
                elif self._is_of_service(user_id):
                    of_services.add(user_id)
        is_everywhere = False
        if answer.is_open_to_strangers:
            # Of the known users, whom nothing lists: Synapse sends to servers that are named.
            users = [_NOBODY + server for server in (*servers, _UNNAMED)]
            anybody = await find_held_users(self._reactor, self._rooms, answer, users, {})
            is_everywhere = _NOBODY + _UNNAMED in anybody
            servers = {server for server in servers if _NOBODY + server not in anybody}
        valid = frozenset(server for server in servers if is_server_name(server))
        return Listing(valid, frozenset(of_services), is_everywhere)
