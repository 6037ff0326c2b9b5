"""The names of the bells: users that cannot exist, whose presence this module changes to tell
devices how old they are. Nobody ever sees them."""

# How many bells hang in the ring.
BELLS = 16

_PREFIX = "@!presence-router-"


def bell_name(number: int, server_name: str) -> str:
    """Returns the user id of the bell that the ring with a number moves."""
    return f"{_PREFIX}{number % BELLS}:{server_name}"


def bell_for_all_name(server_name: str) -> str:
    """Returns the user id of the bell that says: look at everything again."""
    return f"{_PREFIX}all:{server_name}"


def request_name(server_name: str) -> str:
    """Returns the user id whose presence a worker changes to ask the presence writer to ring the
    bell for everything."""
    return f"{_PREFIX}request:{server_name}"


def is_bell(user_id: str) -> bool:
    """Returns true for the user id of a bell."""
    return user_id.startswith(_PREFIX)
