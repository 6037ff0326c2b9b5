"""A Synapse module of the tests. It shortens the interval of pings to other servers from 25
minutes to nothing: each update of a local user that changes nothing pings.

With a short interval instead, a slow machine would ping once more than a test expects.
"""

from typing import Any

from synapse.handlers import presence
from synapse.module_api import ModuleApi


class ShortPings:
    """Sets the constant that Synapse reads at each update."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        # A Synapse that has renamed the constant does not start.
        assert presence.FEDERATION_PING_INTERVAL > 0
        presence.FEDERATION_PING_INTERVAL = -1

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """Accepts anything."""
        return config
