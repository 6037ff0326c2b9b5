"""Codes that show that a process of this Synapse wrote the text of a user that cannot exist.

An application service whose namespace holds all users may register even such a user, and change its
presence.
"""

import hmac
from typing import Any


class Codes:
    """The codes of one Synapse: all of its processes have the same key."""

    def __init__(self, hs: Any) -> None:
        self._key: bytes = hs.config.key.macaroon_secret_key

    def add_to(self, user_id: str, text: str) -> str:
        """Returns a text of a user with its code."""
        return f"{text} {self._code_of(user_id, text)}"

    def read(self, user_id: str, status_msg: Any) -> str | None:
        """Returns the text of a user without its code. None: it has not the right one."""
        # Synapse accepts anything as a text.
        if not isinstance(status_msg, str) or not status_msg.isascii():
            return None
        text, _, code = status_msg.rpartition(" ")
        return text if hmac.compare_digest(code, self._code_of(user_id, text)) else None

    def _code_of(self, user_id: str, text: str) -> str:
        # With its purpose: Synapse uses the key for others.
        purpose = f"presence-router: {user_id} {text}"
        return hmac.new(self._key, purpose.encode(), "sha256").hexdigest()
