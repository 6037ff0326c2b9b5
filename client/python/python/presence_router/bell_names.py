"""The names of the bells: users that cannot exist, whose presence this module changes with
`local: exact` to tell devices how old they are. Nobody ever sees them, also not after the
operator went back to `local: add`: their rows stay in Synapse's table of presences."""

from functools import lru_cache

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


@lru_cache(maxsize=16)
def bells_of(server_name: str) -> frozenset[str]:
    """Returns the user ids of all bells of a homeserver. Users of other servers, and others of
    this one, may have similar names, and are users as any."""
    ring = (bell_name(number, server_name) for number in range(BELLS))
    return frozenset((*ring, bell_for_all_name(server_name), request_name(server_name)))
