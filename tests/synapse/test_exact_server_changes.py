"""With `federation: exact`, a real server that loses sight of a user is told once, and so is one
that gains sight."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, until
from exact import decides_about_servers
from federation import Authority, Federated, NoteTaker, free_name
from homeserver import module
from logs import shown
from matrix import User
from policies import allow, hide

pytestmark = decides_about_servers


class Stage:
    """A homeserver, its daemon, and two servers without users that note what they are sent."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.near, self.far = NoteTaker(authority), NoteTaker(authority)
        self.daemon = Daemon(directory)
        self.daemon.settling = 0.1
        config = module(self.daemon.address, local="exact", federation="exact", deadline_ms=500)
        self.homeserver = Federated(directory / "one", authority, free_name(), **config)
        self.parts = (self.daemon, self.homeserver)

    def apply(self, *rules: dict[str, Any]) -> None:
        """Makes these rules the policy, and lets the near server see all there is."""
        everyone = {"match": f"@*:{self.near.server_name}"}
        self.daemon.apply([*rules, allow("everyone", everyone)])

    def far_users(self) -> dict[str, str]:
        return {"match": f"@*:{self.far.server_name}"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("servers"))
    try:
        with shown(stage.parts):
            for part in stage.parts:
                part.start()
        yield stage
        stage.homeserver.stop()
        assert stage.homeserver.complaints() == []
    finally:
        for part in reversed(stage.parts):
            part.stop()
        stage.near.stop(), stage.far.stop()


def came(server: NoteTaker, user: User) -> list[tuple[str, str | None]]:
    """The presences of a user that came to a server."""
    return [
        (push["presence"], push.get("status_msg"))
        for _, push in server.came
        if push["user_id"] == user.id
    ]


def test_a_server_that_loses_sight_is_told_once_and_again_when_it_gains(stage: Stage) -> None:
    ann, eve = (stage.homeserver.register(name) for name in ("ann", "eve"))
    stage.apply(allow(ann, stage.far_users()))
    ann.set_presence("unavailable", "hello")
    stage.far.wait_for(ann.id, "hello")
    stage.near.wait_for(ann.id, "hello")
    eve.set_presence("unavailable", "unseen")
    stage.near.wait_for(eve.id, "unseen")

    stage.apply()
    until(lambda: came(stage.far, ann)[-1] == ("offline", None), "the server is told")
    ann.set_presence("unavailable", "a secret")
    stage.near.wait_for(ann.id, "a secret")

    stage.apply(allow(ann, stage.far_users()))
    stage.far.wait_for(ann.id, "a secret")
    stage.apply(allow(ann, stage.far_users()), hide(ann, stage.far_users()))
    until(lambda: came(stage.far, ann)[-1] == ("unavailable", None), "the text is taken back")

    assert came(stage.far, ann) == [
        ("unavailable", "hello"),
        ("offline", None),
        ("unavailable", "a secret"),
        ("unavailable", None),
    ]
    # The other server sees the same as before, and is not told; nor is anybody sent a bell.
    assert came(stage.near, ann) == [("unavailable", "hello"), ("unavailable", "a secret")]
    assert came(stage.far, eve) == []
    users = {push["user_id"] for _, push in stage.far.came + stage.near.came}
    assert users <= {ann.id, eve.id}
