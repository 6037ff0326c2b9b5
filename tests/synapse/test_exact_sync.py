"""Each way by which /sync sends presence, in a real Synapse in which the policy alone decides."""

from collections.abc import Iterator

import paths
import pytest
from conftest import World
from exact import Cast, is_offline, start_exact_world
from paths import Path

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    yield from start_exact_world(tmp_path_factory.mktemp("exact"), interface)


@pytest.mark.parametrize("path", paths.BY_SYNC, ids=paths.name_of)
def test_a_sync_shows_to_room_mates_what_the_policy_shows(world: World, path: Path) -> None:
    cast = Cast(world.user)
    cast.admit()
    path(cast)
    cast.check()


@pytest.mark.parametrize("path", paths.WITHOUT_ROOMS, ids=paths.name_of)
def test_a_sync_shows_to_strangers_what_the_policy_shows(world: World, path: Path) -> None:
    cast = Cast(world.user, prefix="open-")
    cast.greet()
    path(cast)
    cast.check()


@pytest.mark.parametrize(
    "path",
    [paths.an_initial_sync, paths.a_sync_with_full_state, paths.a_sync_with_an_old_token],
    ids=paths.name_of,
)
def test_a_user_sees_their_own_presence(world: World, path: Path) -> None:
    cast = Cast(world.user)
    cast.admit()
    path(cast)
    assert cast.viewer.sees[cast.viewer.id]["status_msg"] == "myself"
    # On another device, which waits, as well.
    waiting = cast.viewer.poll()
    cast.viewer.set_presence("unavailable", "elsewhere")
    assert waiting.result()[cast.viewer.id]["status_msg"] == "elsewhere"


def test_a_user_without_rooms_sees_only_themselves(world: World) -> None:
    Cast(world.user)
    (alone,) = world.users("viewer")
    alone.set_presence("online", "alone")
    alone.sync()
    alone.sync(full_state=True)
    alone.make_token_old()
    alone.sync()
    others = {sender for sender in alone.senders() if not sender.startswith("@open-")}
    assert others == {alone.id}


def test_room_mates_who_never_were_online_show_nothing(world: World) -> None:
    cast = Cast(world.user)
    cast.admit()
    silent, denied = world.users("visible", "denied")
    for user in (silent, denied):
        user.join(cast.room_id)
        paths.sync_until_member(cast.viewer, user, "join")
    assert is_offline(cast.viewer.sees[silent.id])
    assert is_offline(cast.viewer.sees.get(denied.id, {"presence": "offline"}))
