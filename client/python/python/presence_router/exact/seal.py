"""The seal: functions and sets of Synapse's own objects that the module replaces, so that nothing
shows a presence around it.

No file of Synapse is changed. Everything is checked for the shape that it must have before
anything is replaced: another version of Synapse may have changed it, and then the module refuses
to start Synapse.
"""

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .all_rooms import AllRooms
from .asking import Questions
from .guarded_reads import GuardedReads
from .shapes import EXCLUDED_ROOMS, SWITCH_OFF, refusal, require_shapes
from .sight import Sight
from .state_changes import LISTENING, state_cache_of

logger = logging.getLogger("presence_router")

SendRows = Callable[[dict[str, set[str]]], Awaitable[None]]
"""Sends to each of some servers the presence of those of some local users whom the server may
see, as it may see it."""


class Seal:
    """The seal of one process.

    `close` raises RuntimeError, and the process ends, if it cannot be closed. Then `is_sealed`
    looks at Synapse's objects each time, as another module might replace them again. It also looks
    at functions that stay as they are, and that the module relies on.
    """

    def __init__(
        self,
        reactor: Any,
        hs: Any,
        questions: Questions,
        sight: Sight,
        send_rows: SendRows | None,
    ) -> None:
        """Replaces nothing yet. `send_rows`: for `federation: exact`; None: the seal does not
        cover what other servers get."""
        self._reactor = reactor
        self._hs = hs
        self._questions = questions
        self._sight = sight
        self._send_rows = send_rows
        # By the names of the metric: the owner, the attribute and what it must be.
        self._parts: dict[str, tuple[Callable[[], Any], str, Any]] = {}
        # The same for functions that stay as they are.
        self._watched: dict[str, tuple[Callable[[], Any], str, Any]] = {}
        self._registered: list[Any] = []
        self._logged: set[str] = set()

    def close(self) -> None:
        """Replaces the parts. The module must register its callbacks next.

        Raises RuntimeError, with a message for the operator, before anything is replaced.
        """
        hs, send_rows = self._hs, self._send_rows
        require_shapes(hs, with_federation=send_rows is not None)
        others = hs.get_presence_router()._get_users_for_states_callbacks
        if others:
            raise RuntimeError(_refusal_beside(others[0]))
        self._watch_functions()

        handler = hs.get_presence_handler
        reads = GuardedReads(self._reactor, handler(), self._questions, self._sight)
        self._put(handler, "get_state", reads.get_state)
        self._put(handler, "get_states", reads.get_states)
        self._put(handler, "is_visible", reads.is_visible)
        self._put(handler, "send_full_presence_to_users", reads.send_full_presence_to_users)
        self._put(
            lambda: hs.get_datastores().main,
            "get_presence_for_all_users",
            reads.get_presence_for_all_users,
        )
        if send_rows is not None:
            self._close_federation(send_rows)
        router = hs.get_presence_router
        self._register = router().register_presence_router_callbacks
        self._put(router, "register_presence_router_callbacks", self._register_once)

    def _watch_functions(self) -> None:
        """Notes the functions that the module relies on and leaves as they are, before anything is
        replaced."""
        hs = self._hs
        handler = hs.get_presence_handler

        def source() -> Any:
            return hs.get_event_sources().sources.presence

        self._watch(hs.get_presence_router, "get_users_for_states")
        self._watch(hs.get_presence_router, "get_interested_users")
        self._watch(source, "get_new_events")
        self._watch(source, "_filter_all_presence_updates_for_user")
        self._watch(handler, "current_state_for_users")
        if self._send_rows is not None:
            queue = handler().get_federation_queue
            self._watch(queue, "send_presence_to_destinations")
        # The module has replaced these already, see `state_changes`.
        for name in LISTENING:
            self._watch(lambda: state_cache_of(hs.get_datastores().main), name)

    def _watch(self, owner: Callable[[], Any], attribute: str) -> None:
        function = _function_of(owner(), attribute)
        if function is None:
            deviation = f"there is no {type(owner()).__name__}.{attribute}"
            raise RuntimeError(refusal([deviation], with_federation=False))
        self._watched[attribute] = owner, attribute, function

    def _close_federation(self, send_rows: SendRows) -> None:
        # Not with the other imports, which serve `local: add` as well.
        from .guarded_sends import GuardedSends

        hs = self._hs
        all_rooms = AllRooms()
        self._put(hs.get_presence_handler, EXCLUDED_ROOMS, all_rooms, "excluded_rooms")
        self._put(
            lambda: hs.get_event_sources().sources.presence,
            EXCLUDED_ROOMS,
            all_rooms,
            "excluded_rooms_of_sync",
        )
        queue = hs.get_presence_handler().get_federation_queue
        sends = GuardedSends(queue(), send_rows)
        self._put(queue, "process_replication_rows", sends.process_replication_rows)

    def _put(
        self, owner: Callable[[], Any], attribute: str, value: Any, part: str | None = None
    ) -> None:
        setattr(owner(), attribute, value)
        self._parts[part or attribute] = owner, attribute, value

    def _register_once(
        self, get_users_for_states: Any = None, get_interested_users: Any = None
    ) -> None:
        """Registers the callbacks of this module, which come first, and no others."""
        if get_users_for_states is None and get_interested_users is None:
            # Synapse's legacy setting, after it found no callbacks by the names that it knows.
            return
        if self._registered:
            raise RuntimeError(_refusal_beside(get_users_for_states))
        self._register(
            get_users_for_states=get_users_for_states, get_interested_users=get_interested_users
        )
        self._registered = [get_users_for_states, get_interested_users]

    def parts(self) -> dict[str, bool]:
        """Returns for each part if it is in place now. For any thread; never raises. Logs a part
        that is not, once."""
        parts = {
            part: _is_in_place(owner, attribute, value)
            for part, (owner, attribute, value) in self._parts.items()
        }
        parts |= {
            part: _is_unchanged(owner, attribute, function)
            for part, (owner, attribute, function) in self._watched.items()
        }
        parts["callbacks"] = self._has_only_our_callbacks()
        open_parts = {part for part, is_in_place in parts.items() if not is_in_place}
        for part in sorted(open_parts - self._logged):
            logger.error(
                "The seal of presence-router is broken: another module or a patch changed `%s` of "
                "this Synapse, which may show presence against the policy. Remove it, or %s",
                part,
                SWITCH_OFF,
            )
        self._logged |= open_parts
        return parts

    def is_sealed(self) -> bool:
        """Returns true if all parts are in place now."""
        return all(self.parts().values())

    def end_if_broken(self) -> None:
        """Ends this process if a part is not in place. For the first look, when Synapse has loaded
        all modules and handled no request."""
        broken = sorted(part for part, is_in_place in self.parts().items() if not is_in_place)
        if broken:
            _end_process(
                "presence-router cannot start with `local: exact`: another module or a patch "
                f"changed {', '.join(f'`{part}`' for part in broken)} of this Synapse, which may "
                f"show presence against the policy. Remove it, or {SWITCH_OFF}"
            )

    def _has_only_our_callbacks(self) -> bool:
        try:
            router = self._hs.get_presence_router()
            callbacks = [*router._get_users_for_states_callbacks]
            callbacks += router._get_interested_users_callbacks
        except Exception:
            return False
        return bool(callbacks) and callbacks == self._registered


def _is_in_place(owner: Callable[[], Any], attribute: str, value: Any) -> bool:
    try:
        return getattr(owner(), attribute, None) is value
    except Exception:
        return False


def _function_of(owner: Any, attribute: str) -> Any:
    """Returns the function behind an attribute: each look at a method makes a new object."""
    value = getattr(owner, attribute, None)
    return getattr(value, "__func__", value)


def _is_unchanged(owner: Callable[[], Any], attribute: str, function: Any) -> bool:
    try:
        return _function_of(owner(), attribute) is function
    except Exception:
        return False


def _end_process(message: str) -> None:
    """Ends the process as Synapse does if its start fails: the reactor would catch an exception
    and go on."""
    try:
        logger.critical("%s", message)
        print(message, file=sys.__stderr__, flush=True)
        logging.shutdown()
    finally:
        os._exit(1)


def _refusal_beside(callback: Any) -> str:
    other = f"{getattr(callback, '__module__', '')}.{getattr(callback, '__qualname__', callback)}"
    return (
        "presence-router cannot run with `local: exact` beside another presence router module, "
        f"which adds presence to what the policy shows (its callback is {other.lstrip('.')}). "
        f"Remove the other one from `modules`, or {SWITCH_OFF}"
    )
