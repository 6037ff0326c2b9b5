"""The names of the bells: users that cannot exist, whose presence this module changes to tell
devices how old they are. Nobody ever sees them."""

# How many bells hang in the ring.
BELLS = 16

_PREFIX = "@!presence-router-"


def bell_name(number: int, server_name: str) -> str:
    """Returns the user id of a bell."""
    return f"{_PREFIX}{number % BELLS}:{server_name}"


def is_bell(user_id: str) -> bool:
    """Returns true for the user id of a bell."""
    return user_id.startswith(_PREFIX)
