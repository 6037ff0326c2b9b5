"""A Synapse for tests of the seal: as much of its objects as the seal looks at."""

from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any

from fake_api import context, in_reactor
from presence_router.exact.asking import Questions
from presence_router.exact.seal import Seal, SendRows
from synapse.events.presence_router import PresenceRouter
from synapse.logging.context import LoggingContext
from synapse.module_api import UserPresenceState
from synapse.types import UserID
from twisted.internet import reactor

ANN, EVE, JOE = "@ann:test", "@eve:test", "@joe:there"


class Handler:
    """The presence handler. Knows the states of some users."""

    def __init__(self, hs: Any) -> None:
        self.store = hs.get_datastores().main
        self.presence_router = hs.get_presence_router()
        self.states: dict[str, UserPresenceState] = {}
        # The user ids of each question.
        self.asked: list[list[str]] = []
        self.stored: list[UserPresenceState] = []
        # Called before a state is read to be stored again, and when it was stored.
        self.before_stored: Callable[[], Awaitable[None]] | None = None
        self.on_stored: Callable[[], Awaitable[None]] | None = None
        self._rooms_to_exclude_from_presence = frozenset({"!left-out"})
        self._federation_queue = Queue()

    async def get_state(self, target_user: UserID) -> UserPresenceState:
        return (await self.get_states([target_user.to_string()]))[0]

    async def get_states(self, target_user_ids: Iterable[str]) -> list[UserPresenceState]:
        states = await self.current_state_for_users(target_user_ids)
        # As Synapse does, which iterates twice.
        assert set(target_user_ids) == set(states)
        return [*states.values()]

    async def current_state_for_users(
        self, user_ids: Iterable[str]
    ) -> dict[str, UserPresenceState]:
        self.asked.append(list(user_ids))
        return {
            user_id: self.states.get(user_id, UserPresenceState.default(user_id))
            for user_id in self.asked[-1]
        }

    async def is_visible(self, observed_user: UserID, observer_user: UserID) -> bool:
        return True

    async def send_full_presence_to_users(self, user_ids: Iterable[str]) -> None:
        for user_id in user_ids:
            if self.before_stored is not None:
                await self.before_stored()
            self.stored.append(await self.get_state(UserID.from_string(user_id)))
            if self.on_stored is not None:
                await self.on_stored()

    def get_federation_queue(self) -> "Queue":
        return self._federation_queue


class Queue:
    """The queue of presence for other servers."""

    def __init__(self) -> None:
        self._federation: object | None = object()
        self.positions: list[tuple[str, int]] = []
        self.sent: list[Any] = []

    async def process_replication_rows(
        self, stream_name: str, instance_name: str, token: int, rows: list[Any]
    ) -> None:
        self.positions.append((stream_name, token))
        self.sent += rows

    async def send_presence_to_destinations(self, states: Any, destinations: Any) -> None:
        raise NotImplementedError


class ChangeCache:
    """The cache of the positions of changes."""

    def entity_has_changed(self, entity: str, stream_pos: int) -> None:
        raise NotImplementedError

    def all_entities_changed(self, stream_pos: int) -> None:
        raise NotImplementedError


class Store:
    def __init__(self) -> None:
        self._curr_state_delta_stream_cache = ChangeCache()

    async def get_presence_for_all_users(
        self, include_offline: bool = True
    ) -> dict[str, UserPresenceState]:
        return {"all": UserPresenceState.default("all")}


class Source:
    """The source of presence for /sync."""

    def __init__(self, hs: Any) -> None:
        self.store = hs.get_datastores().main
        self.get_presence_handler = hs.get_presence_handler
        self.get_presence_router = hs.get_presence_router
        self._rooms_to_exclude_from_presence = frozenset({"!left-out"})

    async def get_new_events(self, user: UserID, from_key: int | None) -> Any:
        raise NotImplementedError

    async def _filter_all_presence_updates_for_user(
        self, user_id: str, include_offline: bool, from_key: int | None = None
    ) -> list[UserPresenceState]:
        raise NotImplementedError


class FakeSight:
    """Shows the senders of a set, and makes no difference between recipients."""

    def __init__(self) -> None:
        self.visible: set[str] = set()
        self.raises: BaseException | None = None

    async def shown(
        self, recipient: str, states: list[UserPresenceState]
    ) -> list[UserPresenceState]:
        if self.raises is not None:
            raise self.raises
        return [one for one in states if one.user_id in self.visible - {recipient}]

    async def candidates(self, _recipient: str) -> set[str]:
        if self.raises is not None:
            raise self.raises
        return set(self.visible)


class SealedSynapse:
    """One process, with an open seal."""

    def __init__(self, send_rows: SendRows | None = None) -> None:
        self.router = PresenceRouter(SimpleNamespace())  # type: ignore[arg-type]
        stores = SimpleNamespace(main=Store())
        self.hs = SimpleNamespace(
            get_datastores=lambda: stores,
            get_presence_router=lambda: self.router,
            get_presence_handler=lambda: self.handler,
            get_event_sources=lambda: SimpleNamespace(
                sources=SimpleNamespace(presence=self.source)
            ),
        )
        self.store = stores.main
        self.handler = Handler(self.hs)
        self.source = Source(self.hs)
        self.sight = FakeSight()
        self.questions = Questions()
        sight: Any = self.sight
        self.seal = Seal(reactor, self.hs, self.questions, sight, send_rows)

    def close(self) -> None:
        """Closes the seal, and registers the callbacks of the module."""
        self.seal.close()
        self.register(*CALLBACKS)

    def register(self, get_users_for_states: Any, get_interested_users: Any) -> None:
        """Registers callbacks, as the module API does."""
        self.router.register_presence_router_callbacks(
            get_users_for_states=get_users_for_states, get_interested_users=get_interested_users
        )

    def states_for(self, requester: str | None, *user_ids: str) -> list[UserPresenceState]:
        """What Synapse reads while it handles a request of a user."""
        # Synapse hands in any iterable.
        return run(lambda: self.handler.get_states(iter(user_ids)), requester)


async def route_states(_states: Any) -> dict[str, Any]:
    return {}


async def interest_of(_user_id: str) -> str:
    return "ALL"


CALLBACKS = route_states, interest_of


def request_of(requester: str | None) -> LoggingContext:
    """The log context of a request."""
    made = context()
    made.request = SimpleNamespace(requester=requester)  # type: ignore[assignment]
    return made


def run(function: Any, requester: str | None) -> Any:
    """Runs a coroutine while Synapse handles a request of a user."""
    return in_reactor(function, request_of(requester))
