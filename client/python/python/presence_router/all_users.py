"""Who was answered "ALL", and which question of Synapse is the one that follows.

After that answer Synapse asks once more, with every current state there is, and
takes what it delivers to the user from there: by a key that must exist, and
without another look at the rooms. Nothing but the log context, which is one for
both questions, tells for whom it asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# No part of the module API; a test says with which versions of Synapse it does
# what we need.
from synapse.logging.context import current_context

if TYPE_CHECKING:
    from ._native import Everyone

# In seconds. Longer than any /sync takes.
_LASTING = 3600.0


@dataclass
class Promise:
    """That a user gets every state there is."""

    context: Any
    """Kept, so that no other context can have its `id`."""

    user_id: str

    everyone: "Everyone"
    """What of it is hidden, as was decided when the promise was made."""

    made_at: float


class Promises:
    """What has been promised to Synapse by "ALL", and is still to come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Oldest first.
        self._promises: dict[int, Promise] = {}

    def make(self, context: Any, user_id: str, everyone: "Everyone") -> None:
        """Remembers that the /sync of this context gets every state there is."""
        self._drop_old()
        # Last, whichever was there before.
        self._promises.pop(id(context), None)
        self._promises[id(context)] = Promise(context, user_id, everyone, self._clock())

    def keep(self, context: Any) -> Promise | None:
        """Because of which promise Synapse asks now, if it does; that is kept now."""
        return self._promises.pop(id(context), None)

    def open(self) -> set[str]:
        """All users with a promise that was not kept, made within the last hour.

        Nearly always nobody: each is kept within one /sync.
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
    """The log context of the question that Synapse asks now; None: it has none,
    and nothing may be promised."""
    return current_context() or None
