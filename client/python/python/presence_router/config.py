"""The module's configuration: strict checks, with a message for each problem."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synapse.module_api.errors import ConfigError

from ._native import check_address, is_server_name

_KEYS = (
    "address",
    "deadline_ms",
    "stale_for",
    "cache_mib",
    "destinations",
    "local",
    "federation",
    "when_away",
    "all_users",
    "follow_changes",
    "follow_per_second",
    "rooms",
    "rooms_when_away",
)
_ALL_USERS = ("auto", "never")
_DEADLINE_MS = range(1, 10_001)
_STALE_FOR = range(3601)
_CACHE_MIB = range(1, 65_537)
_PER_SECOND = range(1, 10_001)
_MODES = ("add", "exact")
_WHEN_AWAY = ("nobody", "rooms")
_ROOMS_WHEN_AWAY = ("allow", "deny")

# Keys that say how presence is added, and have no effect if the policy alone decides.
_KEYS_OF_ADD = ("all_users", "follow_changes", "follow_per_second")


@dataclass(frozen=True)
class Config:
    """A valid configuration."""

    address: str
    """The daemon's address: `unix:/path` or `http://host:port`."""

    deadline_ms: int = 200
    """Maximum time of one question, in milliseconds, 1 to 10,000."""

    stale_for: int = 60
    """The number of seconds for which the last answers are given once the connection to
    the daemon is lost, 0 to 3600. 0: no answers without a connection."""

    cache_mib: int = 128
    """Memory for answers in each process, in MiB, 1 to 65,536. Half of it holds the daemon's
    answers, half the sets that Synapse gets."""

    destinations: tuple[str, ...] = ()
    """Remote servers that get presence meant for everyone or for a pattern of servers,
    in addition to the servers that the policy names."""

    local: str = "add"
    """What the policy decides about local users. `add`: it adds to the presence that Synapse
    shows to room-mates; `exact`: it alone decides, also between room-mates."""

    federation: str = "add"
    """The same for other servers. `exact` only together with `local: exact`."""

    when_away: str = "nobody"
    """Only for `local: exact`: whom users see if the daemon has not answered for `stale_for`.
    `nobody`, or `rooms`: everybody with whom they share a room."""

    all_users: str = "never"
    """The answer for a user who may see everyone without exception. `auto`: Synapse's
    PRESENCE_ALL_USERS, which is cheaper and, at an initial /sync, occasionally misses a
    user. `never`: the list of all known senders, as for all other users."""

    follow_changes: bool = True
    """True if presence is sent again to users who gain the right to see it. False: nothing is
    ever sent again, also not after outages or for new users."""

    follow_per_second: int = 100
    """The number of users per second whose presence is sent again, 1 to 10,000."""

    rooms: bool = False
    """True if the policy decides about rooms that users create."""

    rooms_when_away: str = "allow"
    """The decision without a verdict. `allow`: Synapse creates the room unchanged; `deny`:
    the module denies the room."""


def parse(raw: Any) -> Config:
    """Reads the module's `config:`. Raises ConfigError with all problems."""
    if not isinstance(raw, Mapping):
        raise ConfigError(
            f"{_show_value(raw)} is not a mapping; the valid keys are {_join_keys(_KEYS)}"
        )

    problems: dict[str, str] = {}
    for key in raw:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            problems[str(key)] = (
                f"`{key}` is not a valid key; {hint}the valid keys are {_join_keys(_KEYS)}"
            )

    address: Any = raw.get("address")
    if "address" not in raw:
        problems["address"] = "`address` is missing; write unix:/path/to/socket or http://host:port"
    elif not isinstance(address, str):
        problems["address"] = (
            f"`address` is {_show_value(address)}, not a string; "
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
            f"`deadline_ms` is {_show_value(deadline_ms)}; the valid values are whole numbers of "
            f"milliseconds from {_DEADLINE_MS[0]} to {_DEADLINE_MS[-1]}"
        )

    stale_for = raw.get("stale_for", Config.stale_for)
    if type(stale_for) is not int or stale_for not in _STALE_FOR:
        problems["stale_for"] = (
            f"`stale_for` is {_show_value(stale_for)}; the valid values are whole numbers of "
            f"seconds from {_STALE_FOR[0]} to {_STALE_FOR[-1]}"
        )

    cache_mib = raw.get("cache_mib", Config.cache_mib)
    if type(cache_mib) is not int or cache_mib not in _CACHE_MIB:
        problems["cache_mib"] = (
            f"`cache_mib` is {_show_value(cache_mib)}; the valid values are whole numbers of "
            f"MiB from {_CACHE_MIB[0]} to {_CACHE_MIB[-1]}"
        )

    destinations = raw.get("destinations", [])
    if not isinstance(destinations, list):
        problems["destinations"] = (
            f"`destinations` is {_show_value(destinations)}; "
            "the valid value is a list of server names"
        )
    else:
        for name in destinations:
            if not is_server_name(name):
                problems["destinations"] = (
                    f"`destinations` contains {_show_value(name)}; the valid values are "
                    "server names, such as partner.example or partner.example:8448, without "
                    "wildcards"
                )
                break

    local = raw.get("local", Config.local)
    federation = raw.get("federation", Config.federation)
    for key, mode in (("local", local), ("federation", federation)):
        if mode not in _MODES:
            problems[key] = (
                f"`{key}` is {_show_value(mode)}; the valid values are {_join_keys(_MODES)}"
            )
    if federation == "exact" and local == "add":
        problems["federation"] = (
            "`federation: exact` needs `local: exact`: a policy that decides alone about other "
            "servers decides about local users as well"
        )
    when_away = raw.get("when_away", Config.when_away)
    if when_away not in _WHEN_AWAY:
        problems["when_away"] = (
            f"`when_away` is {_show_value(when_away)}; "
            f"the valid values are {_join_keys(_WHEN_AWAY)}"
        )
    elif "when_away" in raw and local == "add":
        problems["when_away"] = (
            "`when_away` has no effect with `local: add`: without the daemon, Synapse shows "
            "presence to room-mates, as without the module; remove the key"
        )
    if local == "exact":
        for key in _KEYS_OF_ADD:
            if key in raw:
                problems[key] = (
                    f"`{key}` has no effect with `local: exact`, which shows each change to each "
                    "device by itself; remove the key"
                )

    all_users = raw.get("all_users", Config.all_users)
    if "all_users" not in problems and all_users not in _ALL_USERS:
        problems["all_users"] = (
            f"`all_users` is {_show_value(all_users)}; "
            f"the valid values are {_join_keys(_ALL_USERS)}"
        )

    follow_changes = raw.get("follow_changes", Config.follow_changes)
    if "follow_changes" not in problems and not isinstance(follow_changes, bool):
        problems["follow_changes"] = (
            f"`follow_changes` is {_show_value(follow_changes)}; "
            "the valid values are true and false"
        )

    follow_per_second = raw.get("follow_per_second", Config.follow_per_second)
    if "follow_per_second" not in problems and (
        type(follow_per_second) is not int or follow_per_second not in _PER_SECOND
    ):
        problems["follow_per_second"] = (
            f"`follow_per_second` is {_show_value(follow_per_second)}; the valid values are whole "
            f"numbers of users from {_PER_SECOND[0]} to {_PER_SECOND[-1]}"
        )

    rooms = raw.get("rooms", Config.rooms)
    if not isinstance(rooms, bool):
        problems["rooms"] = f"`rooms` is {_show_value(rooms)}; the valid values are true and false"

    rooms_when_away = raw.get("rooms_when_away", Config.rooms_when_away)
    if rooms_when_away not in _ROOMS_WHEN_AWAY:
        problems["rooms_when_away"] = (
            f"`rooms_when_away` is {_show_value(rooms_when_away)}; "
            f"the valid values are {_join_keys(_ROOMS_WHEN_AWAY)}"
        )

    if len(problems) == 1:
        ((key, problem),) = problems.items()
        raise ConfigError(problem, (key,))
    if problems:
        raise ConfigError("; ".join(problems.values()))
    return Config(
        address,
        deadline_ms,
        stale_for,
        cache_mib,
        tuple(dict.fromkeys(destinations)),
        local,
        federation,
        when_away,
        all_users,
        follow_changes,
        follow_per_second,
        rooms,
        rooms_when_away,
    )


def _join_keys(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _show_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
