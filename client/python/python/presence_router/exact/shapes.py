"""The shape that Synapse's own objects must have, so that the module may replace parts of them.

Another version of Synapse may have changed what is no part of its module API. It is looked at
here, before anything is replaced; tests do so for each supported version.
"""

import inspect
from collections.abc import Callable, Set
from typing import Any

from synapse.util import SYNAPSE_VERSION

KNOWN_VERSIONS = "1.138 to 1.163"
"""The versions of Synapse that `local: exact` is tested with."""

KNOWN_VERSIONS_OF_FEDERATION = "1.157 to 1.163"
"""The versions of Synapse that `federation: exact` is tested with."""

SWITCH_OFF = (
    "switch presence off (`presence: {enabled: false}`, and `local: add` for this module). With "
    "`local: add` and presence switched on, all room-mates see each other, whatever the policy "
    "denies"
)
"""What an operator can do if the policy cannot decide alone, at the end of a message."""

EXCLUDED_ROOMS = "_rooms_to_exclude_from_presence"
"""The attribute with the rooms that Synapse excludes from presence."""

# Synapse's functions that read the excluded rooms, by class. They send presence to servers, or
# wake users.
_READERS_OF_EXCLUDED_ROOMS = (
    ("BasePresenceHandler", "maybe_send_presence_to_interested_destinations"),
    ("WorkerPresenceHandler", "notify_from_replication"),
    ("PresenceHandler", "_persist_and_notify"),
    ("PresenceHandler", "_update_states"),
    ("PresenceHandler", "_handle_state_delta"),
)


def find_deviations(hs: Any, with_federation: bool) -> list[str]:
    """Returns what is not as the module expects, for an operator. Changes nothing."""
    try:
        deviations = _deviations_of_reads(hs) + _deviations_of_router(hs)
        if with_federation:
            deviations += _deviations_of_federation(hs)
    except Exception as why:
        return [f"the look at its objects failed: {why!r}"]
    return deviations


def require_shapes(hs: Any, with_federation: bool) -> None:
    """Raises RuntimeError, with a message for the operator, if anything is not as expected. Changes
    nothing."""
    # Without federation first: that names the setting that is concerned.
    for federation in (False, True) if with_federation else (False,):
        deviations = find_deviations(hs, federation)
        if deviations:
            raise RuntimeError(refusal(deviations, federation))


def refusal(deviations: list[str], with_federation: bool) -> str:
    """Returns the message with which the module refuses to start Synapse."""
    if with_federation:
        mode, versions = "federation: exact", KNOWN_VERSIONS_OF_FEDERATION
        instead = (
            "leave out `federation: exact`: then the servers of all room-mates get presence, "
            "whatever the policy denies"
        )
    else:
        mode, versions = "local: exact", KNOWN_VERSIONS
        instead = SWITCH_OFF
    return (
        f"presence-router cannot start with `{mode}` in Synapse {SYNAPSE_VERSION}, which would "
        f"show presence around the policy: {'; '.join(deviations)}. It is known to work with "
        f"Synapse {versions}: run one of these, or {instead}"
    )


def _deviations_of_reads(hs: Any) -> list[str]:
    # Not with the other imports, which serve `local: add` as well.
    from synapse.logging.context import ContextRequest

    handler = hs.get_presence_handler()
    store = hs.get_datastores().main
    source = hs.get_event_sources().sources.presence
    found = [
        _deviation_of_coroutine(owner, name, parameters)
        for owner, name, parameters in (
            (handler, "get_state", ["target_user"]),
            (handler, "get_states", ["target_user_ids"]),
            (handler, "is_visible", ["observed_user", "observer_user"]),
            (handler, "current_state_for_users", ["user_ids"]),
            (handler, "send_full_presence_to_users", ["user_ids"]),
            (store, "get_presence_for_all_users", ["include_offline"]),
            (
                source,
                "_filter_all_presence_updates_for_user",
                ["user_id", "include_offline", "from_key"],
            ),
        )
    ]
    if "requester" not in inspect.signature(ContextRequest).parameters:
        found.append("the log context of a request does not name the requester")
    if source.store is not store:
        found.append("/sync reads presence from another store")
    if source.get_presence_handler() is not handler:
        found.append("/sync reads presence from another handler")
    return [deviation for deviation in found if deviation]


def _deviations_of_router(hs: Any) -> list[str]:
    router = hs.get_presence_router()
    source = hs.get_event_sources().sources.presence
    callbacks = "get_users_for_states", "get_interested_users"
    found = []
    for name in callbacks:
        if type(getattr(router, f"_{name}_callbacks", None)) is not list:
            found.append(f"PresenceRouter has no list `_{name}_callbacks`")
    register = getattr(router, "register_presence_router_callbacks", None)
    if register is None or list(inspect.signature(register).parameters) != list(callbacks):
        found.append("PresenceRouter does not register two callbacks as expected")
    if hs.get_presence_handler().presence_router is not router:
        found.append("the presence handler asks another presence router")
    if source.get_presence_router() is not router:
        found.append("/sync asks another presence router")
    return found


def _deviations_of_federation(hs: Any) -> list[str]:
    # Not with the other imports, which serve `local: add` as well.
    from synapse.handlers import presence
    from synapse.replication.tcp.streams import PresenceFederationStream

    handler = hs.get_presence_handler()
    found = []
    for owner in (handler, hs.get_event_sources().sources.presence):
        if not isinstance(getattr(owner, EXCLUDED_ROOMS, None), Set):
            found.append(f"{type(owner).__name__} has no set `{EXCLUDED_ROOMS}`")
    for function in (presence.get_interested_parties, presence.get_interested_remotes):
        if "excluded_rooms" not in inspect.signature(function).parameters:
            found.append(f"{function.__name__} does not take `excluded_rooms`")
    for class_name, name in _READERS_OF_EXCLUDED_ROOMS:
        reader = getattr(getattr(presence, class_name, None), name, None)
        if EXCLUDED_ROOMS not in _names_in(reader):
            found.append(f"{class_name}.{name} does not read `{EXCLUDED_ROOMS}`")
    queue = handler.get_federation_queue()
    parameters = ["stream_name", "instance_name", "token", "rows"]
    found.append(_deviation_of_coroutine(queue, "process_replication_rows", parameters))
    if handler._federation_queue is not queue:
        found.append("the presence handler has another queue for federation")
    if not hasattr(queue, "_federation"):
        found.append("PresenceFederationQueue does not say if this process sends to servers")
    if not isinstance(PresenceFederationStream.NAME, str):
        found.append("the queue for federation has no name")
    return [deviation for deviation in found if deviation]


def _deviation_of_coroutine(owner: Any, name: str, parameters: list[str]) -> str:
    function: Callable[..., Any] | None = getattr(owner, name, None)
    what = f"{type(owner).__name__}.{name}"
    if function is None:
        return f"there is no {what}"
    if not inspect.iscoroutinefunction(function):
        return f"{what} is no coroutine function"
    found = list(inspect.signature(function).parameters)
    if found != parameters:
        return f"{what} takes ({', '.join(found)}), not ({', '.join(parameters)})"
    return ""


def _names_in(function: Any) -> tuple[str, ...]:
    """Returns the names of attributes and globals that the code of a function reads."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return () if code is None else code.co_names
