"""What becomes of rooms that users create: Synapse's `on_create_room`, answered by
the daemon from the policy's section `rooms`.

Whatever a client sends, nothing but Synapse's own SynapseError is raised. Where
the daemon gives no verdict, the configuration says what happens.
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

# In seconds: that rooms go without a verdict is not said again sooner.
_INTERVAL = 600.0


class Rooms:
    """Asks about each new room, and does what the answer says."""

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
            # Nothing could be added to it, and Synapse fails over it.
            raise SynapseError(400, "`initial_state` is not a list", Codes.BAD_JSON)
        try:
            verdict = await self._ask(question(user_id, content, is_admin))
            if verdict is None:
                self._without_verdict(user_id)
                return
            denial, added = verdict
            # Before anything is changed: half of it would be no verdict.
            events = [
                {"type": kind, "state_key": key, "content": json.loads(text)}
                for kind, key, text, _ in added
            ]
        except SynapseError:
            raise
        except Exception:
            logger.warning("A new room could not be asked about, by a bug", exc_info=True)
            self._without_verdict(user_id)
            return
        if denial is not None:
            self._deny(user_id, *denial)
        if events:
            # A list of its own: whoever else holds the client's keeps that.
            content["initial_state"] = [*state, *events]
        metrics.ROOMS.labels("added" if events else "unchanged").inc()

    def _deny(self, user_id: str, status: int, errcode: str, message: str, rule: str) -> None:
        metrics.ROOMS.labels("denied").inc()
        why = f"rule `{rule}` of the policy" if rule else "it is too large to ask about"
        logger.info("A room of %s is not created: %s (%s)", user_id, why, errcode)
        # Whatever a daemon of another version says, clients get an error.
        raise SynapseError(status if 400 <= status <= 599 else 403, message, errcode)

    def _without_verdict(self, user_id: str) -> None:
        metrics.ROOMS.labels("denied_without_verdict" if self._deny_when_away else "let").inc()
        now = time.monotonic()
        if self._logged_at is None or now - self._logged_at >= _INTERVAL:
            self._logged_at = now
            logger.warning(
                "New rooms go without a verdict of presence-router, and are %s as "
                "`rooms_when_away` says; the first is of %s. Said at most every %.0f minutes",
                "denied" if self._deny_when_away else "created unchanged",
                user_id,
                _INTERVAL / 60,
            )
        if self._deny_when_away:
            raise SynapseError(
                503, "Rooms cannot be created at the moment, try again later", Codes.UNKNOWN
            )


def question(user_id: str, content: dict[str, Any], is_admin: bool) -> "Room":
    """What of a request is asked about, read as Synapse will read it."""
    state = [event for event in content.get("initial_state", []) if isinstance(event, dict)]
    invites = content.get("invite", [])
    return {
        "requester": _text(user_id),
        "is_admin": bool(is_admin),
        "preset": _optional(content, "preset"),
        "visibility": _optional(content, "visibility"),
        # Synapse iterates, and the keys of an object are as good.
        "invites": [_text(one) for one in _each(invites) if isinstance(one, str)],
        "name": _name(content, state),
        "initial_state": [
            (_text(event["type"]), _text(event.get("state_key", "")))
            for event in state
            if isinstance(event.get("type"), str) and isinstance(event.get("state_key", ""), str)
        ],
    }


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, dict)) else []


def _optional(content: dict[str, Any], key: str) -> str | None:
    """A field that counts as long as it is there: what is no text is no known one."""
    if key not in content:
        return None
    value = content[key]
    return _text(value) if isinstance(value, str) else ""


def _name(content: dict[str, Any], state: list[dict[str, Any]]) -> str | None:
    """The name that the room will have. The field comes after the initial state."""
    name = content.get("name")
    if "name" not in content:
        for event in state:
            if event.get("type") == "m.room.name" and event.get("state_key", "") == "":
                held = event.get("content")
                name = held.get("name") if isinstance(held, dict) else None
    return _text(name) if isinstance(name, str) else None


def _text(value: str) -> str:
    """JSON may hold halves of surrogate pairs, and the contract's texts may not."""
    return value.encode("utf-8", "replace").decode()
