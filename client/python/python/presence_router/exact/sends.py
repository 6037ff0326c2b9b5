"""Presence that Synapse sends to other servers beside new states: pings, and snapshots for
servers that joined a room.

Synapse queues both as pairs of a server and a user. A federation sender in a process of its own
reads the state of the user again, so that it must decide again.
"""

from collections.abc import Mapping
from typing import Any

from synapse.module_api import UserPresenceState

from ..bell_names import bells_of
from .audiences import Audiences
from .room_views import RoomViews
from .servers import Servers
from .turns import Turn


class Sends:
    """Decides about pairs of servers and users, in one process."""

    def __init__(
        self, hs: Any, reactor: Any, audiences: Audiences, views: RoomViews, servers: Servers
    ) -> None:
        self._hs = hs
        self._bells = bells_of(hs.hostname)
        self._reactor = reactor
        self._audiences = audiences
        self._views = views
        self._servers = servers

    async def send_rows(self, servers: dict[str, set[str]]) -> None:
        """Sends to each of some servers the presence of those of some local users whom the server
        may see, as it may see it. Only for a process that sends to other servers."""
        users = sorted(set().union(*servers.values()))
        states = await self._hs.get_presence_handler().current_state_for_users(users)
        federation = self._hs.get_federation_sender()
        for server, versions in (await self.versions(servers, states)).items():
            await federation.send_presence_to_destinations(states=versions, destinations=[server])

    async def find_sent_unchanged(self, server: str, senders: set[str]) -> set[str]:
        """Returns those of some senders whose present state a server may get as it is: a field that
        is hidden from anybody there is hidden from the whole server."""
        states = await self._hs.get_presence_handler().current_state_for_users(sorted(senders))
        found = await self.versions({server: senders}, states)
        return {
            version.user_id
            for version in found.get(server, ())
            if version == states[version.user_id]
        }

    async def versions(
        self, servers: Mapping[str, set[str]], states: Mapping[str, UserPresenceState]
    ) -> dict[str, list[UserPresenceState]]:
        """Returns what each of some servers gets of its users' states: for each user that the
        server may see one state, without what is hidden. Servers that get nothing are left out."""
        servers_of: dict[str, list[str]] = {}
        for server, users in servers.items():
            for user_id in users:
                is_local = self._hs.is_mine_id(user_id) and user_id not in self._bells
                if is_local and user_id in states:
                    servers_of.setdefault(user_id, []).append(server)
        answers = await self._audiences.of(list(servers_of))
        found: dict[str, list[UserPresenceState]] = {}
        turn = Turn(self._reactor)
        for user_id, only in servers_of.items():
            await turn.end_if_long()
            rooms = await self._views.of_user(user_id)
            versions = await self._servers.versions(states[user_id], answers[user_id], rooms, only)
            for server, version in versions.items():
                found.setdefault(server, []).append(version)
        return found
