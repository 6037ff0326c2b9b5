"""Follows the daemon's changes: recipients who gain the right to see a sender get the
sender's presence at once, and not only when the presence changes next.

This runs only in the process that writes presence, for all users of the homeserver: all
states pass through that process, and no other process can send a state again. Recipients
who lose the right to see a sender get no further update; clients keep showing the last
presence they received.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi, UserPresenceState

from . import metrics

if TYPE_CHECKING:
    from ._native import Gain

logger = logging.getLogger("presence_router")

# Maximum pause before the first state is sent, in seconds: the daemon reports a change to
# all its homeservers at the same moment, and the next change may follow soon.
_JITTER = 1.0

# States sent at once, between two pauses.
_BATCH = 10

# A presence that need not be sent: users without a presence are offline.
_OFFLINE = "offline"

# Seconds until the next attempt to read the earlier states from the database.
_SEED_PAUSE = 5.0

# Seconds until the next attempt to follow changes.
_FOLLOW_PAUSE = 5.0


class Follower:
    """Sends presence again to recipients who gain the right to see it."""

    def __init__(
        self,
        api: ModuleApi,
        next_change: Callable[[], Awaitable[tuple[str, str, "list[Gain] | None"]]],
        per_second: int,
    ) -> None:
        self._api = api
        self._next_change = next_change
        self._per_second = per_second
        # State and status text of every user with a presence, from before the start of this
        # process or since. Synapse passes every change to the callbacks.
        self._seen: dict[str, tuple[str, str | None]] = {}
        # Dicts, because they keep their order.
        self._senders: dict[str, None] = {}
        self._recipients: dict[str, None] = {}
        self._sending = False
        self._failure_logged = False
        self._was_away = False
        self._follow_failed = False

    def record_states(self, states: Iterable[UserPresenceState]) -> None:
        """Stores current states."""
        for state in states:
            self._seen[state.user_id] = (state.state, state.status_msg)

    async def run(self) -> None:
        """Follows changes until the process ends."""
        if not await self._writes_presence():
            return
        await self._seed()
        while True:
            kind, why, gains = await self._next_change()
            if kind == "failed":
                await self._handle_follow_failure(why)
                continue
            self._follow_failed = False
            if kind == "gained":
                for gain in gains or ():
                    self._queue_gained(*gain)
            elif kind == "reset":
                # The daemon restarted, or the change is too large to report in detail.
                self._queue_everybody("reset")
            elif kind == "connected":
                # During the outage, every process answered "nobody".
                if self._was_away:
                    self._queue_everybody("outage")
                self._was_away = False
            elif kind == "disconnected":
                self._was_away = True
                logger.info("Changes of visibility are currently not reported: %s", why)
            self._send()

    async def _handle_follow_failure(self, why: str) -> None:
        """Logs the first of several failures, and pauses."""
        if not self._follow_failed:
            self._follow_failed = True
            logger.warning(
                "A change of visibility was not followed: %s; it takes effect with the next "
                "update of each user",
                why,
            )
        await self._api.sleep(_FOLLOW_PAUSE)

    async def _writes_presence(self) -> bool:
        """Returns true if this process writes presence."""
        try:
            # With no users: the call does nothing in the process that writes presence, and
            # fails in every other process.
            await self._api.set_presence_for_users({})
        except AssertionError:
            return False
        except AttributeError:
            logger.warning(
                "This Synapse is too old to send presence again when the policy changes: "
                "upgrade to 1.96 or later. Until then, changes take effect with the next "
                "update of each user"
            )
            return False
        return True

    async def _seed(self) -> None:
        """Reads the states that users had before this process started."""
        while True:
            try:
                states = await self._api.run_db_interaction("presence_router_states", _read_states)
                break
            except Exception:
                logger.debug("Cannot read the states from before the start", exc_info=True)
                await self._api.sleep(_SEED_PAUSE)
        for user_id, state in states.items():
            self._seen.setdefault(user_id, state)

    def _queue_gained(self, senders: list[str], recipients: list[str] | None, remote: bool) -> None:
        metrics.FOLLOWED.labels("gained").inc()
        shown = [user_id for user_id in senders if self._has_presence(user_id)]
        if (
            recipients is not None
            and not remote
            and len(recipients) < len(shown)
            and all(map(self._may_get_all, recipients))
        ):
            self._recipients.update(dict.fromkeys(recipients))
        else:
            self._senders.update(dict.fromkeys(shown))

    def _queue_everybody(self, cause: str) -> None:
        metrics.FOLLOWED.labels(cause).inc()
        self._senders.update(dict.fromkeys(filter(self._has_presence, self._seen)))

    def _has_presence(self, user_id: str) -> bool:
        return self._seen.get(user_id, (_OFFLINE, None))[0] != _OFFLINE

    def _may_get_all(self, user_id: str) -> bool:
        """Returns true if sending everybody's presence to a local user does no harm.

        To do so, Synapse sets the user's own presence again, from a device that does not
        exist, and without the status text. A user who has just gone offline would appear
        online for half a minute, and the user's text would be lost. A user who never had
        a presence may not exist.
        """
        return self._seen.get(user_id) == (_OFFLINE, None)

    def _send(self) -> None:
        if (self._senders or self._recipients) and not self._sending:
            self._sending = True
            self._api.run_as_background_process("presence_router_follow", self._send_all)

    async def _send_all(self) -> None:
        self._failure_logged = False
        try:
            await self._api.sleep(random.random() * _JITTER)
            logger.info(
                "Visibility has changed: sending the presence of %d users again, and "
                "everybody's presence to %d users",
                len(self._senders),
                len(self._recipients),
            )
            while self._senders or self._recipients:
                count = await self._send_batch()
                await self._api.sleep(count / self._per_second)
        except Exception as why:
            self._report_failure(why)
            self._senders.clear()
            self._recipients.clear()
        finally:
            self._sending = False

    def _report_failure(self, why: Exception) -> None:
        metrics.FOLLOWED.labels("failed").inc()
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning(
                "Cannot send presence again to its new recipients: %r; they see it when it "
                "changes next",
                why,
            )

    async def _read_current(self, user_ids: list[str]) -> dict[str, tuple[str, str | None]]:
        """Returns the states that Synapse has at this moment.

        Synapse passes a state to the callbacks once the state is in the database. Sending
        an older state again would undo a state on its way to the database, including its
        status text.
        """
        try:
            # Not part of the module API. `set_presence_for_users` itself calls it; a test
            # checks each supported version of Synapse.
            handler = self._api._hs.get_presence_handler()
            found = await handler.current_state_for_users(user_ids)
        except AttributeError:
            return {user_id: self._seen[user_id] for user_id in user_ids}
        return {user_id: (state.state, state.status_msg) for user_id, state in found.items()}

    async def _send_batch(self) -> int:
        some = [self._senders.popitem()[0] for _ in range(min(_BATCH, len(self._senders)))]
        await self._send_states([user_id for user_id in some if self._has_presence(user_id)])
        if self._recipients:
            recipient, _ = self._recipients.popitem()
            if self._may_get_all(recipient):
                await self._api.send_local_online_presence_to([recipient])
                metrics.FOLLOWED.labels("recipients").inc()
            some.append(recipient)
        return len(some)

    async def _send_states(self, user_ids: list[str]) -> None:
        # For users who went offline meanwhile, Synapse sends this state itself.
        states = {
            user_id: state
            for user_id, state in (await self._read_current(user_ids)).items()
            if state[0] != _OFFLINE
        }
        if not states:
            return
        try:
            await self._api.set_presence_for_users(states)
        except Exception as why:
            if len(states) == 1:
                self._report_failure(why)
                return
            # One rejected state rejects the whole batch, and other servers may send
            # anything: an invalid user id, or a value that no database accepts.
            for user_id in states:
                await self._send_states([user_id])
        else:
            metrics.FOLLOWED.labels("senders").inc(len(states))


def _read_states(txn: Any) -> dict[str, tuple[str, str | None]]:
    txn.execute("SELECT user_id, state, status_msg FROM presence_stream ORDER BY stream_id")
    return {user_id: (state, status_msg) for user_id, state, status_msg in txn}
