"""Requests of workers to ring the bell for everything, by the presence of a user that cannot exist.

A request carries a code that only processes of this Synapse can make, and counts once.
"""

import secrets
from typing import Any

from synapse.module_api import UserID, UserPresenceState

from ..bell_names import request_name
from .codes import Codes

# Requests that are remembered, so that a copy of one does not ring again.
_REMEMBERED = 10_000


class Requests:
    """The requests, in the process that makes them or in the one that reads them."""

    def __init__(self, hs: Any) -> None:
        self._hs = hs
        self._name = request_name(hs.hostname)
        self._codes = Codes(hs)
        # Oldest first.
        self._seen: dict[str, None] = {}

    async def send(self) -> None:
        """Asks the process that writes presence to ring the bell for everything."""
        # Each text is another one, so that each is a change.
        text = self._codes.add_to(self._name, secrets.token_hex(16))
        await self._hs.get_presence_handler().set_state(
            UserID.from_string(self._name),
            None,
            {"presence": "offline", "status_msg": text},
            force_notify=True,
        )

    def are_among(self, states: list[UserPresenceState]) -> bool:
        """Returns true if a request that was not seen before is among some states."""
        found = [state for state in states if state.user_id == self._name]
        return any([self._is_new(state.status_msg) for state in found])

    def _is_new(self, text: Any) -> bool:
        number = self._codes.read(self._name, text)
        if number is None or number in self._seen:
            return False
        while len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[number] = None
        return True
