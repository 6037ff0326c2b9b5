"""A Synapse module of the tests. It stops Synapse between the write of a presence and the
question to the presence router, for as long as the file `hold` exists.

Once the write is done, it makes the file `written`. A test can then do what a client may do
in this moment, which without this module is over within a millisecond.
"""

from pathlib import Path
from typing import Any

from synapse.module_api import ModuleApi


class HeldWrite:
    """Replaces `update_presence` of Synapse's store, which returns once the write is done."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        hold, written = Path(config["hold"]), Path(config["written"])
        store = api._hs.get_datastores().main
        write = store.update_presence

        async def update_presence(states: Any) -> Any:
            position = await write(states)
            if hold.exists():
                written.touch()
                while hold.exists():
                    await api.sleep(0.02)
            return position

        store.update_presence = update_presence

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """Accepts anything."""
        return config
