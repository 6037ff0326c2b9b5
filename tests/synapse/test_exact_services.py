"""Application services, beside a real Synapse in which the policy alone decides: they are shown
whom a user of theirs may see, or their own sender, and nobody else."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import World
from exact import PATIENCE, Cast, mode, rules
from daemon import Daemon
from homeserver import Homeserver, module
from matrix import User
from service import Service

pytestmark = pytest.mark.smoke

_numbers = itertools.count()


class Services(World):
    """A world with a bridge, which has users, and an onlooker, which has rooms."""

    def __init__(self, directory: Path) -> None:
        self.bridge = Service("bridge", "bridge-bot", users="@viewer-bridged-.*:.*")
        self.onlooker = Service("onlooker", "viewer-onlooker", aliases="#onlooked-.*:.*")
        files = []
        for service in (self.bridge, self.onlooker):
            file = directory / f"{service.name}.yaml"
            file.write_text(yaml.safe_dump(service.registration()))
            files.append(file.name)
        daemon = Daemon(directory)
        daemon.settling = 0.1
        config = module(daemon.address, **mode())
        super().__init__(daemon, Homeserver(directory, **config, app_service_config_files=files))

    def bridged(self, name: str) -> User:
        """A user of the bridge that no other test has."""
        name = f"{name}-bridged-{next(_numbers)}"
        return self.bridge.register(self.homeserver.url, name)

    def onlooked(self, prefix: str = "") -> Cast:
        """A cast in a room that concerns the onlooker."""
        return Cast(self.user, prefix=prefix, alias=f"onlooked-{next(_numbers)}")

    def stop(self) -> None:
        """Ends all of it."""
        self.homeserver.stop()
        self.daemon.stop()
        self.bridge.stop()
        self.onlooker.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    world = Services(tmp_path_factory.mktemp("services"))
    try:
        world.daemon.start()
        world.homeserver.start()
        world.daemon.apply(rules())
        yield world
        world.homeserver.stop()
        assert world.homeserver.code == 0
        assert world.homeserver.complaints() == []
    finally:
        world.stop()


def check(service: Service, cast: Cast) -> None:
    """Checks that a service got what a viewer of the cast may see, and nothing else."""
    service.wait_for(cast.visible, cast.status_of(cast.visible), PATIENCE)
    service.wait_for(cast.hidden, None, PATIENCE)
    assert set(service.statuses(cast.hidden)) == {None}
    for user in (cast.denied, cast.stranger):
        assert service.statuses(user) == []


def test_a_bridge_is_shown_whom_a_user_of_its_own_may_see(world: Services) -> None:
    cast = Cast(world.user, world.bridged)
    cast.viewer.join(cast.room_id)
    cast.change("to the bridge")
    check(world.bridge, cast)


def test_a_bridge_is_not_shown_its_users_themselves(world: Services) -> None:
    cast = Cast(world.user, world.bridged)
    cast.viewer.join(cast.room_id)
    cast.viewer.set_presence("online", "myself")
    cast.change("after that")
    check(world.bridge, cast)
    assert world.bridge.statuses(cast.viewer) == []


def test_a_bridge_is_not_shown_who_shares_no_room_with_its_users(world: Services) -> None:
    elsewhere, cast = Cast(world.user), Cast(world.user, world.bridged)
    cast.viewer.join(cast.room_id)
    elsewhere.change("to nobody")
    cast.change("after that")
    check(world.bridge, cast)
    for user in elsewhere.senders:
        assert world.bridge.statuses(user) == []


def test_a_service_with_rooms_is_shown_whom_its_sender_may_see(world: Services) -> None:
    outside = world.onlooked()
    outside.change("to nobody")
    # Whom everybody may see, in a room or not.
    open_to_all = world.onlooked("open-")
    open_to_all.change("to everyone")
    check(world.onlooker, open_to_all)
    for user in (*outside.senders, outside.stranger):
        assert world.onlooker.statuses(user) == []

    inside = world.onlooked()
    sender = world.onlooker.register(world.homeserver.url, world.onlooker.sender)
    sender.join(inside.room_id)
    inside.change("to the onlooker")
    check(world.onlooker, inside)
    for user in (*outside.senders, outside.stranger):
        assert world.onlooker.statuses(user) == []
