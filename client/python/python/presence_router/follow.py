"""Follows the daemon's changes: recipients who gain the right to see a sender get the
sender's presence at once, and not only when the presence changes next.

This runs only in the process that writes presence, for all users of the homeserver: all
states pass through that process, and no other process can send a state again. Recipients
who lose the right to see a sender get no further update; clients keep showing the last
presence they received.

The same process sends presence again that recipients may have missed: of senders for whom
there was no answer, of everybody after an outage that recipients may have noticed, and of
senders who appear for the first time. A /sync may read the new
sender's row before the module of its process has heard of this sender, and the token that
it returns lies behind the row.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi, UserPresenceState

from . import metrics
from .bell_names import bells_of
from .resend import OFFLINE, Resender

if TYPE_CHECKING:
    from ._native import Gain

logger = logging.getLogger("presence_router")

# Seconds until the next attempt to read the earlier states from the database.
_SEED_PAUSE = 5.0

# Minimum seconds from one time that everybody's presence is sent because of an outage to the
# next. Sending it asks the daemon about all users: an answer that breaks the connection, or
# a daemon that comes and goes, would cause the next outage at once, and so on.
_OUTAGE_INTERVAL = 600.0


class Follower:
    """Decides whose presence is sent again, and to which recipients."""

    def __init__(
        self,
        api: ModuleApi,
        per_second: int,
        stale_for: int,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._stale_for = stale_for
        self._clock = clock
        # State and status text of every user with a presence, from before the start of this
        # process or since. Synapse passes every change to the callbacks.
        self._seen: dict[str, tuple[str, str | None]] = {}
        self._seeded = False
        self._everybody_after_seed = False
        self._resender = Resender(api, per_second, self._seen)
        # The end of answers in memory, while there is no connection.
        self._memory_ends_at: float | None = None
        # Senders without an answer for their last state.
        self._unanswered: dict[str, None] = {}
        # True while recipients may have missed anybody's presence because of an outage.
        self._everybody_is_due = False
        self._everybody_sent_at: float | None = None
        self._waits_for_interval = False

    async def writes_presence(self) -> bool:
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

    async def seed(self) -> None:
        """Reads the states that users had before this process started."""
        while True:
            try:
                states = await self._api.run_db_interaction("presence_router_states", _read_states)
                break
            except Exception:
                logger.debug("Cannot read the states from before the start", exc_info=True)
                await self._api.sleep(_SEED_PAUSE)
        bells = bells_of(self._api.server_name)
        for user_id, state in states.items():
            if user_id not in bells:
                self._seen.setdefault(user_id, state)
        self._seeded = True
        if self._everybody_after_seed:
            self._queue_everybody()
            self._resender.start()

    def record_states(self, states: Iterable[UserPresenceState]) -> list[str]:
        """Stores current states. Returns the users who have one for the first time."""
        new = []
        for state in states:
            user_id = state.user_id
            if self._seeded and user_id not in self._seen:
                new.append(user_id)
            self._seen[user_id] = (state.state, state.status_msg)
            if self._unanswered:
                self._unanswered.pop(user_id, None)
        return new

    def record_new(self, user_ids: list[str], routes: Mapping[str, set[UserPresenceState]]) -> None:
        """Sends new senders again if the policy shows them to anybody."""
        # Several recipients share one set.
        shown = {id(states): states for states in routes.values()}.values()
        visible = {state.user_id for states in shown for state in states}.intersection(user_ids)
        if visible:
            metrics.FOLLOWED.labels("new").inc(len(visible))
            self._resender.add_senders(visible)
            self._resender.start()

    def record_unanswered(self, user_ids: Iterable[str]) -> None:
        """Stores senders without an answer, because the daemon was away."""
        self._unanswered.update(dict.fromkeys(user_ids))

    def record_unanswered_interest(self) -> None:
        """Records that a user's interest had no answer, because the daemon was away: the user
        may have missed anybody's presence."""
        self._everybody_is_due = True

    def send_missed(self) -> None:
        """Sends again what recipients may have missed. The daemon is back."""
        self._resender.add_senders(self._unanswered)
        self._unanswered.clear()
        self._send_due()
        self._resender.start()

    def handle(self, kind: str, gains: "list[Gain]") -> None:
        """Handles an event of the connection to the daemon."""
        if kind == "gained":
            for gain in gains:
                self._queue_gained(*gain)
        elif kind == "reset":
            # The daemon restarted, or the change is too large to report in detail.
            metrics.FOLLOWED.labels("reset").inc()
            self._queue_everybody()
        elif kind == "disconnected":
            self._memory_ends_at = self._clock() + self._stale_for
        elif kind == "refused":
            # Also after "disconnected".
            self._memory_ends_at = self._clock()
        elif kind == "connected":
            self._end_outage()
        self._resender.start()

    def _end_outage(self) -> None:
        """Sends again what recipients may have missed. The event "reset" follows if the
        answers from memory were not those of the daemon's present history."""
        ends_at, self._memory_ends_at = self._memory_ends_at, None
        if ends_at is not None and self._clock() >= ends_at:
            self._everybody_is_due = True
        self.send_missed()

    def _send_due(self) -> None:
        """Sends everybody if recipients may have missed anybody, at once or when the interval
        since the last time is over."""
        if not self._everybody_is_due or self._memory_ends_at is not None:
            # Without a connection, there would be no answers.
            return
        now = self._clock()
        pause = 0.0
        if self._everybody_sent_at is not None:
            pause = self._everybody_sent_at + _OUTAGE_INTERVAL - now
        if pause <= 0:
            self._everybody_sent_at = now
            metrics.FOLLOWED.labels("outage").inc()
            self._queue_everybody()
        elif not self._waits_for_interval:
            self._waits_for_interval = True

            async def send_later() -> None:
                await self._api.sleep(pause)
                self._waits_for_interval = False
                self._send_due()
                self._resender.start()

            self._api.run_as_background_process("presence_router_everybody", send_later)

    def _queue_gained(self, senders: list[str], recipients: list[str] | None, remote: bool) -> None:
        metrics.FOLLOWED.labels("gained").inc()
        if not self._seeded:
            # Of these senders, nothing is known yet.
            self._everybody_after_seed = True
            return
        shown = [user_id for user_id in senders if self._has_presence(user_id)]
        if (
            recipients is not None
            and not remote
            and len(recipients) < len(shown)
            and all(map(self._resender.may_get_all, recipients))
        ):
            self._resender.add_recipients(recipients)
        else:
            self._resender.add_senders(shown)

    def _queue_everybody(self) -> None:
        self._everybody_is_due = False
        if self._seeded:
            self._resender.add_senders(self._seen)
        else:
            self._everybody_after_seed = True

    def _has_presence(self, user_id: str) -> bool:
        return self._seen.get(user_id, (OFFLINE, None))[0] != OFFLINE


def _read_states(txn: Any) -> dict[str, tuple[str, str | None]]:
    txn.execute("SELECT user_id, state, status_msg FROM presence_stream ORDER BY stream_id")
    return {user_id: (state, status_msg) for user_id, state, status_msg in txn}
