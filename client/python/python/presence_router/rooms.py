"""Decides about rooms that users create: the daemon answers Synapse's `on_create_room`
from the policy's section `rooms`.

For any input of a client, the callback raises only Synapse's own SynapseError. Without a
verdict of the daemon, the configuration decides.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from synapse.module_api.errors import Codes, SynapseError

from . import metrics

if TYPE_CHECKING:
    from ._native import Room, RoomVerdict

logger = logging.getLogger("presence_router")

# Minimum seconds between two log lines about rooms without a verdict.
_INTERVAL = 600.0


class Rooms:
    """Asks the daemon about each new room, and applies the answer."""

    def __init__(
        self, ask: "Callable[[Room], Awaitable[RoomVerdict | None]]", deny_when_away: bool
    ) -> None:
        self._ask = ask
        self._deny_when_away = deny_when_away
        self._logged_at: float | None = None

    async def on_create_room(self, requester: Any, content: Any, is_admin: bool) -> None:
        """Changes the content of the request, or raises a SynapseError."""
        user_id = requester.user.to_string()
        state = content.get("initial_state", [])
        if not isinstance(state, list):
            # The module cannot add to it, and Synapse fails on it.
            raise SynapseError(400, "`initial_state` is not a list", Codes.BAD_JSON)
        try:
            verdict = await self._ask(room_request(user_id, content, is_admin))
            if verdict is None:
                self._without_verdict(user_id)
                return
            denial, added = verdict
            # Before any change: half of the events would be no verdict.
            events = [
                {"type": kind, "state_key": key, "content": json.loads(text)}
                for kind, key, text, _ in added
            ]
        except SynapseError:
            raise
        except Exception:
            logger.warning("Cannot ask about a new room, because of a bug", exc_info=True)
            self._without_verdict(user_id)
            return
        if denial is not None:
            self._deny(user_id, *denial)
        if events:
            # A new list: other holders of the client's list keep it unchanged.
            content["initial_state"] = [*state, *events]
        metrics.ROOMS.labels("added" if events else "unchanged").inc()

    def _deny(self, user_id: str, status: int, errcode: str, message: str, rule: str) -> None:
        metrics.ROOMS.labels("denied").inc()
        why = f"rule `{rule}` of the policy" if rule else "the room is too large to ask about"
        logger.info("Denied a room of %s: %s (%s)", user_id, why, errcode)
        # Clients get an error for any status that a daemon of another version sends.
        raise SynapseError(status if 400 <= status <= 599 else 403, message, errcode)

    def _without_verdict(self, user_id: str) -> None:
        metrics.ROOMS.labels("denied_without_verdict" if self._deny_when_away else "let").inc()
        now = time.monotonic()
        if self._logged_at is None or now - self._logged_at >= _INTERVAL:
            self._logged_at = now
            logger.warning(
                "presence-router gives no verdict on new rooms: they are %s, as "
                "`rooms_when_away` says; the first one is of %s. Logged at most every "
                "%.0f minutes",
                "denied" if self._deny_when_away else "created unchanged",
                user_id,
                _INTERVAL / 60,
            )
        if self._deny_when_away:
            raise SynapseError(
                503, "Rooms cannot be created at the moment, try again later", Codes.UNKNOWN
            )


def room_request(user_id: str, content: dict[str, Any], is_admin: bool) -> "Room":
    """Extracts the daemon's request from a client's request, read as Synapse reads it."""
    state = [event for event in content.get("initial_state", []) if isinstance(event, dict)]
    invites = content.get("invite", [])
    return {
        "requester": _valid_text(user_id),
        "is_admin": bool(is_admin),
        "preset": _optional_text(content, "preset"),
        "visibility": _optional_text(content, "visibility"),
        # Synapse iterates, and so accepts the keys of an object too.
        "invites": [_valid_text(one) for one in _list_items(invites) if isinstance(one, str)],
        "name": _room_name(content, state),
        "initial_state": [
            (_valid_text(event["type"]), _valid_text(event.get("state_key", "")))
            for event in state
            if isinstance(event.get("type"), str) and isinstance(event.get("state_key", ""), str)
        ],
    }


def _list_items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, dict)) else []


def _optional_text(content: dict[str, Any], key: str) -> str | None:
    """Returns a field that counts if it is present: empty if its value is not a text."""
    if key not in content:
        return None
    value = content[key]
    return _valid_text(value) if isinstance(value, str) else ""


def _room_name(content: dict[str, Any], state: list[dict[str, Any]]) -> str | None:
    """Returns the future name of the room. The field outranks the initial state."""
    name = content.get("name")
    if "name" not in content:
        for event in state:
            if event.get("type") == "m.room.name" and event.get("state_key", "") == "":
                held = event.get("content")
                name = held.get("name") if isinstance(held, dict) else None
    return _valid_text(name) if isinstance(name, str) else None


def _valid_text(value: str) -> str:
    """Replaces halves of surrogate pairs, which JSON may contain and the contract's texts
    may not."""
    return value.encode("utf-8", "replace").decode()
