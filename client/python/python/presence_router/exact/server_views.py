"""What other servers were sent of each local user, so that a server that loses sight of the user
gets one "offline", one that gains sight the present state, and no other server anything.

Only for a process that sends to other servers, with `federation: exact`. After its start nobody
knows any more what the servers have: a server that loses sight then gets nothing, and stops
showing the user after half an hour without a ping.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synapse.module_api import UserPresenceState
from twisted.internet.defer import CancelledError

from ..bell_names import bells_of
from .audiences import Audiences
from .changes import Missed
from .places import Places
from .room_changes import RoomChange
from .room_views import RoomViews
from .servers import Servers
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Visibility

logger = logging.getLogger("presence_router")

# Senders, at most. Those that were sent to the same servers share these.
_MAX_SENDERS = 100_000

# Senders whose audiences are looked up at once.
_AT_ONCE = 500


# Rings whose keys are remembered.
_RINGS = 16


@dataclass(frozen=True)
class _Sent:
    answer: "Visibility"
    servers: frozenset[str]
    hidden_from: frozenset[str]
    """Those of them from whom something was hidden."""


@dataclass
class ServerKeys:
    """The servers to which a ring sends."""

    keys: dict[str, set[UserPresenceState]] = field(default_factory=dict)
    is_complete: bool = True
    """False: nothing could be decided about some senders."""


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
        self._bells = bells_of(hs.hostname)
        self._store: Any = hs.get_datastores().main
        self._audiences = audiences
        self._views = views
        self._servers = servers
        self._max_senders = max_senders
        # Of senders who are not offline, or have a status text, those that changed last at the end.
        # Synapse keeps what a server cannot get because it is down, a text too, and replaces it
        # only by another state of the same sender.
        self._sent: dict[str, _Sent] = {}
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        # The keys of the last rings: Synapse asks twice for each, and perhaps about the next ring
        # in between.
        self._rings: dict[int, ServerKeys] = {}
        # One ring at a time: the next one looks at what this one has noted.
        self._place = Places(1)
        # Senders about whom the last ring could not decide.
        self._again: set[str] = set()

    def note(
        self,
        state: UserPresenceState,
        answer: "Visibility",
        versions: Mapping[str, UserPresenceState],
        only: Collection[str] | None,
    ) -> None:
        """Notes the servers that get a state. `only`: nothing is known about others."""
        before = self._sent.pop(state.user_id, None)
        if state.state == "offline" and not state.status_msg:
            return
        now = frozenset(versions)
        hidden = {server for server, version in versions.items() if version is not state}
        if only is not None and before is not None:
            now |= before.servers - frozenset(only)
            hidden |= before.hidden_from - frozenset(only)
        if not now:
            return
        if len(self._sets) > self._max_senders:
            self._sets = {sent.servers: sent.servers for sent in self._sent.values()}
        while len(self._sent) >= self._max_senders:
            del self._sent[next(iter(self._sent))]
        self._sent[state.user_id] = _Sent(
            answer, self._sets.setdefault(now, now), frozenset(hidden)
        )

    async def keys_of(
        self, number: int, missed: Missed | None, room_changes: Sequence[RoomChange] | None
    ) -> ServerKeys:
        """Returns the servers to which the ring with a number sends, each with states. `missed`
        and `room_changes`: the changes that the ring tells of. None: anything may have changed."""
        async with self._place.take():
            if (found := self._rings.get(number)) is None:
                found = await self._find_keys(missed, room_changes)
                self._rings[number] = found
                if len(self._rings) > _RINGS:
                    del self._rings[next(iter(self._rings))]
        return found

    async def _find_keys(
        self, missed: Missed | None, room_changes: Sequence[RoomChange] | None
    ) -> ServerKeys:
        found = ServerKeys()
        # What was noted about the senders of this ring, before and after it.
        noted: dict[str, tuple[_Sent | None, _Sent | None]] = {}
        again, self._again = self._again, set()
        try:
            senders = again | await self._find_senders(missed, room_changes)
            left = list(senders)
            for start in range(0, len(left), _AT_ONCE):
                await self._add_some(found, noted, left[start : start + _AT_ONCE])
        except BaseException as why:
            self._again |= again
            if isinstance(why, Exception) and not isinstance(why, CancelledError):
                # The ring for everything that follows looks at every sender that was sent.
                self._note_failure(found)
                return found
            # Synapse gets none of the keys.
            self._again |= noted.keys()
            for sender, (before, after) in noted.items():
                self._put_back(sender, before, after)
            raise
        return found

    async def _add_some(
        self,
        found: ServerKeys,
        noted: dict[str, tuple[_Sent | None, _Sent | None]],
        senders: list[str],
    ) -> None:
        try:
            answers = await self._audiences.of(senders)
            states = await self._hs.get_presence_handler().current_state_for_users(senders)
        except CancelledError:
            raise
        except Exception:
            self._again.update(senders)
            self._note_failure(found)
            return
        turn = Turn(self._reactor)
        for sender in senders:
            await turn.end_if_long()
            if (answer := answers.get(sender)) is None:
                self._again.add(sender)
                found.is_complete = False
                continue
            if sender not in states:
                continue
            before = self._sent.get(sender)
            try:
                await self._add_changes(found.keys, states[sender], answer)
            except CancelledError:
                raise
            except Exception:
                self._put_back(sender, before, self._sent.get(sender))
                self._again.add(sender)
                self._note_failure(found)
            else:
                noted[sender] = before, self._sent.get(sender)

    def _note_failure(self, found: ServerKeys) -> None:
        if found.is_complete:
            # Once for each ring.
            logger.warning("Cannot decide which servers see other users than before", exc_info=True)
        found.is_complete = False

    def _put_back(self, sender: str, before: _Sent | None, after: _Sent | None) -> None:
        """Notes what servers had before a ring that sends nothing."""
        present = self._sent.get(sender)
        if present is not after and present is not None and before is not None:
            # A state was sent meanwhile.
            servers = present.servers | before.servers
            hidden_from = present.hidden_from | before.hidden_from
            self._sent[sender] = _Sent(before.answer, servers, hidden_from)
        elif before is not None:
            self._sent[sender] = before
        elif present is after:
            self._sent.pop(sender, None)

    async def _find_senders(
        self, missed: Missed | None, room_changes: Sequence[RoomChange] | None
    ) -> set[str]:
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
        return {one for one in senders - self._bells if self._hs.is_mine_id(one)}

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
            # A server that got everything and gets everything now sees no other hides.
            is_whole = version is state and (before is None or server not in before.hidden_from)
            if server not in had or not (look_the_same or is_whole):
                _add(keys, server, version)
        for server in had - versions.keys():
            _add(keys, server, UserPresenceState.default(state.user_id))


def _add(keys: dict[str, set[UserPresenceState]], server: str, state: UserPresenceState) -> None:
    # Only the server counts: no such user needs to exist.
    keys.setdefault(f"@presence-router:{server}", set()).add(state)
