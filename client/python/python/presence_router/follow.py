"""Follows the daemon's changes: who has come to see somebody gets that somebody's
presence at once, and not only when it changes next.

Only in the process that writes presence, for all users of the homeserver: there
all states pass, and nowhere else can one be sent again. Those who may not see
somebody any more get no further update; what they have, clients keep showing.
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

# What is waited for before the first is sent, in seconds, at most: several
# homeservers of one daemon hear of a change at the same moment, and the next
# change may come a moment later.
_JITTER = 1.0

# States that are sent at once, between two pauses.
_BATCH = 10

# A presence that nobody need be sent: without one, users are offline.
_OFFLINE = "offline"

# Seconds until the database is asked again for the states of before.
_SEED_PAUSE = 5.0


class Follower:
    """Sends presence again to those who may see it from now on."""

    def __init__(
        self,
        api: ModuleApi,
        next_change: Callable[[], Awaitable[tuple[str, str, "list[Gain] | None"]]],
        per_second: int,
    ) -> None:
        self._api = api
        self._next_change = next_change
        self._per_second = per_second
        # State and status text of whoever had a presence while this process ran,
        # or before it. Synapse shows every change to the callbacks.
        self._seen: dict[str, tuple[str, str | None]] = {}
        # Dicts, for their order.
        self._senders: dict[str, None] = {}
        self._recipients: dict[str, None] = {}
        self._sending = False
        self._failure_logged = False
        self._was_away = False

    def note(self, states: Iterable[UserPresenceState]) -> None:
        """Remembers current states."""
        for state in states:
            self._seen[state.user_id] = (state.state, state.status_msg)

    async def run(self) -> None:
        """Follows changes until the process ends."""
        if not await self._writes_presence():
            return
        await self._seed()
        while True:
            kind, why, gains = await self._next_change()
            if kind == "gained":
                for gain in gains or ():
                    self._queue_gained(*gain)
            elif kind == "reset":
                # The daemon was started anew, or too much has changed to say what.
                self._queue_everybody("reset")
            elif kind == "connected":
                # Whoever asked meanwhile was answered "nobody", in whichever process.
                if self._was_away:
                    self._queue_everybody("outage")
                self._was_away = False
            elif kind == "disconnected":
                self._was_away = True
                logger.info("Changes of who may see whom are not told for the moment: %s", why)
            else:
                logger.warning("Changes of who may see whom are not followed any more: %s", why)
                return
            self._send()

    async def _writes_presence(self) -> bool:
        """Whether this is the process that may."""
        try:
            # Nobody's: it does nothing where it may be called, and fails elsewhere.
            await self._api.set_presence_for_users({})
        except AssertionError:
            return False
        except AttributeError:
            logger.warning(
                "This Synapse is too old to send presence again when the policy changes: "
                "1.96 or later can. Changes take effect with the next update of each user"
            )
            return False
        return True

    async def _seed(self) -> None:
        """Learns the states that users had before this process began."""
        while True:
            try:
                states = await self._api.run_db_interaction("presence_router_states", _read_states)
                break
            except Exception:
                logger.debug("Cannot read the states of before", exc_info=True)
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

    def _queue_everybody(self, what: str) -> None:
        metrics.FOLLOWED.labels(what).inc()
        self._senders.update(dict.fromkeys(filter(self._has_presence, self._seen)))

    def _has_presence(self, user_id: str) -> bool:
        return self._seen.get(user_id, (_OFFLINE, None))[0] != _OFFLINE

    def _may_get_all(self, user_id: str) -> bool:
        """Whether it does no harm to send a local user everybody's presence.

        To do that, Synapse sets the user's own presence once more, by a device that
        does not exist, and without the status text. It would appear online for half
        a minute after it went, and its text would be lost. Of one who never had a
        presence it is not known whether there is such a user.
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
                "Who may see whom has changed: sending the presence of %d users again, and "
                "everybody's to %d",
                len(self._senders),
                len(self._recipients),
            )
            while self._senders or self._recipients:
                count = await self._send_batch()
                await self._api.sleep(count / self._per_second)
        except Exception as why:
            self._failed(why)
            self._senders.clear()
            self._recipients.clear()
        finally:
            self._sending = False

    def _failed(self, why: Exception) -> None:
        metrics.FOLLOWED.labels("failed").inc()
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning(
                "Presence could not be sent again to those who may see it now: %r; they see it "
                "when it changes next",
                why,
            )

    async def _current(self, user_ids: list[str]) -> dict[str, tuple[str, str | None]]:
        """Their states as Synapse has them at this moment.

        The callbacks see a state once it is in the database. To send again what they
        saw before would undo one that is on its way there, status text and all.
        """
        try:
            # No part of the module API; a test says with which versions of Synapse it
            # is as `set_presence_for_users` itself does.
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
        # Who went offline meanwhile has told so, or is about to.
        states = {
            user_id: state
            for user_id, state in (await self._current(user_ids)).items()
            if state[0] != _OFFLINE
        }
        if not states:
            return
        try:
            await self._api.set_presence_for_users(states)
        except Exception as why:
            if len(states) == 1:
                self._failed(why)
                return
            # One that is refused takes the others with it, and other servers send
            # anything: what is no user id, or what no database takes.
            for user_id in states:
                await self._send_states([user_id])
        else:
            metrics.FOLLOWED.labels("senders").inc(len(states))


def _read_states(txn: Any) -> dict[str, tuple[str, str | None]]:
    txn.execute("SELECT user_id, state, status_msg FROM presence_stream ORDER BY stream_id")
    return {user_id: (state, status_msg) for user_id, state, status_msg in txn}
