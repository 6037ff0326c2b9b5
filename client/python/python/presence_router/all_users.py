"""Users for whom the module answered "ALL", and the question of Synapse that follows.

After this answer Synapse asks once more, with every current state, and delivers the
second answer to the user: it looks up the user's key, which must exist, and does not
look at the rooms again. Only the log context, which both questions share, identifies
the user.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import current_context
from synapse.module_api import UserPresenceState, make_deferred_yieldable
from twisted.internet.task import deferLater

from .redact import redact

if TYPE_CHECKING:
    from ._native import Everyone

# In seconds. Longer than any /sync takes.
_LASTING = 3600.0

# States in one turn of the reactor, which take a few milliseconds.
_SLICE = 10_000


@dataclass
class Promise:
    """The promise that a user gets every current state."""

    context: Any
    """The log context. Stored, so that no other context can have its `id`."""

    user_id: str

    everyone: "Everyone"
    """The answer with its hides, as decided when the promise was made."""

    made_at: float


class Promises:
    """Promises made to Synapse by "ALL" and not yet kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Oldest first.
        self._promises: dict[int, Promise] = {}

    def add(self, context: Any, user_id: str, everyone: "Everyone") -> None:
        """Stores the promise that the /sync of this context gets every current state."""
        self._drop_old()
        # Removed first, so that the new promise is the last one in the dict.
        self._promises.pop(id(context), None)
        self._promises[id(context)] = Promise(context, user_id, everyone, self._clock())

    def take(self, context: Any) -> Promise | None:
        """Removes and returns the promise that explains Synapse's current question."""
        return self._promises.pop(id(context), None)

    def pending_users(self) -> set[str]:
        """Returns all users with a promise of the last hour that was not kept.

        Nearly always empty: Synapse takes each promise within one /sync.
        """
        if not self._promises:
            return set()
        self._drop_old()
        return {promise.user_id for promise in self._promises.values()}

    def _drop_old(self) -> None:
        oldest = self._clock() - _LASTING
        while self._promises:
            key, promise = next(iter(self._promises.items()))
            if promise.made_at >= oldest:
                break
            del self._promises[key]


def asking_context() -> Any:
    """Returns the log context of Synapse's current question. None: there is no context,
    and the module must not make a promise."""
    return current_context() or None


async def show_to_promised(
    reactor: Any, promise: Promise, states: list[UserPresenceState], unseen: frozenset[str]
) -> set[UserPresenceState]:
    """Returns all states as the user of a promise may see them, including the user's own,
    which arrives by no other way.

    The hides are those of the promise, whatever the daemon would answer by now. `unseen`: users
    whom nobody sees.
    """
    shown: set[UserPresenceState] = set()
    for start in range(0, len(states), _SLICE):
        if start:
            await make_deferred_yieldable(deferLater(reactor, 0))
        some = [state for state in states[start : start + _SLICE] if state.user_id not in unseen]
        for position, hidden in promise.everyone.hidden_of(some):
            some[position] = redact(some[position], hidden)
        add_states(shown, some)
    return shown


def add_states(shown: set[UserPresenceState], states: list[UserPresenceState]) -> None:
    """Adds states to a set.

    Synapse accepts anything that other servers send: a list may take the place of a text,
    and a set cannot contain such a state. Only that state is dropped.
    """
    try:
        shown.update(states)
    except TypeError:
        shown.update(state for state in states if _is_hashable(state))


def _is_hashable(state: UserPresenceState) -> bool:
    try:
        hash(state)
    except TypeError:
        return False
    return True
