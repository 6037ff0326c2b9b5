"""The shape that Synapse's own objects must have, so that the module wakes users, knows application
services, and sends presence to other servers.

None of it is part of the module API. Tests look at it for each supported version.
"""

from typing import Any

from .room_shapes import deviation_of
from .shapes import refusal


def require_routing_shapes(hs: Any, with_federation: bool) -> None:
    """Raises RuntimeError, with a message for the operator, if anything is not as expected. Changes
    nothing. `with_federation`: also what `federation: exact` needs."""
    for federation in (False, True) if with_federation else (False,):
        deviations = find_deviations_of_routing(hs, federation)
        if deviations:
            raise RuntimeError(refusal(deviations, federation))


def find_deviations_of_routing(hs: Any, with_federation: bool) -> list[str]:
    """Returns what is not as the module expects, for an operator. Changes nothing."""
    try:
        found = _deviations_of_waking(hs)
        if with_federation:
            found += _deviations_of_sending(hs)
    except Exception as why:
        return [f"the look at its objects failed: {why!r}"]
    return [deviation for deviation in found if deviation]


def _deviations_of_waking(hs: Any) -> list[str]:
    # Not with the other imports, which serve `local: add` as well.
    from synapse.appservice import ApplicationService

    found = [
        deviation_of(hs, "should_send_federation", ()),
        deviation_of(hs, "get_instance_name", ()),
        deviation_of(hs, "is_mine_id", ("user_id",)),
        deviation_of(hs.get_datastores().main, "get_app_services", ()),
    ]
    found.append(deviation_of(ApplicationService, "is_interested_in_user", ("user_id",)))
    # A look at the cached function itself would make a cache.
    if "is_interested_in_presence" not in vars(ApplicationService):
        found.append("there is no ApplicationService.is_interested_in_presence")
    if not isinstance(hs.config.worker.writers.presence, list):
        found.append("the configuration does not list the processes that write presence")
    return found


def _deviations_of_sending(hs: Any) -> list[str]:
    # Not with the other imports, which serve `local: add` as well.
    from synapse.federation.sender import FederationSender

    store, handler = hs.get_datastores().main, hs.get_presence_handler()
    queue = handler.get_federation_queue()
    found = [
        deviation_of(store, "get_room_max_stream_ordering", ()),
        deviation_of(
            store, "get_partial_current_state_deltas", ("prev_stream_id", "max_stream_id")
        ),
        deviation_of(store, "get_event", ("event_id",)),
        deviation_of(handler, "current_state_for_users", ("user_ids",)),
        deviation_of(hs.get_notifier(), "add_replication_callback", ("cb",)),
    ]
    for sender in (queue, FederationSender):
        parameters = "states", "destinations"
        found.append(deviation_of(sender, "send_presence_to_destinations", parameters))
    if not isinstance(getattr(hs.config.server, "track_presence", None), bool):
        found.append("the configuration does not say if presence is tracked")
    return found
