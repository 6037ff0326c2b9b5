"""Sends presence again, by the module API, a limited number of users in each second."""

import logging
import random
from collections.abc import Iterable, Mapping

from synapse.module_api import ModuleApi

from . import metrics

logger = logging.getLogger("presence_router")

# Seconds before the first state is sent, at least: the other processes of Synapse hear of a
# change on connections of their own, and must not answer from before it.
_MIN_PAUSE = 0.2

# At most: the daemon reports a change to all its homeservers at the same moment, and the next
# change may follow soon.
_MAX_PAUSE = 1.0

# States sent at once, between two pauses.
_BATCH = 10

# A presence that need not be sent: users without a presence are offline.
OFFLINE = "offline"


class Resender:
    """The users whose presence is to be sent again, and the users who get everybody's."""

    def __init__(
        self, api: ModuleApi, per_second: int, seen: Mapping[str, tuple[str, str | None]]
    ) -> None:
        self._api = api
        self._per_second = per_second
        self._seen = seen
        # Dicts, because they keep their order.
        self._senders: dict[str, None] = {}
        self._recipients: dict[str, None] = {}
        self._sending = False
        self._failure_logged = False

    def add_senders(self, user_ids: Iterable[str]) -> None:
        """Adds users who are not offline: their presence is sent to all its recipients."""
        self._senders.update(dict.fromkeys(filter(self._has_presence, user_ids)))

    def add_recipients(self, user_ids: Iterable[str]) -> None:
        """Adds local users who get the presence of everybody."""
        self._recipients.update(dict.fromkeys(user_ids))

    def may_get_all(self, user_id: str) -> bool:
        """Returns true if sending everybody's presence to a local user does no harm.

        To do so, Synapse sets the user's own presence again, from a device that does not
        exist, and without the status text. A user who has just gone offline would appear
        online for half a minute, and the user's text would be lost. A user who never had
        a presence may not exist.
        """
        return self._seen.get(user_id) == (OFFLINE, None)

    def start(self) -> None:
        """Starts to send, unless it has begun or there is nothing to send."""
        if (self._senders or self._recipients) and not self._sending:
            self._sending = True
            self._api.run_as_background_process("presence_router_follow", self._send_all)

    def _has_presence(self, user_id: str) -> bool:
        return self._seen.get(user_id, (OFFLINE, None))[0] != OFFLINE

    async def _send_all(self) -> None:
        self._failure_logged = False
        try:
            await self._api.sleep(random.uniform(_MIN_PAUSE, _MAX_PAUSE))
            logger.info(
                "Sending the presence of %d users again, and everybody's presence to %d users",
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
            if self.may_get_all(recipient):
                await self._api.send_local_online_presence_to([recipient])
                metrics.FOLLOWED.labels("recipients").inc()
            some.append(recipient)
        return len(some)

    async def _send_states(self, user_ids: list[str]) -> None:
        # For users who went offline meanwhile, Synapse sends this state itself.
        states = {
            user_id: state
            for user_id, state in (await self._read_current(user_ids)).items()
            if state[0] != OFFLINE
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
