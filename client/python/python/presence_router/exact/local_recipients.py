"""The local users who must be woken because of a sender: those who asked lately in this process
and see the sender, and the users of application services, who never ask by themselves.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .askers import Askers, AskersSeen
from .bounded import Bounded
from .held_users import find_held_users
from .listings import Listings
from .room_views import RoomView
from .rooms import Rooms
from .services import Services

if TYPE_CHECKING:
    from .._native import Visibility

# The weight of all remembered sets together: a user weighs 1, and takes about 50 bytes.
_LIMIT = 1_000_000
_WEIGHT_OF_SET = 20


class LocalRecipients:
    """Finds them, for one process."""

    def __init__(
        self,
        reactor: Any,
        askers: Askers,
        rooms: Rooms,
        services: Services,
        listings: Listings,
    ) -> None:
        self._reactor = reactor
        self._askers = askers
        self._rooms = rooms
        self._services = services
        self._listings = listings
        # The askers whom an answer holds without a shared room, by the number of the answer.
        self._strangers: Bounded[int, tuple[set[str], AskersSeen]] = Bounded(_LIMIT)

    def needs_rooms(self, answer: "Visibility") -> bool:
        """Returns true if `of` needs the rooms of the sender."""
        return answer.depends_on_rooms or bool(self._services.senders())

    async def of(
        self, sender: str, answer: "Visibility", rooms: Mapping[str, RoomView]
    ) -> set[str]:
        """Returns those whom an answer about a sender holds. `rooms`: those of the sender, or
        none if they are not needed. The sender itself may be among the recipients."""
        found = set(await self._askers_without_rooms(sender, answer))
        senders_of_services = self._services.senders()
        users_of_services = set(senders_of_services)
        if senders_of_services:
            users_of_services |= (await self._listings.of(answer)).of_services
            for view in rooms.values():
                users_of_services |= view.of_services
        mates = self.mates(rooms) if answer.depends_on_rooms else {}
        # A shared room can also take a user away from those who see the sender without one.
        found -= mates.keys()
        users = [*mates, *(users_of_services - mates.keys())]
        found.update(await self._held(answer, users, mates))
        return found

    def mates(self, rooms: Mapping[str, RoomView]) -> dict[str, list[str]]:
        """Returns all who could be woken and are in some rooms, each with these rooms."""
        mates: dict[str, list[str]] = {}
        for room_id, view in rooms.items():
            users = view.askers(self._askers)
            for user_id in users | view.of_services if view.of_services else users:
                mates.setdefault(user_id, []).append(room_id)
        return mates

    async def _askers_without_rooms(self, sender: str, answer: "Visibility") -> set[str]:
        known = self._strangers.get(answer.number)
        is_new, users, seen = self._askers.since(None if known is None else known[1])
        strangers = set() if known is None or is_new else known[0]
        if not users and not is_new:
            return strangers
        strangers = strangers | await self._held(answer, users, {})
        # An answer never holds its own user; other answers with the same number may.
        if sender in self._askers.all():
            strangers.add(sender)
        self._strangers.put(answer.number, (strangers, seen), _WEIGHT_OF_SET + len(strangers))
        return strangers

    async def _held(
        self, answer: "Visibility", users: list[str], mates: Mapping[str, list[str]]
    ) -> set[str]:
        return await find_held_users(self._reactor, self._rooms, answer, users, mates)
