"""The module's configuration: reads it strictly, and says well what is wrong."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synapse.module_api.errors import ConfigError

from ._native import check_address, is_server_name

_KEYS = (
    "address",
    "deadline_ms",
    "destinations",
    "all_users",
    "follow_changes",
    "follow_per_second",
    "rooms",
    "rooms_when_away",
)
_ALL_USERS = ("auto", "never")
_DEADLINE_MS = range(1, 10_001)
_PER_SECOND = range(1, 10_001)
_WHEN_AWAY = ("allow", "deny")


@dataclass(frozen=True)
class Config:
    """A configuration that has been checked."""

    address: str
    """Where the daemon listens: `unix:/path` or `http://host:port`."""

    deadline_ms: int = 200
    """Longest time that one question may take, in milliseconds, 1 to 10,000."""

    destinations: tuple[str, ...] = ()
    """Remote servers that presence meant for everyone, or for a pattern of
    servers, is sent to, beyond those that the policy names."""

    all_users: str = "never"
    """`auto`: who may see everyone without exception gets everybody by Synapse's
    PRESENCE_ALL_USERS, which is cheaper and, at an initial /sync, misses somebody
    now and then; `never`: by the list of everybody, as all others do."""

    follow_changes: bool = True
    """Whether presence is sent again to those who come to see it."""

    follow_per_second: int = 100
    """How many users' presence is sent again in a second, 1 to 10,000."""

    rooms: bool = False
    """Whether the policy decides about rooms that users create."""

    rooms_when_away: str = "allow"
    """`allow`: without a verdict rooms are created unchanged; `deny`: they are not."""


def parse(raw: Any) -> Config:
    """Reads the `config:` of the module. Raises ConfigError, with all problems."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{_shown(raw)} is not a mapping; valid keys are {_listed(_KEYS)}")

    problems: dict[str, str] = {}
    for key in raw:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            problems[str(key)] = f"`{key}` is not a key; {hint}valid keys are {_listed(_KEYS)}"

    address: Any = raw.get("address")
    if "address" not in raw:
        problems["address"] = "`address` is missing; write unix:/path/to/socket or http://host:port"
    elif not isinstance(address, str):
        problems["address"] = (
            f"`address` is {_shown(address)}, not a string; "
            "write unix:/path/to/socket or http://host:port"
        )
    else:
        try:
            check_address(address)
        except ValueError as why:
            problems["address"] = f"`address`: {why}"

    deadline_ms = raw.get("deadline_ms", Config.deadline_ms)
    # To Python, True is the number 1.
    if type(deadline_ms) is not int or deadline_ms not in _DEADLINE_MS:
        problems["deadline_ms"] = (
            f"`deadline_ms` is {_shown(deadline_ms)}; valid is a whole number of milliseconds "
            f"from {_DEADLINE_MS[0]} to {_DEADLINE_MS[-1]}"
        )

    destinations = raw.get("destinations", [])
    if not isinstance(destinations, list):
        problems["destinations"] = (
            f"`destinations` is {_shown(destinations)}; valid is a list of server names"
        )
    else:
        for name in destinations:
            if not is_server_name(name):
                problems["destinations"] = (
                    f"`destinations` holds {_shown(name)}; valid are server names, "
                    "such as partner.example or partner.example:8448, without wildcards"
                )
                break

    all_users = raw.get("all_users", Config.all_users)
    if all_users not in _ALL_USERS:
        problems["all_users"] = (
            f"`all_users` is {_shown(all_users)}; valid are {_listed(_ALL_USERS)}"
        )

    follow_changes = raw.get("follow_changes", Config.follow_changes)
    if not isinstance(follow_changes, bool):
        problems["follow_changes"] = (
            f"`follow_changes` is {_shown(follow_changes)}; valid are true and false"
        )

    follow_per_second = raw.get("follow_per_second", Config.follow_per_second)
    if type(follow_per_second) is not int or follow_per_second not in _PER_SECOND:
        problems["follow_per_second"] = (
            f"`follow_per_second` is {_shown(follow_per_second)}; valid is a whole number of users "
            f"from {_PER_SECOND[0]} to {_PER_SECOND[-1]}"
        )

    rooms = raw.get("rooms", Config.rooms)
    if not isinstance(rooms, bool):
        problems["rooms"] = f"`rooms` is {_shown(rooms)}; valid are true and false"

    rooms_when_away = raw.get("rooms_when_away", Config.rooms_when_away)
    if rooms_when_away not in _WHEN_AWAY:
        problems["rooms_when_away"] = (
            f"`rooms_when_away` is {_shown(rooms_when_away)}; valid are {_listed(_WHEN_AWAY)}"
        )

    if len(problems) == 1:
        ((key, problem),) = problems.items()
        raise ConfigError(problem, (key,))
    if problems:
        raise ConfigError("; ".join(problems.values()))
    return Config(
        address,
        deadline_ms,
        tuple(dict.fromkeys(destinations)),
        all_users,
        follow_changes,
        follow_per_second,
        rooms,
        rooms_when_away,
    )


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
