"""A Synapse module of the tests. While the file `pings` is in the directory in which Synapse runs,
each update of a local user that changes nothing pings other servers, instead of one in 25 minutes.
"""

from pathlib import Path
from typing import Any

from synapse.handlers import presence
from synapse.module_api import ModuleApi

SWITCH = Path("pings")


class _Interval(int):
    """The interval, to which Synapse compares how long ago it sent something."""

    def __lt__(self, elapsed: int) -> bool:
        return SWITCH.exists() or super().__lt__(elapsed)


class SwitchedPings:
    """Replaces the constant that Synapse reads at each update."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        # A Synapse that has renamed the constant does not start.
        assert presence.FEDERATION_PING_INTERVAL > 0
        presence.FEDERATION_PING_INTERVAL = _Interval(presence.FEDERATION_PING_INTERVAL)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """Accepts anything."""
        return config
