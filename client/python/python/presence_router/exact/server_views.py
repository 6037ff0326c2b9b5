"""What other servers were sent of each local user, so that a server that loses sight of the user
gets one "offline", one that gains sight the present state, and no other server anything.

Only for a process that sends to other servers, with `federation: exact`. After its start nobody
knows any more what the servers have: a server that loses sight then gets nothing, and stops
showing the user after half an hour without a ping.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synapse.module_api import UserPresenceState

from .audiences import Audiences
from .bell_names import is_bell
from .changes import Missed
from .room_changes import RoomChange
from .room_views import RoomViews
from .servers import Servers
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Visibility

# Senders, at most. Those that were sent to the same servers share these.
_MAX_SENDERS = 100_000

# Senders whose audiences are looked up at once.
_AT_ONCE = 500


@dataclass(frozen=True)
class _Sent:
    answer: "Visibility"
    servers: frozenset[str]


class ServerViews:
    """The servers that show the presence of local users, as far as this process sent it."""

    def __init__(
        self,
        reactor: Any,
        hs: Any,
        audiences: Audiences,
        views: RoomViews,
        servers: Servers,
        max_senders: int = _MAX_SENDERS,
    ) -> None:
        self._reactor = reactor
        self._hs = hs
        self._store: Any = hs.get_datastores().main
        self._audiences = audiences
        self._views = views
        self._servers = servers
        self._max_senders = max_senders
        # Of senders who are not offline, those that changed last at the end.
        self._sent: dict[str, _Sent] = {}
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        # The last ring, and its keys: Synapse asks twice.
        self._last: tuple[int, dict[str, set[UserPresenceState]]] = 0, {}

    def note(
        self,
        state: UserPresenceState,
        answer: "Visibility",
        servers: Iterable[str],
        only: Collection[str] | None,
    ) -> None:
        """Notes the servers that get a state. `only`: nothing is known about others."""
        before = self._sent.pop(state.user_id, None)
        if state.state == "offline":
            return
        now = frozenset(servers)
        if only is not None and before is not None:
            now |= before.servers - frozenset(only)
        if not now:
            return
        if len(self._sets) > self._max_senders:
            self._sets = {sent.servers: sent.servers for sent in self._sent.values()}
        while len(self._sent) >= self._max_senders:
            del self._sent[next(iter(self._sent))]
        self._sent[state.user_id] = _Sent(answer, self._sets.setdefault(now, now))

    async def keys_of(
        self, number: int, missed: Missed | None, room_changes: Sequence[RoomChange] | None
    ) -> dict[str, set[UserPresenceState]]:
        """Returns the servers to which the ring with a number sends, each with states. `missed`
        and `room_changes`: the changes that the ring tells of. None: anything may have changed."""
        if self._last[0] != number:
            # Noted before: what is sent must not be sent again if Synapse asks again meanwhile.
            keys: dict[str, set[UserPresenceState]] = {}
            self._last = number, keys
            senders = await self._find_senders(missed, room_changes)
            turn = Turn(self._reactor)
            for start in range(0, len(senders), _AT_ONCE):
                some = senders[start : start + _AT_ONCE]
                answers = await self._audiences.of(some)
                states = await self._hs.get_presence_handler().current_state_for_users(some)
                for sender in some:
                    await turn.end_if_long()
                    if (answer := answers[sender]) is not None and sender in states:
                        await self._add_changes(keys, states[sender], answer)
        return self._last[1]

    async def _find_senders(
        self, missed: Missed | None, room_changes: Sequence[RoomChange] | None
    ) -> list[str]:
        senders: set[str] = set()
        if missed is None or not missed.is_empty or room_changes is None:
            # Without a look at their answers: those of most have the same number as before.
            senders.update(self._sent)
        for one in (missed.changed or ()) if missed is not None else ():
            senders.update(one.senders or ())
        for change in room_changes or ():
            if change.user_id is not None and self._hs.is_mine_id(change.user_id):
                senders.add(change.user_id)
            else:
                senders.update(await self._store.get_users_in_room(change.room_id))
        return [one for one in senders if self._hs.is_mine_id(one) and not is_bell(one)]

    async def _add_changes(
        self,
        keys: dict[str, set[UserPresenceState]],
        state: UserPresenceState,
        answer: "Visibility",
    ) -> None:
        before = self._sent.get(state.user_id)
        if before is None and state.state == "offline":
            return
        if (
            before is not None
            and before.answer.number == answer.number
            and not answer.depends_on_rooms
        ):
            return
        rooms = await self._views.of_user(state.user_id)
        # This also notes them.
        versions = await self._servers.versions(state, answer, rooms)
        had: frozenset[str] = frozenset() if before is None else before.servers
        look_the_same = before is None or before.answer.hides_as(answer)
        for server, version in versions.items():
            if server not in had or not look_the_same:
                _add(keys, server, version)
        for server in had - versions.keys():
            _add(keys, server, UserPresenceState.default(state.user_id))


def _add(
    keys: dict[str, set[UserPresenceState]], server: str, state: UserPresenceState
) -> None:
    # Only the server counts: no such user needs to exist.
    keys.setdefault(f"@presence-router:{server}", set()).add(state)
