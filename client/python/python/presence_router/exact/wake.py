"""Names the local users to wake because of new states, and the servers to send them to.

Synapse wakes the keys of the answer that are local users, and they ask for their view; only users
who asked lately in this process can be waiting. A key of another server stands for the whole
server, and gets the state of the answer, without what is hidden from anybody there.
"""

from synapse.module_api import UserPresenceState


class Wake:
    """Names the keys of updates."""

    async def keys_of(self, states: list[UserPresenceState]) -> dict[str, set[UserPresenceState]]:
        """Returns the users to wake and the servers to send to, each with their states."""
        raise NotImplementedError
