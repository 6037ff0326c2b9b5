"""Snapshots of presence for servers that join a room, and of users who join one.

Synapse sends these itself, but not for rooms that it excludes from presence, and the seal excludes
all rooms. So the module follows changes of rooms as Synapse does, in the process that writes
presence, and sends to each server what that server may see.
"""

import logging
from collections.abc import Iterable
from typing import Any

from synapse.module_api import ModuleApi, UserPresenceState
from twisted.internet.defer import CancelledError

from .sends import Sends

logger = logging.getLogger("presence_router")

# Seconds until the next attempt after a failure: changes of anything may come by the hundred.
_PAUSE_AFTER_FAILURE = 5.0

# Milliseconds after which the presence of an offline user is not sent any more: as in Synapse.
_OFFLINE_IS_OLD = 7 * 24 * 60 * 60 * 1000


class JoinSnapshots:
    """Follows the joins of one homeserver."""

    def __init__(self, api: ModuleApi, hs: Any, sends: Sends) -> None:
        self._api = api
        self._hs = hs
        self._store = hs.get_datastores().main
        self._sends = sends
        # The rooms of the configuration: the seal excludes all in Synapse's presence handler.
        self._excluded = getattr(hs.config.server, "rooms_to_exclude_from_presence", ())
        self._position = 0
        self._is_following = False
        self._has_failed = False

    def start(self) -> None:
        """Begins to follow joins, if this process writes presence."""
        if self._hs.get_instance_name() not in self._hs.config.worker.writers.presence:
            return
        if not self._hs.config.server.track_presence:
            return
        # Earlier joins do not count, as in Synapse.
        self._position = self._store.get_room_max_stream_ordering()
        self._hs.get_notifier().add_replication_callback(self._on_change)

    def _on_change(self) -> None:
        # Synapse calls it at every change of anything.
        if self._is_following or self._position >= self._store.get_room_max_stream_ordering():
            return
        self._is_following = True
        self._api.run_as_background_process("presence_router_joins", self._follow)

    async def _follow(self) -> None:
        try:
            while self._position < (end := self._store.get_room_max_stream_ordering()):
                try:
                    await self._follow_until(end)
                except CancelledError:
                    raise
                except Exception:
                    self._note_failure()
                    # From the same position again.
                    await self._api.sleep(_PAUSE_AFTER_FAILURE)
                else:
                    self._note_success()
        finally:
            self._is_following = False

    async def _follow_until(self, end: int) -> None:
        # Synapse's storage controller may wait until the state of rooms is complete.
        position, deltas = await self._store.get_partial_current_state_deltas(self._position, end)
        rooms: dict[str, list[Any]] = {}
        for delta in deltas:
            rooms.setdefault(delta.room_id, []).append(delta)
        for room_id, changes in rooms.items():
            await self._send_for_room(room_id, changes)
        self._position = position

    def _note_failure(self) -> None:
        if self._has_failed:
            logger.debug("Cannot follow the joins of rooms", exc_info=True)
            return
        self._has_failed = True
        logger.warning(
            "Cannot follow the joins of rooms: servers and users who join get no presence before "
            "it changes. The module tries again every %.0f s, and logs when that works",
            _PAUSE_AFTER_FAILURE,
            exc_info=True,
        )

    def _note_success(self) -> None:
        if self._has_failed:
            self._has_failed = False
            logger.warning("The module follows the joins of rooms again")

    async def _send_for_room(self, room_id: str, deltas: list[Any]) -> None:
        try:
            joined = await self._newly_joined(deltas)
            if joined:
                await self._send(await self._pairs(room_id, joined))
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot send presence because of a join", exc_info=True)

    async def _newly_joined(self, deltas: list[Any]) -> set[str]:
        joined: set[str] = set()
        for delta in deltas:
            if delta.event_type != "m.room.member" or delta.event_id is None:
                continue
            if not await self._is_join(delta.event_id):
                continue
            if delta.prev_event_id is None or not await self._is_join(delta.prev_event_id):
                joined.add(delta.state_key)
        return joined

    async def _is_join(self, event_id: str) -> bool:
        event = await self._store.get_event(event_id, allow_none=True)
        return event is not None and event.content.get("membership") == "join"

    async def _pairs(self, room_id: str, joined: set[str]) -> dict[str, set[str]]:
        """Returns the local users of a room whose presence other servers lack: to servers that
        are new in the room, all; to the others, those who are new."""
        if room_id in self._excluded:
            return {}
        members: set[str] = set(await self._store.get_users_in_room(room_id)) | joined
        local = {user_id for user_id in members if self._hs.is_mine_id(user_id)}
        old_servers = _servers_of(members - joined - local)
        new_servers = _servers_of(joined - local) - old_servers
        pairs: dict[str, set[str]] = {}
        if local:
            pairs.update(dict.fromkeys(new_servers, local))
        if local & joined:
            pairs.update(dict.fromkeys(old_servers, local & joined))
        return pairs

    async def _send(self, pairs: dict[str, set[str]]) -> None:
        if not pairs:
            return
        handler = self._hs.get_presence_handler()
        users = sorted(set().union(*pairs.values()))
        states = await handler.current_state_for_users(users)
        now = self._hs.get_clock().time_msec()
        fresh = {user: state for user, state in states.items() if _is_fresh(state, now)}
        queue = handler.get_federation_queue()
        for server, versions in (await self._sends.versions(pairs, fresh)).items():
            await queue.send_presence_to_destinations(states=versions, destinations=[server])


def _is_fresh(state: UserPresenceState, now: int) -> bool:
    return (
        state.state != "offline"
        or now - state.last_active_ts < _OFFLINE_IS_OLD
        or state.status_msg is not None
    )


def _servers_of(users: Iterable[str]) -> set[str]:
    return {user_id.partition(":")[2] for user_id in users}
