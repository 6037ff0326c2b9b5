"""The shape that Synapse's own objects must have, so that bells can be rung and heard.

None of it is part of the module API. Tests look at it for each supported version.
"""

from typing import Any

from .room_shapes import deviation_of

_OF_STORE = (
    ("get_room_max_stream_ordering", ()),
    ("get_partial_current_state_deltas", ("prev_stream_id", "max_stream_id")),
    ("get_membership_from_event_ids", ("member_event_ids",)),
)

_OF_CACHE_OF_CHANGES = (
    ("has_any_entity_changed", ("stream_pos",)),
    ("has_entity_changed", ("entity", "stream_pos")),
)

_OF_HANDLER = (
    ("current_state_for_users", ("user_ids",)),
    ("set_state", ("target_user", "device_id", "state", "force_notify")),
)


def find_deviations_of_bells(hs: Any) -> list[str]:
    """Returns what is not as the module expects, for an operator. Changes nothing."""
    store = hs.get_datastores().main
    cache = getattr(store, "_curr_state_delta_stream_cache", None)
    looked_at = (
        (store, _OF_STORE),
        (cache, _OF_CACHE_OF_CHANGES),
        (hs.get_presence_handler(), _OF_HANDLER),
        (hs.get_notifier(), (("add_replication_callback", ("cb",)),)),
    )
    found = [
        deviation_of(owner, name, parameters)
        for owner, functions in looked_at
        for name, parameters in functions
    ]
    if not isinstance(hs.config.key.macaroon_secret_key, bytes):
        found.append("the configuration has no secret key for access tokens")
    return [deviation for deviation in found if deviation]
