"""The users whose presence view Synapse is about to ask for.

Synapse first asks for the interest of a user, is told "ALL", and then asks about states, in the
same log context. The second question does not name the user.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import current_context

# Seconds after which a question was given up. Longer than any /sync takes.
_LASTING = 3600.0

# Questions that are kept at most. Beyond, the oldest go: their /sync fails, and shows nothing.
_MAX = 50_000

# At so many questions, those whose context is finished are dropped.
_FEW = 1_000


@dataclass
class Asked:
    """A user who asked for interest, and whose second question has not come yet."""

    context: Any
    """The log context. Kept, so that no other context can have its `id`."""

    user_id: str

    by_client: bool
    """True if a client waits for the answer. False: Synapse asks for an application service."""

    made_at: float

    reads_all: bool = False
    """True if Synapse does not know what changed since the device asked last, and therefore reads
    the states of all users: there are no bells among them. The device is new, or its token is
    older than Synapse's memory of changes, or a module wants it to have everything again."""

    reads_offline: bool = False
    """With `reads_all`: true if users who are offline are among the states: the device has an old
    token, or the operator has set `presence.include_offline_users_on_sync`."""


class Questions:
    """The first questions of users, until their second ones."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        few: int = _FEW,
        most: int = _MAX,
    ) -> None:
        self._clock = clock
        self._few = few
        self._most = most
        # The number of questions at which finished ones are looked for.
        self._many = few
        # By the id of the context, oldest first.
        self._asked: dict[int, Asked] = {}

    def note(self, user_id: str) -> None:
        """Notes that a user asks, in the current context."""
        context = current_context()
        now = self._clock()
        self._drop_old(now)
        # Removed first, so that the new question is the last one in the dict.
        self._asked.pop(id(context), None)
        by_client = getattr(context, "request", None) is not None
        self._asked[id(context)] = Asked(context, user_id, by_client, now)
        if len(self._asked) > self._many:
            self._drop_finished()

    def take(self) -> Asked | None:
        """Removes and returns the question of the current context. None: nobody asks there."""
        return self._asked.pop(id(current_context()), None)

    def peek(self) -> Asked | None:
        """Returns the question of the current context, and keeps it."""
        return self._asked.get(id(current_context()))

    def _drop_old(self, now: float) -> None:
        while self._asked:
            key, asked = next(iter(self._asked.items()))
            if now - asked.made_at < _LASTING:
                break
            del self._asked[key]

    def _drop_finished(self) -> None:
        """Drops questions whose second one never comes, because Synapse has left their context: a
        client went away."""
        self._asked = {
            key: asked
            for key, asked in self._asked.items()
            if not getattr(asked.context, "finished", False)
        }
        if len(self._asked) > self._most:
            # A tenth more, so that not every further question looks through all.
            while len(self._asked) > self._most * 9 // 10:
                del self._asked[next(iter(self._asked))]
        # Twice as many, so that a question costs no more on average if all are under way.
        self._many = min(max(self._few, 2 * len(self._asked)), self._most)


def requester() -> str | None:
    """Returns the user whose request Synapse handles in the current context. None: nobody's."""
    request = getattr(current_context(), "request", None)
    return None if request is None else request.requester
