"""The members of rooms, sorted by what they are needed for: whom to wake, and which servers to
ask about.

Sorting a large room takes milliseconds. The result is remembered for the list of members that
Synapse's cache returns: after a change, Synapse returns another list.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any

from .._native import is_server_name
from .askers import Askers, AskersSeen
from .bounded import Bounded
from .rooms import Rooms
from .turns import Turn

# Members that are sorted at once.
_AT_ONCE = 500

# The weight of all remembered rooms together: a member weighs 1, and takes about 50 bytes.
_LIMIT = 1_000_000
_WEIGHT_OF_ROOM = 20


class RoomView:
    """The members of one room."""

    def __init__(self, members: Sequence[str]) -> None:
        # Synapse's list itself, so that no other list can have its identity.
        self.members = members
        self.local: set[str] = set()
        self.by_server: dict[str, list[str]] = {}
        """The members on other servers, without those whose server has no valid name."""
        self.of_services: set[str] = set()
        """The members who are users of application services."""
        self._askers: set[str] = set()
        self._seen: AskersSeen | None = None

    def askers(self, askers: Askers) -> Set[str]:
        """Returns the members who asked lately in this process, in a set that changes later."""
        is_new, users, self._seen = askers.since(self._seen)
        if is_new:
            self._askers = self.local.intersection(users)
        else:
            self._askers.update(user for user in users if user in self.local)
        return self._askers


class RoomViews:
    """The rooms of one process's Synapse."""

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
        self._views: Bounded[str, RoomView] = Bounded(limit)

    async def of_user(self, user_id: str) -> dict[str, RoomView]:
        """Returns the rooms of a user that Synapse does not exclude from presence."""
        rooms = await self._rooms.members_of_rooms(user_id)
        return {room: await self._of_members(room, members) for room, members in rooms.items()}

    async def _of_members(self, room_id: str, members: Sequence[str]) -> RoomView:
        view = self._views.get(room_id)
        if view is None or view.members is not members:
            view = await self._sort(members)
            self._views.put(room_id, view, _WEIGHT_OF_ROOM + len(members))
        return view

    async def _sort(self, members: Sequence[str]) -> RoomView:
        view = RoomView(members)
        turn = Turn(self._reactor)
        for start in range(0, len(members), _AT_ONCE):
            await turn.end_if_long()
            for user_id in members[start : start + _AT_ONCE]:
                self._add(view, user_id)
        return view

    def _add(self, view: RoomView, user_id: str) -> None:
        server = user_id.partition(":")[2]
        if server == self._own_server:
            view.local.add(user_id)
            if self._is_of_service(user_id):
                view.of_services.add(user_id)
            return
        users = view.by_server.get(server)
        if users is not None:
            users.append(user_id)
        elif is_server_name(server):
            view.by_server[server] = [user_id]
