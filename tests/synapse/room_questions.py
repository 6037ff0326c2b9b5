"""Questions about one room, asked of the native half with the facts of an embedded Synapse."""

import select
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from daemon import LONG, SERVER, Daemon
from embedded import EmbeddedSynapse
from presence_router._native import Router, Visibility
from presence_router.exact.rooms import Rooms
from presence_router.redact import redact

# The description of every query of the module.
QUERY = "presence_router_rooms"

SENDER = f"@sender:{SERVER}"


def policy_of(conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """For each condition, a user who sees everyone in such rooms, and a user who sees everyone but
    in such rooms."""
    rules: list[dict[str, Any]] = []
    for name, condition in conditions.items():
        allowed, denied = f"@allowed-{name}:{SERVER}", f"@denied-{name}:{SERVER}"
        share = {"share_room": condition}
        rules += [
            {"name": f"allow {name}", "allow": {"to": allowed} | share},
            {"name": f"everyone {name}", "allow": {"from": "everyone", "to": denied}},
            {"name": f"deny {name}", "deny": {"to": denied} | share},
        ]
    return rules


class RoomQuestions:
    """A Synapse, a daemon whose policy has some conditions, and a native half that asks both."""

    def __init__(self, directory: Path) -> None:
        self.synapse = EmbeddedSynapse(
            directory / "synapse", stats={"enabled": False}, exclude_rooms_from_presence=[]
        )
        self.store = self.synapse.store
        self.owner = self.synapse.register("owner")
        # A room of the owner's.
        self.space = self.synapse.create_room(self.owner)
        self.rooms = self.new_rooms()
        self._daemon = Daemon(directory)
        self._router: Router | None = None
        self._answers: dict[str, Visibility] = {}

    def new_rooms(self, router: Any = None) -> Rooms:
        """What a process that has just started knows."""

        async def make() -> Rooms:
            return Rooms(self.synapse.hs, router)

        return self.synapse.run(make)

    def start(self, conditions: dict[str, Any]) -> None:
        """Starts the daemon."""
        self._daemon.write(policy_of(conditions))
        self._daemon.start()
        self._router = Router(
            self._daemon.address, SERVER, [], 5000, 0, 16, redact, decides_alone=True
        )
        self._router.finish_seeding()

    def stop(self) -> None:
        if self._router is not None:
            self._router.close()
        self._daemon.stop()

    def answer(self, user: str) -> Visibility:
        """The daemon's answer about a user, asked once."""
        if user not in self._answers:
            assert self._router is not None
            result: list[Any] = []
            self._router.find_visible_senders(user, lambda *answer: result.extend(answer))
            while not result:
                assert select.select([self._router.completion_fd()], [], [], LONG)[0], "no answer"
                assert self._router.deliver_completions() == []
            (self._answers[user],) = result[2]
        return self._answers[user]

    def add_members(self, room_id: str, *members: str, forget: bool = True) -> None:
        """Makes users of other servers members of a room, as another process would do it. With
        `forget` off, this process does not hear of it."""
        self.synapse.write(
            "INSERT INTO current_state_events (event_id, room_id, type, state_key, membership, "
            "event_stream_ordering) VALUES (?, ?, 'm.room.member', ?, 'join', 1)",
            [(f"$join-{member}-{room_id}", room_id, member) for member in members],
        )

        async def invalidate() -> None:
            self.store._invalidate_state_caches(room_id, members)
            self.store._curr_state_delta_stream_cache.entity_has_changed(room_id, 1)

        if forget:
            self.synapse.run(invalidate)

    def meets(
        self, name: str, room: str | Collection[str] | None, rooms: Rooms | None = None
    ) -> bool | None:
        """True if a room meets a condition, None if that is unknown: it then allows nothing and
        denies everything. Instead of one room, those that two users share may be given."""
        shared = [room] if isinstance(room, str) else room

        def sees(user: str) -> bool:
            answer = self.answer(f"@{user}-{name}:{SERVER}")

            def ask(known: Any) -> Any:
                return answer.recipients(None, [SENDER], [shared], known)

            return self.synapse.run((rooms or self.rooms).decide, ask) != []

        if sees("allowed"):
            assert not sees("denied")
            return True
        return False if sees("denied") else None


class Queries:
    """Counts the module's queries, and lets them fail if wanted."""

    def __init__(self, store: Any) -> None:
        self.number = 0
        self.fail = False
        self._interaction = store.db_pool.runInteraction

    async def run(self, desc: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Replaces `runInteraction`."""
        if desc == QUERY:
            self.number += 1
            if self.fail:
                raise sqlite3.OperationalError("database is locked")
        return await self._interaction(desc, function, *args, **named)
