"""Redacts a presence: replaces its hidden fields."""

from synapse.module_api import UserPresenceState

# By the bits of `_native.Hidden`: Synapse's field, and its replacement. Synapse omits a
# time of 0 and an empty text; for the activity, it reports that there is none.
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


def hide_same_fields(
    original: UserPresenceState, one: UserPresenceState, other: UserPresenceState
) -> UserPresenceState:
    """Returns a copy of a state without the fields that are hidden in any of two copies."""
    hidden = 0
    for bit, (field, _) in enumerate(_INSTEAD):
        value = getattr(original, field)
        if getattr(one, field) != value or getattr(other, field) != value:
            hidden |= 1 << bit
    return redact(original, hidden) if hidden else original
