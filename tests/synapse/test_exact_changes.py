"""The policy and the rooms change under a real Synapse in which the policy alone decides: each
device hears once whom it sees no longer, and whom it sees now."""

import itertools
import time
from collections.abc import Iterator

import pytest
from conftest import World, start_world
from daemon import until
from matrix import POLL, Presence, User
from policies import allow, allow_room_mates, deny, hide

# Seconds in which nothing comes any more: a bell rings once a second.
QUIET = 2.5

_numbers = itertools.count()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from start_world(tmp_path_factory.mktemp("changes"), local="exact", deadline_ms=500)


def device(user: User) -> User:
    """Another device of a user, which has not synced yet."""
    return user.at(user._url.removesuffix("/_matrix/client/v3"))


def room_mates(world: World, *names: str) -> list[User]:
    """Users who share a room."""
    users = world.users(*names)
    room = users[0].create_room()
    for user in users[1:]:
        user.join(room)
    return users


def leave(user: User, room: str) -> None:
    answer = user._session.post(f"{user._url}/rooms/{room}/leave", json={})
    assert answer.status_code == 200, answer.text


def catch_up(one: User) -> dict[str, Presence]:
    """Syncs until nothing comes any more; answers what came of others, each user once."""
    came: dict[str, Presence] = {}
    end = time.monotonic() + QUIET
    while time.monotonic() < end:
        # Synapse answers the same request from memory for a while, also that of another device.
        timeout = 0.5 + next(_numbers) / 1000
        new = {user: what for user, what in one.sync(timeout).items() if user != one.id}
        assert came.keys().isdisjoint(new), "somebody came twice"
        came |= new
    return came


def is_gone(presence: Presence) -> bool:
    """True if a presence says nothing but that somebody is offline."""
    return presence == {"presence": "offline"}


def test_a_deny_takes_presence_back_from_devices_that_wait_and_that_sleep(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    sleeping, waiting = device(bob), device(bob)
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("online", "hello")
    for one in (sleeping, waiting):
        one.sync_until_status(ann, "hello")
        catch_up(one)
    poll = waiting.poll()
    world.daemon.apply([allow_room_mates(), deny(ann, bob)])
    assert is_gone(poll.result(2 * POLL)[ann.id])
    ann.set_presence("unavailable", "a secret")
    assert catch_up(waiting) == {}
    came = catch_up(sleeping)
    assert came.keys() == {ann.id} and is_gone(came[ann.id])
    # And back again, while one waits and the other sleeps.
    poll = waiting.poll()
    world.daemon.apply([allow_room_mates()])
    assert poll.result(2 * POLL)[ann.id]["status_msg"] == "a secret"
    assert catch_up(waiting) == {}
    came = catch_up(sleeping)
    assert came.keys() == {ann.id} and came[ann.id]["status_msg"] == "a secret"


def test_a_token_that_is_used_twice_gets_the_same(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("online", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    since = bob._since
    world.daemon.apply([allow_room_mates(), deny(ann, bob)])
    bob.sync_until(lambda one: is_gone(one.sees.get(ann.id, {})))
    again = device(bob)
    again._since = since
    again.sync_until(lambda one: is_gone(one.sees.get(ann.id, {})))


def test_full_state_and_a_very_old_token_take_presence_back(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("online", "hello")
    bob.sync_until_status(ann, "hello")
    world.daemon.apply([allow_room_mates(), deny(ann, bob)])
    time.sleep(QUIET)
    whole, old = device(bob), device(bob)
    query = {"since": str(bob._since), "full_state": "true", "timeout": "0"}
    answer = whole._session.get(f"{whole._url}/sync", params=query)
    events = answer.json()["presence"]["events"]
    assert {"presence": "offline"} in [e["content"] for e in events if e["sender"] == ann.id]
    rooms, _, rest = str(bob._since).split("_", 2)
    old._since = f"{rooms}_0_{rest}"
    assert is_gone(old.sync()[ann.id])


def test_a_hide_is_shown_and_taken_back(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("unavailable", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    poll = bob.poll()
    world.daemon.apply([allow_room_mates(), hide(ann, bob)])
    assert "status_msg" not in poll.result(2 * POLL)[ann.id]
    poll = bob.poll()
    world.daemon.apply([allow_room_mates()])
    assert poll.result(2 * POLL)[ann.id]["status_msg"] == "hello"


def test_who_was_seen_without_a_room_is_taken_back(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    ann.set_presence("online", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    poll = bob.poll()
    world.daemon.apply([])
    assert is_gone(poll.result(2 * POLL)[ann.id])
    assert catch_up(bob) == {}


def test_who_leaves_the_room_is_taken_back_and_who_joins_is_shown(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    room = bob.create_room()
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("unavailable", "hello")
    catch_up(bob)
    ann.join(room)
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    leave(ann, room)
    bob.sync_until(lambda one: is_gone(one.sees[ann.id]))
    assert catch_up(bob) == {}


def test_a_room_that_passes_the_limit_hides_its_members(world: World) -> None:
    ann, bob, eve = world.users("ann", "bob", "eve")
    room = ann.create_room()
    bob.join(room)
    world.daemon.apply([allow_room_mates(at_most=2)])
    ann.set_presence("unavailable", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    eve.join(room)
    bob.sync_until(lambda one: is_gone(one.sees[ann.id]))
    assert catch_up(bob) == {}
    leave(eve, room)
    bob.sync_until(lambda one: one.sees[ann.id].get("status_msg") == "hello")


def test_bells_are_not_shown(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow("everyone", "everyone")])
    bob.sync()
    ann.set_presence("unavailable", "hello")
    bob.sync_until_status(ann, "hello")
    world.daemon.apply([allow("everyone", "everyone"), deny(ann, bob)])
    bob.sync_until(lambda one: is_gone(one.sees[ann.id]))
    bob.sync_again()
    assert not [user for user in bob.senders() if "!" in user]
    rings = "presence_router_followed_total"
    assert any(value for name, value in world.homeserver.metrics().items() if rings in name)


def test_after_a_restart_of_the_daemon_everybody_is_told(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("online", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    world.daemon.kill()
    world.daemon.write([allow_room_mates(), deny(ann, bob)])
    world.daemon.start()
    bob.sync_until(lambda one: is_gone(one.sees[ann.id]))


def test_after_a_restart_of_synapse_everybody_is_told(world: World) -> None:
    ann, bob = room_mates(world, "ann", "bob")
    world.daemon.apply([allow_room_mates()])
    ann.set_presence("online", "hello")
    bob.sync_until_status(ann, "hello")
    catch_up(bob)
    world.homeserver.stop()
    world.daemon.apply([allow_room_mates(), deny(ann, bob)])
    world.homeserver.start()
    until(lambda: bob.sync() is not None, "Synapse answers")
    bob.sync_until(lambda one: is_gone(one.sees[ann.id]))
    assert catch_up(bob).keys() <= {ann.id}
