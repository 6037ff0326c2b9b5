"""Users who may see everyone, on a Synapse that knows 2,000 users (300 the second
time, with the legacy interface)."""

from collections.abc import Iterator

import pytest
from conftest import World, start_world
from matrix import User
from policies import allow, deny

COUNT = {"modules": 2000, "legacy": 300}


@pytest.fixture(scope="module")
def crowd(
    tmp_path_factory: pytest.TempPathFactory, interface: str
) -> Iterator[tuple[World, list[User]]]:
    """A world with many users, each online and with a status of their own."""
    for world in start_world(tmp_path_factory.mktemp("crowd"), interface):
        yield world, world.homeserver.register_crowd(COUNT[interface])


def test_who_may_see_everyone_gets_everybody_and_themselves(
    crowd: tuple[World, list[User]],
) -> None:
    world, users = crowd
    (watcher,) = world.users("watcher")
    world.daemon.apply([allow("everyone", watcher)])
    watcher.set_presence("online", "watching")

    # Not only these: others may have been registered by other tests.
    came = watcher.sync()
    everybody = {user.id for user in users} | {watcher.id}
    assert everybody <= came.keys()
    assert all(came[user.id]["status_msg"] == f"hello from {user.id}" for user in users)
    assert came[watcher.id]["status_msg"] == "watching"

    poll = watcher.poll()
    users[len(users) // 2].set_presence("unavailable", "changed")
    assert poll.result()[users[len(users) // 2].id]["status_msg"] == "changed"

    watcher.seen.clear()
    for number, user in enumerate(users[:50]):
        user.set_presence("online", f"change {number}")
    watcher.set_presence("online", "and mine")
    (newcomer,) = world.users("newcomer")
    newcomer.set_presence("online", "just arrived")
    watcher.sync_until_status(newcomer, "just arrived")
    changes = {(user.id, f"change {number}") for number, user in enumerate(users[:50])}
    assert changes | {(watcher.id, "and mine")} <= set(watcher.statuses())


def test_everyone_except_two_is_exactly_that(crowd: tuple[World, list[User]]) -> None:
    world, users = crowd
    (watcher,) = world.users("watcher")
    one, other = users[7], users[8]
    except_one = {"any": "everyone", "except": one.id}
    world.daemon.apply([allow(except_one, watcher), deny(other, watcher)])
    watcher.set_presence("online", "watching")
    everybody = {user.id for user in users} | {watcher.id}

    came = watcher.sync()
    assert everybody - came.keys() == {one.id, other.id}

    watcher.seen.clear()
    for user in (one, other, users[9]):
        user.set_presence("online", "changed")
    watcher.sync_until_status(users[9], "changed")
    assert watcher.senders().isdisjoint({one.id, other.id})


def test_who_may_see_everyone_still_does_after_synapse_restarted(
    crowd: tuple[World, list[User]],
) -> None:
    world, users = crowd
    (watcher,) = world.users("watcher")
    world.daemon.apply([allow("everyone", watcher)])
    world.homeserver.stop()
    world.homeserver.start()
    # Nobody has said anything since: who they are comes from the database.
    came = watcher.sync()
    assert {user.id for user in users} <= came.keys()
