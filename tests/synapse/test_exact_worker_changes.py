"""The policy changes under a Synapse of several processes in which it alone decides: the bells are
rung in one process, heard in another, and told to other servers by a third."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import until
from exact import FEDERATION, decides_about_servers
from federation import Authority, NoteTaker
from logs import shown
from matrix import POLL, Presence, User
from policies import allow, allow_room_mates, deny
from workers import Cluster

GONE = {"presence": "offline"}


class World:
    """The processes of one homeserver, and a server of the federation that takes note."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.three = NoteTaker(authority)
        self.cluster = Cluster(directory, authority, local="exact", federation=FEDERATION)
        self.daemon = self.cluster.daemon
        self.parts = self.cluster.parts
        self._numbers = itertools.count()

    def pair(self) -> tuple[User, User]:
        """Two who share a room; the other one syncs at the worker for it."""
        main, number = self.cluster.main, next(self._numbers)
        ann, bob = main.register(f"ann-{number}"), main.register(f"bob-{number}")
        room = ann.create_room()
        bob.join(room)
        ann, bob = ann.at(self.cluster.writer.url), bob.at(self.cluster.sync.url)
        self.apply()
        bob.sync()
        ann.set_presence("unavailable", "hello")
        bob.sync_until_status(ann, "hello")
        return ann, bob

    def apply(self, *rules: object) -> None:
        """Makes these rules the policy, and lets the other server see all there is."""
        everyone = {"match": f"@*:{self.three.server_name}"}
        self.daemon.apply([*rules, allow_room_mates(), allow("everyone", everyone)])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("workers"))
    try:
        with shown(world.parts):
            world.cluster.start()
        yield world
        for process in world.cluster.processes:
            assert process.complaints() == [], process.name
    finally:
        world.cluster.stop()
        world.three.stop()


def others(one: User, came: dict[str, Presence]) -> dict[str, Presence]:
    return {user: what for user, what in came.items() if user != one.id}


def is_quiet(one: User) -> bool:
    """True if nothing comes for some seconds: the next bell rings within one."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        if others(one, one.sync(1)):
            return False
    return True


def test_a_waiting_device_at_a_worker_hears_of_each_change_once(world: World) -> None:
    ann, bob = world.pair()
    # The bell for the room that they joined comes after the first /sync.
    until(lambda: is_quiet(bob), "nothing comes any more")
    poll = bob.poll()
    world.apply(deny(ann, bob))
    assert others(bob, poll.result(2 * POLL)) == {ann.id: GONE}
    ann.set_presence("unavailable", "a secret")
    assert is_quiet(bob)
    poll = bob.poll()
    world.apply()
    assert poll.result(2 * POLL)[ann.id]["status_msg"] == "a secret"
    assert is_quiet(bob)


@decides_about_servers
def test_the_federation_sender_tells_a_server_that_loses_sight(world: World) -> None:
    ann, _ = world.pair()
    world.three.wait_for(ann.id, "hello")
    world.apply(deny(ann, {"match": f"@*:{world.three.server_name}"}))

    def states() -> list[str]:
        return [push["presence"] for _, push in world.three.came if push["user_id"] == ann.id]

    until(lambda: states()[-1] == "offline", "the server is told")
    time.sleep(2.5)
    assert states() == ["unavailable", "offline"]
    world.apply()
    until(lambda: states()[-1] == "unavailable", "the server is told")


def test_a_worker_that_was_away_makes_up_for_it(world: World) -> None:
    ann, bob = world.pair()
    world.cluster.sync.kill()
    world.apply(deny(ann, bob))
    time.sleep(2.5)
    world.cluster.sync.begin_start()
    world.cluster.sync.finish_start()
    bob.sync_until(lambda one: one.sees[ann.id] == GONE)
    poll = bob.poll()
    world.apply()
    assert poll.result(2 * POLL)[ann.id]["status_msg"] == "hello"


def test_the_presence_writer_rings_for_everything_when_it_starts(world: World) -> None:
    ann, bob = world.pair()
    world.cluster.writer.kill()
    world.apply(deny(ann, bob))
    world.cluster.writer.begin_start()
    world.cluster.writer.finish_start()
    bob.sync_until(lambda one: one.sees[ann.id] == GONE)


def test_a_daemon_that_comes_back_with_another_policy_is_followed(world: World) -> None:
    ann, bob = world.pair()
    world.daemon.kill()
    world.daemon.write([allow_room_mates(), deny(ann, bob)])
    world.daemon.start()
    bob.sync_until(lambda one: one.sees[ann.id] == GONE)
