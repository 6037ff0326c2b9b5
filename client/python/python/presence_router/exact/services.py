"""Application services: whose presence they get.

Synapse asks for a service on behalf of users: those of the service, and those who are in a room
that concerns it. It does not say for which service it asks. So a sender is shown only if every
service for which Synapse may ask is allowed to get it: by the user, if the service owns the user,
or by the service's own sender.
"""

from typing import Any

from synapse.module_api import UserPresenceState
from synapse.types import UserID

from ..redact import hide_same_fields
from .sight import Sight


class Services:
    """The services of one process's Synapse that get presence."""

    def __init__(self, store: Any, sight: Sight) -> None:
        self._store = store
        self._sight = sight

    def senders(self) -> list[str]:
        """Returns the services' own senders."""
        return [_sender_of(service) for service in self._that_get_presence()]

    def own(self, user_id: str) -> bool:
        """Returns true if a user is one of a service."""
        return any(service.is_interested_in_user(user_id) for service in self._that_get_presence())

    async def shown(self, user_id: str, states: list[UserPresenceState]) -> list[UserPresenceState]:
        """Returns those of some states that a service gets on behalf of a user, without the
        fields that are hidden from any user by whom it gets them. One for each sender, the
        last one, and never that of the user."""
        originals = {state.user_id: state for state in states if state.user_id != user_id}
        asking = [
            service
            for service in self._that_get_presence()
            if await service.is_interested_in_presence(UserID.from_string(user_id), self._store)
        ]
        seen_by: dict[str, dict[str, UserPresenceState]] = {}
        shown: dict[str, UserPresenceState] | None = None
        for service in asking:
            viewers = {_sender_of(service)}
            if service.is_interested_in_user(user_id):
                viewers.add(user_id)
            for viewer in viewers - seen_by.keys():
                some = await self._sight.shown(viewer, list(originals.values()))
                seen_by[viewer] = {state.user_id: state for state in some}
            of_service = _shown_to_any([seen_by[viewer] for viewer in viewers], originals)
            shown = of_service if shown is None else _shown_to_both(shown, of_service, originals)
        return list((shown or {}).values())

    def _that_get_presence(self) -> list[Any]:
        return [
            service
            for service in self._store.get_app_services()
            # Synapse before 1.157 knows only the first one.
            if service.supports_ephemeral or getattr(service, "supports_unstable_ephemeral", False)
        ]


def _sender_of(service: Any) -> str:
    sender = service.sender
    return sender if isinstance(sender, str) else str(sender.to_string())


def _shown_to_any(
    views: list[dict[str, UserPresenceState]], originals: dict[str, UserPresenceState]
) -> dict[str, UserPresenceState]:
    shown: dict[str, UserPresenceState] = {}
    for view in views:
        for sender, state in view.items():
            other = shown.get(sender)
            shown[sender] = (
                state if other is None else hide_same_fields(originals[sender], other, state)
            )
    return shown


def _shown_to_both(
    one: dict[str, UserPresenceState],
    other: dict[str, UserPresenceState],
    originals: dict[str, UserPresenceState],
) -> dict[str, UserPresenceState]:
    return {
        sender: hide_same_fields(originals[sender], state, other[sender])
        for sender, state in one.items()
        if sender in other
    }
