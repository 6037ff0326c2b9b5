"""What Synapse calls instead of its own function that sends queued presence to other servers.

Synapse queues pings, and snapshots for servers that joined a room, as pairs of a server and a
user. A federation sender in a process of its own reads the state of the user again, without what
the policy hides from the server.
"""

import logging
from typing import TYPE_CHECKING, Any

from synapse.replication.tcp.streams import PresenceFederationStream
from twisted.internet.defer import CancelledError

if TYPE_CHECKING:
    from .seal import SendRows

logger = logging.getLogger("presence_router")


class GuardedSends:
    """The queue of one process. Made before Synapse's own function is replaced."""

    def __init__(self, queue: Any, send_rows: "SendRows") -> None:
        self._queue = queue
        self._process_replication_rows = queue.process_replication_rows
        self._send_rows = send_rows

    async def process_replication_rows(
        self, stream_name: str, instance_name: str, token: int, rows: list[Any]
    ) -> None:
        """Notes the position of the queue, and passes its rows on, if this process sends to
        other servers. Sends nothing if the module cannot decide."""
        if stream_name != PresenceFederationStream.NAME:
            await self._process_replication_rows(stream_name, instance_name, token, rows)
            return
        # Without rows, it notes the position and sends nothing.
        await self._process_replication_rows(stream_name, instance_name, token, [])
        if not self._queue._federation or not rows:
            return
        servers: dict[str, set[str]] = {}
        try:
            for row in rows:
                servers.setdefault(row.destination, set()).add(row.user_id)
            await self._send_rows(servers)
        except CancelledError:
            raise
        except Exception:
            logger.warning("Cannot decide what other servers see, nothing is sent", exc_info=True)
