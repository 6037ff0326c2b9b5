"""Requests of workers to ring the bell for everything, by the presence of a user that cannot exist.

An application service whose namespace holds all users may register even that user, and change its
presence. So a request carries a code that only processes with the configuration of this Synapse can
make, and counts once.
"""

import hmac
import secrets
from typing import Any

from synapse.module_api import UserID, UserPresenceState

from ..bell_names import request_name

# Requests that are remembered, so that a copy of one does not ring again.
_REMEMBERED = 10_000


class Requests:
    """The requests, in the process that makes them or in the one that reads them."""

    def __init__(self, hs: Any) -> None:
        self._hs = hs
        self._name = request_name(hs.hostname)
        self._key: bytes = hs.config.key.macaroon_secret_key
        # Oldest first.
        self._seen: dict[str, None] = {}

    async def send(self) -> None:
        """Asks the process that writes presence to ring the bell for everything."""
        # Each text is another one, so that each is a change.
        number = secrets.token_hex(16)
        await self._hs.get_presence_handler().set_state(
            UserID.from_string(self._name),
            None,
            {"presence": "offline", "status_msg": f"{number} {self._code_of(number)}"},
            force_notify=True,
        )

    def are_among(self, states: list[UserPresenceState]) -> bool:
        """Returns true if a request that was not seen before is among some states."""
        found = [state for state in states if state.user_id == self._name]
        return any([self._is_new(state.status_msg) for state in found])

    def _is_new(self, text: Any) -> bool:
        # Synapse accepts anything as a text.
        if not isinstance(text, str) or not text.isascii():
            return False
        number, _, code = text.partition(" ")
        if not hmac.compare_digest(code, self._code_of(number)) or number in self._seen:
            return False
        while len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[number] = None
        return True

    def _code_of(self, number: str) -> str:
        # With its purpose: Synapse uses the key for others.
        purpose = f"presence-router: a request to ring {self._name} {number}"
        return hmac.new(self._key, purpose.encode(), "sha256").hexdigest()
