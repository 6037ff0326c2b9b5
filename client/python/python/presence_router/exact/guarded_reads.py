"""What Synapse calls instead of its own functions that read presence for a user.

Each shows only what the policy shows to the user who asks, and nothing if that cannot be
decided. None raises anything but a cancellation.
"""

import logging
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from synapse.module_api import UserPresenceState, make_deferred_yieldable
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from .asking import Questions, requester
from .sight import Sight

logger = logging.getLogger("presence_router")

# States in one turn of the reactor, which take a few milliseconds.
_SLICE = 2_000


class _StoredAgain:
    """A user whose state Synapse reads once to store it again, and shows to nobody."""

    def __init__(self, user_id: str | None) -> None:
        self._user_id = user_id

    def take(self, user_id: str) -> bool:
        """Returns true, once, if this is the user. Whatever Synapse started meanwhile has a copy
        of the context, with this same object: it does not read the state a second time."""
        if self._user_id != user_id:
            return False
        self._user_id = None
        return True


_stored_again: ContextVar[_StoredAgain | None] = ContextVar(
    "presence_router_stored_again", default=None
)


class GuardedReads:
    """The functions of one process. Made before Synapse's own ones are replaced."""

    def __init__(self, reactor: Any, handler: Any, questions: Questions, sight: Sight) -> None:
        self._reactor = reactor
        self._handler = handler
        self._questions = questions
        self._sight = sight
        self._get_states = handler.get_states
        self._send_full_presence_to_users = handler.send_full_presence_to_users
        self._has_warned = False

    async def get_states(self, target_user_ids: Iterable[str]) -> list[UserPresenceState]:
        """Returns those states that the user sees whose request Synapse handles, and that user's
        own one. Without a user there are none: the log context may have been lost."""
        # Synapse goes through it twice.
        user_ids = list(target_user_ids)
        user_id = requester()
        if user_id is None:
            return []
        own: list[UserPresenceState] = []
        try:
            states: list[UserPresenceState] = await self._get_states(user_ids)
            own = [state for state in states if state.user_id == user_id][-1:]
            return [*await self._sight.shown(user_id, states), *own]
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot decide about presence, nothing is shown", exc_info=True)
            return own

    async def get_state(self, target_user: Any) -> UserPresenceState:
        """Returns one state, as `get_states` does. Of a user who is not visible any more, although
        `is_visible` has just said so: that of somebody who was never active."""
        user_id = target_user.to_string()
        stored_again = _stored_again.get()
        if stored_again is not None and stored_again.take(user_id):
            states: list[UserPresenceState] = await self._get_states([user_id])
        else:
            states = await self.get_states([user_id])
        return states[0] if states else UserPresenceState.default(user_id)

    async def is_visible(self, observed_user: Any, observer_user: Any) -> bool:
        """Returns true if a user may see another one, or is the same one."""
        observed, observer = observed_user.to_string(), observer_user.to_string()
        if observed == observer:
            return True
        try:
            # Whether somebody is visible does not depend on their presence.
            return bool(await self._sight.shown(observer, [UserPresenceState.default(observed)]))
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot decide about presence, nothing is shown", exc_info=True)
            return False

    async def get_presence_for_all_users(
        self, include_offline: bool = True
    ) -> dict[str, UserPresenceState]:
        """Returns the states of all users whom the asking user may see, and of that user.

        Synapse's own function reads the states of all users there are, and serves one question
        only. `route_states` decides which of them are shown. Without a question there are none.
        """
        asked = self._questions.peek()
        if asked is None:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "Something asked Synapse for the presence of all users, and not for a user who "
                    "may see them: it got none. Further ones are not logged"
                )
            return {}
        asked.reads_all = True
        asked.reads_offline = include_offline
        found: dict[str, UserPresenceState] = {}
        try:
            await self._add_states(found, [asked.user_id], include_offline)
            left = list(await self._sight.candidates(asked.user_id) - {asked.user_id})
            for start in range(0, len(left), _SLICE):
                if start:
                    await make_deferred_yieldable(deferLater(self._reactor, 0))
                await self._add_states(found, left[start : start + _SLICE], include_offline)
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot find all states for a user", exc_info=True)
        return found

    async def _add_states(
        self, found: dict[str, UserPresenceState], user_ids: list[str], include_offline: bool
    ) -> None:
        states = await self._handler.current_state_for_users(user_ids)
        for user_id, state in states.items():
            if state.state == "offline" and (
                # As the function that this one replaces, which finds only users with a presence.
                not include_offline or state == UserPresenceState.default(user_id)
            ):
                continue
            found[user_id] = state

    async def send_full_presence_to_users(self, user_ids: Any) -> None:
        """Does as Synapse's own function, which reads the state of the first user and stores it
        again: if that user were hidden from the one whose request Synapse handles, it would store
        "offline"."""
        _stored_again.set(_StoredAgain(next(iter(user_ids), None)))
        try:
            await self._send_full_presence_to_users(user_ids)
        finally:
            # Not reset by its token, which fails if the coroutine ends in another context.
            _stored_again.set(None)
