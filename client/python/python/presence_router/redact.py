"""Redacts a presence: takes out the fields that are hidden."""

from synapse.module_api import UserPresenceState

# By the bits of `_native.Hidden`: the field of Synapse's, and what stands there instead.
# Of a time of 0 and of no text Synapse says nothing at all; of the activity, that
# there is none.
_INSTEAD: tuple[tuple[str, object], ...] = (
    ("state", "offline"),
    ("status_msg", None),
    ("last_active_ts", 0),
    ("currently_active", False),
)

_CHANGES = [
    dict(instead for bit, instead in enumerate(_INSTEAD) if hidden >> bit & 1)
    for hidden in range(1 << len(_INSTEAD))
]


def redact(state: UserPresenceState, hidden: int) -> UserPresenceState:
    """Returns a copy of a state without the hidden fields."""
    return state.copy_and_replace(**_CHANGES[hidden])
