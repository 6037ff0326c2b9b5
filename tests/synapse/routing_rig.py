"""What decides in the mode `exact` where presence goes, with a daemon, and with rooms and a
Synapse that exist only in the test."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from daemon import SERVER, Daemon
from fake_api import in_reactor
from presence_router._native import RoomFacts, Router
from presence_router.bell_names import bells_of
from presence_router.completions import CompletionReader, await_call
from presence_router.exact.askers import Askers
from presence_router.exact.router import ExactRouter
from presence_router.exact.routing import Routing
from presence_router.exact.services import Services
from presence_router.exact.sight import Sight
from presence_router.health import AWAY
from presence_router.redact import redact
from synapse.module_api import UserPresenceState
from twisted.internet import reactor

# Seconds for which answers live without a connection.
STALE_FOR = 0.0


class GivenRooms:
    """Rooms by id, each with the list of its members, as Synapse's cache has it."""

    def __init__(self, router: Router) -> None:
        self.members: dict[str, list[str]] = {}
        self.facts = RoomFacts(100)
        # Rooms of which Synapse does not know all members.
        self.partial: set[str] = set()
        # Users whose rooms cannot be read.
        self.broken_for: set[str] = set()
        self._router = router

    async def members_of_rooms(self, user_id: str) -> dict[str, Sequence[str]]:
        if user_id in self.broken_for:
            raise OSError("no database")
        return {room: members for room, members in self.members.items() if user_id in members}

    async def room_mates(self, user_id: str) -> set[str]:
        return set().union(*(await self.members_of_rooms(user_id)).values())

    async def shared(self, user_id: str, others: Sequence[str]) -> list[frozenset[str] | None]:
        mine = await self.members_of_rooms(user_id)
        return [
            frozenset(room for room, members in mine.items() if other in members) or None
            for other in others
        ]

    async def have_unknown_members(self, room_ids: Iterable[str]) -> bool:
        return not self.partial.isdisjoint(room_ids)

    async def senders_without_rooms(self, answer: Any) -> list[str]:
        found = await await_call(
            "listing", lambda done: self._router.find_senders_without_rooms(answer, done)
        )
        return found[2] or []

    async def decide(self, ask: Callable[[Any], tuple[Any, list[Any]]]) -> Any:
        counts: dict[tuple[str, int], int | None] = {}
        for _ in range(5):
            value, missing = ask((self.facts, counts))
            if not missing:
                break
            for kind, room_id, patterns in missing:
                assert kind == "members"
                counts[room_id, patterns] = len(self.members[room_id])
        return value


class Service:
    """An application service with a namespace of users."""

    def __init__(self, name: str, prefix: str, rooms: tuple[str, ...] = ()) -> None:
        self.sender = f"@{name}:{SERVER}"
        self.supports_ephemeral = True
        self._prefix = prefix
        # Rooms that concern it although none of its users is in them.
        self._rooms = rooms
        self.rig: Rig | None = None

    def is_interested_in_user(self, user_id: str) -> bool:
        return user_id == self.sender or user_id.startswith(self._prefix)

    async def is_interested_in_presence(self, user: Any, _store: Any) -> bool:
        assert self.rig is not None
        user_id = user.to_string()
        members = self.rig.rooms.members
        return self.is_interested_in_user(user_id) or any(
            user_id in members[room]
            and (room in self._rooms or any(map(self.is_interested_in_user, members[room])))
            for room in members
        )


class Store:
    """The parts of Synapse's store."""

    def __init__(self) -> None:
        self.services: list[Service] = []
        self.rooms: dict[str, list[str]] = {}

    def get_app_services(self) -> list[Service]:
        return self.services

    async def get_users_in_room(self, room_id: str) -> list[str]:
        return self.rooms.get(room_id, [])


class Rig:
    """One process of the module."""

    def __init__(
        self,
        directory: Path,
        federation: str = "exact",
        when_away: str = "nobody",
        sends: bool = True,
        destinations: tuple[str, ...] = (),
    ) -> None:
        self.daemon = Daemon(directory, f"rig-{next(_numbers)}")
        self.store = Store()
        self.now = 0.0
        self.unsent = 0
        # Of questions about senders.
        self.outcomes: list[str] = []
        # Pairs of servers and states that the process sent.
        self.sent: list[tuple[str, UserPresenceState]] = []
        self.states: dict[str, UserPresenceState] = {}
        self.router = Router(
            self.daemon.address,
            SERVER,
            list(destinations),
            5000,
            int(STALE_FOR),
            16,
            redact,
            decides_alone=True,
        )
        self.router.finish_seeding()
        self.rooms = GivenRooms(self.router)
        self.askers = Askers(lambda: self.now)
        self._away = when_away == "rooms"

        async def make() -> None:
            self._reader = CompletionReader(self.router)
            reactor.addReader(self._reader)  # type: ignore[attr-defined]
            rooms: Any = self.rooms
            self.sight = Sight(
                reactor, self.router, self._ask_sight, rooms, self._away, bells_of(SERVER)
            )
            self.services = Services(self.store, self.sight)
            self.routing = Routing(
                self._api(sends),
                reactor,
                self.router,
                self._ask,
                rooms,
                self.askers,
                self.services,
                self._away,
                federation == "exact",
                self._count_unsent,
            )

        in_reactor(make)

    def _api(self, sends: bool) -> Any:
        worker = SimpleNamespace(writers=SimpleNamespace(presence=["master"] if sends else []))
        hs = SimpleNamespace(
            hostname=SERVER,
            is_mine_id=lambda user_id: user_id.endswith(f":{SERVER}"),
            should_send_federation=lambda: sends,
            get_instance_name=lambda: "master",
            config=SimpleNamespace(worker=worker, server=SimpleNamespace()),
            get_datastores=lambda: SimpleNamespace(main=self.store),
            get_presence_handler=lambda: self,
            get_federation_sender=lambda: self,
        )
        return SimpleNamespace(_hs=hs, server_name=SERVER)

    async def current_state_for_users(self, users: list[str]) -> dict[str, UserPresenceState]:
        return {user: self.states.get(user, UserPresenceState.default(user)) for user in users}

    async def send_presence_to_destinations(
        self, states: list[UserPresenceState], destinations: list[str]
    ) -> None:
        self.sent += [(server, state) for server in destinations for state in states]

    async def _ask(self, senders: list[str]) -> tuple[list[Any], bool]:
        found = await await_call("ask", lambda done: self.router.find_recipients_of(senders, done))
        self.outcomes.append(found[0])
        return found[2] or [None] * len(senders), found[0] in AWAY

    async def _ask_sight(self, user_id: str) -> Any:
        found = await await_call(
            "ask", lambda done: self.router.find_visible_senders(user_id, done)
        )
        return found[2][0] if found[2] else None

    def _count_unsent(self, number: int) -> None:
        self.unsent += number

    def start(self, rules: list[Any], **sections: Any) -> None:
        """Starts the daemon with a policy."""
        self.daemon.write(rules, **sections)
        self.daemon.start()

    def add_service(self, service: Service) -> None:
        service.rig = self
        self.store.services.append(service)

    def ask(self, *users: str) -> None:
        """Lets users ask for their view."""
        for user in users:
            self.askers.note(user)

    def keys(self, *states: UserPresenceState) -> dict[str, set[UserPresenceState]]:
        """What the module answers to Synapse."""
        return in_reactor(lambda: self.routing.wake.keys_of(list(states)))

    def woken(self, *states: UserPresenceState) -> set[str]:
        """The local users to wake."""
        keys = self.keys(*states)
        local = {key for key in keys if key.endswith(f":{SERVER}")}
        assert all(keys[key] == set() for key in local), "a user's key has states"
        return local

    def sent_to(self, *states: UserPresenceState) -> dict[str, set[UserPresenceState]]:
        """The servers to send to, each with its states."""
        keys = self.keys(*states)
        return {
            key.removeprefix("@presence-router:"): some
            for key, some in keys.items()
            if not key.endswith(f":{SERVER}")
        }

    def interest(self, user_id: str) -> set[str] | str:
        """What the module answers to Synapse's question about a user."""
        nothing: Any = None
        router = ExactRouter(
            self.routing.sends._hs, nothing, self.askers, self.sight, self.services,
            self.routing.wake, nothing, self.routing.sends,
        )  # fmt: skip
        return in_reactor(lambda: router.interest_of(user_id))

    def stop(self) -> None:
        async def remove() -> None:
            reactor.removeReader(self._reader)  # type: ignore[attr-defined]

        in_reactor(remove)
        self.router.close()
        self.daemon.stop()


_numbers = itertools.count()
