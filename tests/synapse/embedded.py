"""A Synapse inside the process of the tests: its handlers and its database, without HTTP.

It runs in the reactor of `fake_api`, and starts in a quarter of a second.
"""

import itertools
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from daemon import SERVER
from fake_api import context, in_reactor
from signedjson.key import generate_signing_key, write_signing_keys
from synapse.api.constants import EventTypes
from synapse.app.homeserver import SynapseHomeServer
from synapse.config.homeserver import HomeServerConfig
from synapse.types import UserID, create_requester

_UNLIMITED = {"per_second": 100_000, "burst_count": 100_000}


class EmbeddedSynapse:
    """A Synapse with SQLite, for the process that writes everything."""

    def __init__(self, directory: Path, **config: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "signing.key").open("w") as key:
            write_signing_keys(key, [generate_signing_key("a_1")])
        self._database = directory / "database.sqlite"
        parsed = HomeServerConfig()
        parsed.parse_config_dict(
            {
                "server_name": SERVER,
                "database": {"name": "sqlite3", "args": {"database": str(self._database)}},
                "report_stats": False,
                "pid_file": str(directory / "pid"),
                "signing_key_path": str(directory / "signing.key"),
                "media_store_path": str(directory / "media"),
                "macaroon_secret_key": "secret",
                "form_secret": "secret",
                "listeners": [],
                "trusted_key_servers": [],
                "rc_message": _UNLIMITED,
                "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
                "rc_room_creation": _UNLIMITED,
                "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED},
            }
            | config,
            str(directory),
            str(directory),
        )

        async def start() -> Any:
            hs = SynapseHomeServer(SERVER, config=parsed)
            hs.setup()
            return hs

        self.hs = in_reactor(start)
        self.store = self.hs.get_datastores().main
        self._numbers = itertools.count()

    def run(self, function: Any, *arguments: Any, **named: Any) -> Any:
        """Runs a coroutine function in the reactor, in a log context."""
        return in_reactor(lambda: function(*arguments, **named), context())

    def register(self, name: str) -> str:
        """Registers a user that no other test has."""
        handler = self.hs.get_registration_handler()
        return self.run(handler.register_user, localpart=f"{name}-{next(self._numbers)}")

    def create_room(self, creator: str, *members: str, **content: Any) -> str:
        """Creates a room that some users join."""
        handler = self.hs.get_room_creation_handler()
        made = self.run(
            handler.create_room,
            create_requester(creator),
            {"preset": "public_chat"} | content,
            ratelimit=False,
        )
        room_id = made[0]
        for member in members:
            self.change_membership(member, room_id, "join")
        return room_id

    def change_membership(self, user_id: str, room_id: str, membership: str) -> None:
        """Lets a user join or leave a room."""
        self.run(
            self.hs.get_room_member_handler().update_membership,
            create_requester(user_id), UserID.from_string(user_id), room_id, membership,
            ratelimit=False,
        )  # fmt: skip

    def send_state(
        self, sender: str, room_id: str, kind: str, content: dict[str, Any], key: str = ""
    ) -> str:
        """Changes the state of a room. Returns the event's id."""
        event, _ = self.run(
            self.hs.get_event_creation_handler().create_and_send_nonmember_event,
            create_requester(sender),
            {
                "type": kind,
                "room_id": room_id,
                "sender": sender,
                "state_key": key,
                "content": content,
            },
            ratelimit=False,
        )
        return event.event_id

    def redact(self, sender: str, room_id: str, event_id: str) -> None:
        """Redacts an event."""
        self.run(
            self.hs.get_event_creation_handler().create_and_send_nonmember_event,
            create_requester(sender),
            {
                "type": EventTypes.Redaction,
                "room_id": room_id,
                "sender": sender,
                "content": {"redacts": event_id},
                "redacts": event_id,
            },
            ratelimit=False,
        )

    def write(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Writes into the database past Synapse, which forgets nothing because of it."""
        with sqlite3.connect(self._database, timeout=30) as database:
            database.executemany(sql, rows)
        database.close()
