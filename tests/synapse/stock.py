"""A Synapse without the module, in a federation with one that has it: what it has stored of
other servers' users is what these sent."""

import contextlib
import sqlite3
from pathlib import Path

from daemon import until
from exact import PATIENCE, Cast
from federation import Authority, Federated
from matrix import User


class StockServer(Federated):
    """A Synapse that stores what it is sent, and shows it to all who share a room."""

    def __init__(self, directory: Path, authority: Authority, name: str) -> None:
        super().__init__(directory, authority, name)
        self._database = directory / "homeserver.db"

    def stored(self, user: User) -> tuple[str, str | None] | None:
        """The presence and the status message of a user."""
        query = (
            "SELECT state, status_msg FROM presence_stream WHERE user_id = ?"
            " ORDER BY stream_id DESC"
        )
        database = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)
        with contextlib.closing(database):
            found = database.execute(query, (user.id,)).fetchone()
        return None if found is None else (str(found[0]), found[1])

    def count_edus(self) -> float:
        """How many EDUs came."""
        name = "synapse_federation_server_received_edus"
        return sum(value for key, value in self.metrics().items() if key.startswith(name))

    def wait_for(self, cast: Cast) -> None:
        """Waits until all is stored that a viewer of the cast may see."""

        def is_stored() -> bool:
            visible, hidden = self.stored(cast.visible), self.stored(cast.hidden)
            status = cast.status_of(cast.visible)
            return (
                visible == (cast.presence, status)
                and hidden is not None
                and hidden[0] == cast.presence
            )

        until(is_stored, f"what {cast.viewer.id} may see is stored", PATIENCE)

    def check(self, cast: Cast) -> None:
        """Checks that what a viewer of the cast may see is stored, and nothing else."""
        self.wait_for(cast)
        assert self.stored(cast.hidden) == (cast.presence, None)
        for user in (cast.denied, cast.stranger):
            assert self.stored(user) is None
