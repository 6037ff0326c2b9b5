"""Answers Synapse's two questions in the mode `exact`.

`interest_of` says "ALL" for every local user, whatever happens: without it Synapse would show all
room-mates. `route_states` then always returns the key of that user: without it the user's /sync
would fail. Both catch everything but a cancellation.
"""

import logging
from collections.abc import Iterable
from typing import Any

from synapse.module_api import PRESENCE_ALL_USERS, UserPresenceState
from twisted.internet.defer import CancelledError

from ..all_users import add_states
from .askers import Askers
from .asking import Asked, Questions
from .bells import Bells
from .sends import Sends
from .services import Services
from .sight import Sight
from .wake import Wake

logger = logging.getLogger("presence_router")


class ExactRouter:
    """The answers of one process."""

    def __init__(
        self,
        hs: Any,
        questions: Questions,
        askers: Askers,
        sight: Sight,
        services: Services,
        wake: Wake,
        bells: Bells,
        sends: Sends,
    ) -> None:
        self._hs = hs
        self._questions = questions
        self._askers = askers
        self._sight = sight
        self._services = services
        self._wake = wake
        self._bells = bells
        self._sends = sends

    async def interest_of(self, user_id: str) -> set[str] | str:
        """Returns "ALL" for a local user. For a remote one, the senders whose whole presence the
        user, and the user's whole server, may see: Synapse sends these to it as they are."""
        if self._hs.is_mine_id(user_id):
            self._questions.note(user_id)
            self._askers.note(user_id)
            return PRESENCE_ALL_USERS
        try:
            senders = await self._sight.senders_in_full(user_id)
            server = user_id.partition(":")[2]
            return await self._sends.find_sent_unchanged(server, senders)
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot find the senders that %s sees", user_id, exc_info=True)
            return set()

    async def route_states(
        self, state_updates: Iterable[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        """Returns what the user sees whose interest was asked for in this context. For any other
        question: the users to wake and the servers to send to, each with states."""
        states = list(state_updates)
        asked = self._questions.take()
        try:
            if asked is None:
                keys = await self._wake.keys_of(states)
                return merge_keys(keys, await self._bells.keys_of(states))
            shown = await self._shown_to(asked, states)
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot decide about presence, nothing is shown", exc_info=True)
            self._bells.note_unanswered()
            shown = []
        if asked is None:
            return {}
        # A user sees their own presence, and by no other way. An application service never does.
        own = [state for state in states if state.user_id == asked.user_id][-1:]
        answer: set[UserPresenceState] = set()
        add_states(answer, [*shown, *own] if asked.by_client else shown)
        return {asked.user_id: answer}

    async def _shown_to(
        self, asked: Asked, states: list[UserPresenceState]
    ) -> list[UserPresenceState]:
        if not asked.by_client:
            return await self._services.shown(asked.user_id, states)
        heard = await self._bells.wait_for_rings(states)
        view = await self._sight.look_at(asked.user_id, states)
        if not view.has_answer:
            # The bell for everything rings later. Nobody should wait for the daemon again.
            return view.shown
        return [*view.shown, *await self._bells.missed_by(asked, heard, view.shown)]


def merge_keys(
    keys: dict[str, set[UserPresenceState]], later: dict[str, set[UserPresenceState]]
) -> dict[str, set[UserPresenceState]]:
    """Returns the keys of both, each with one state a sender, the later one."""
    merged = keys | later
    for key in keys.keys() & later.keys():
        senders = {state.user_id for state in later[key]}
        # Sets of their own: keys share them.
        merged[key] = {state for state in keys[key] if state.user_id not in senders}
        add_states(merged[key], list(later[key]))
    return merged
