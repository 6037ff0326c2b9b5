"""What the tests of the mode `exact` share: the policy, and a cast of users that it separates.

With `PRESENCE_ROUTER_TEST_LOCAL=add` the same tests run with a module that only adds. Then all
of them must fail that show what only `exact` keeps: this is how they are known to be able to.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import World, start_world
from daemon import until
from homeserver import VERSION
from matrix import Presence, User
from policies import allow, allow_room_mates, deny, hide

LOCAL = os.environ.get("PRESENCE_ROUTER_TEST_LOCAL", "exact")

# Before, no Synapse can leave rooms out of presence.
FEDERATION = "exact" if VERSION >= (1, 157) else "add"

# For tests of what other servers get if the policy alone decides about that as well.
decides_about_servers = pytest.mark.skipif(
    FEDERATION == "add", reason="this Synapse refuses `federation: exact`"
)

# Seconds to wait for what must come. What only `exact` shows never comes in the other mode.
PATIENCE = 60.0 if LOCAL == "exact" else 3.0

VIEWERS = {"match": "@viewer-*:*"}


def rules() -> list[dict[str, Any]]:
    """Room-mates see each other; `open-` users are seen by everyone, without a room as well.

    But a viewer does not see a `denied` user, and not the status message of a `hidden` one.
    """
    return [
        allow_room_mates(),
        allow({"match": "@open-*:*"}, "everyone"),
        deny({"match": "@*denied-*:*"}, VIEWERS),
        hide({"match": "@*hidden-*:*"}, VIEWERS),
    ]


def mode(**config: Any) -> dict[str, Any]:
    """The configuration of the module that decides alone; what belongs to that mode only is left
    out in the other."""
    if LOCAL == "exact":
        return {"local": "exact"} | config
    return {key: value for key, value in config.items() if key not in ("federation", "when_away")}


def start_exact_world(
    directory: Path,
    interface: str = "modules",
    limits: dict[str, int] | None = None,
    **config: Any,
) -> Iterator[World]:
    """Starts a world in which these rules decide alone."""
    for world in start_world(directory, interface, limits, **mode(**config)):
        world.daemon.apply(rules())
        yield world


class Cast:
    """A viewer, and those whom the policy separates from them in different ways: one who is
    visible, one whose status message is hidden, one who is denied, and a stranger with whom the
    viewer never shares a room. All but the stranger are in one room, which the visible one made.
    """

    def __init__(
        self,
        register: Callable[[str], User],
        register_viewer: Callable[[str], User] | None = None,
        prefix: str = "",
        alias: str | None = None,
    ) -> None:
        self.viewer = (register_viewer or register)("viewer")
        self.visible = register(f"{prefix}visible")
        self.hidden = register(f"{prefix}hidden")
        self.denied = register(f"{prefix}denied")
        self.stranger = register("stranger")
        # Those who share the room, the visible one last: whatever else there is to see comes
        # before them.
        self.senders = [self.denied, self.hidden, self.visible]
        # The viewer, at the process that is asked for a status by itself.
        self.asker = self.viewer
        # Whether the viewer shares the room. Room-mates may be told of each other that they are
        # offline, also if they may not see each other.
        self.are_room_mates = False
        # Others who are in the room, and may be seen.
        self.extras: set[str] = set()
        # The server by which others come into the room.
        self.via = self.visible.id.partition(":")[2]
        self.presence = ""
        self._status = ""
        # It has a name, since clients are sent the members after whom a room without one is
        # named; and anybody may peek into it.
        readable = {"history_visibility": "world_readable"}
        content: dict[str, Any] = {
            "name": "stage",
            "initial_state": [{"type": "m.room.history_visibility", "content": readable}],
        }
        if alias is not None:
            content["room_alias_name"] = alias
        self.room_id = self.visible.create_room(**content)
        for sender in (self.denied, self.hidden):
            sender.join(self.room_id)
        self.change("here")

    def enter(self) -> None:
        """Lets the viewer into the room."""
        self.viewer.join(self.room_id, self.via)
        self.are_room_mates = True

    def admit(self) -> None:
        """Lets the viewer into the room and waits until they have seen all that they may."""
        self.enter()
        # Another server may not know all members at once.
        until(
            lambda: self.asker.get_presence(self.hidden).ok,
            f"{self.viewer.id} shares a room with {self.hidden.id}",
            PATIENCE,
        )
        self.greet()

    def greet(self) -> None:
        """Waits until the viewer has seen all that they may, and makes them forget it."""
        self.viewer.set_presence("online", "myself")
        self.viewer.sync()
        # Another server may have missed what was before. In the end they are online, so that
        # what they do does not bring them online.
        for status in ("there", "ready"):
            self.change(status)
            self.wait()
        self.viewer.forget()

    def change(self, status: str) -> None:
        """Changes the presence and the status message of all whom somebody might see."""
        # Of a status message that another server is not sent, it would notice nothing.
        self.presence = "unavailable" if self.presence == "online" else "online"
        self._status = status
        self.repeat()

    def repeat(self) -> None:
        """Sets the same once more. To Synapse, that is no change but a sign of life."""
        for user in (self.stranger, *self.senders):
            user.set_presence(self.presence, self.status_of(user))

    def status_of(self, user: User) -> str:
        """The present status message of a user."""
        return f"{self._status}: {user.id}"

    def wait(self) -> None:
        """Syncs until the viewer has seen all that they may see at present."""
        self.viewer.sync_until(lambda _: self.is_seen(), PATIENCE)

    def is_seen(self) -> bool:
        """Whether the viewer has seen all that they may see at present."""
        visible, hidden = (self.viewer.sees.get(user.id) for user in (self.visible, self.hidden))
        return (
            visible is not None
            and hidden is not None
            and visible.get("status_msg") == self.status_of(self.visible)
            and visible["presence"] == hidden["presence"] == self.presence
        )

    def check(self) -> None:
        """Checks that the viewer has seen all that they may see, and nothing else."""
        viewer = self.viewer
        assert self.is_seen(), f"the viewer saw only {viewer.seen}"
        self.check_nothing_else()

    def check_nothing_else(self) -> None:
        """Checks that the viewer has seen nothing that they may not see."""
        viewer = self.viewer
        for sender, content in viewer.seen:
            shown = sender in {viewer.id, self.visible.id, self.hidden.id} | self.extras
            # Those of other tests, whom everybody may see.
            others = sender.startswith(("@open-visible-", "@open-hidden-"))
            mates = self.are_room_mates and sender == self.denied.id and is_offline(content)
            assert shown or others or mates, f"{sender}: {content}"
            assert "hidden" not in sender or "status_msg" not in content, f"{sender}: {content}"
        own = {content.get("status_msg") for sender, content in viewer.seen if sender == viewer.id}
        # By calling /events, a client comes online anew.
        assert own <= {"myself", None}, viewer.seen


def is_offline(content: Presence) -> bool:
    """Whether a presence says no more than of somebody who never was online."""
    return {**content, "user_id": ""} == {"presence": "offline", "user_id": ""}
