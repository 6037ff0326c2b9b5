"""The ways beside /sync by which a client gets presence, in a real Synapse in which the policy
alone decides: the status by itself, /events, and the older initial syncs."""

from collections.abc import Iterator

import paths
import pytest
from conftest import World
from exact import Cast, start_exact_world
from matrix import User
from paths import Path

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from start_exact_world(tmp_path_factory.mktemp("exact"))


@pytest.mark.parametrize("path", paths.BY_OLDER_CALLS, ids=paths.name_of)
def test_an_older_call_shows_to_room_mates_what_the_policy_shows(world: World, path: Path) -> None:
    cast = Cast(world.user)
    cast.admit()
    path(cast)
    cast.check()


@pytest.mark.parametrize("path", paths.BY_PEEKING, ids=paths.name_of)
def test_an_older_call_shows_to_strangers_what_the_policy_shows(world: World, path: Path) -> None:
    cast = Cast(world.user, prefix="open-")
    cast.greet()
    path(cast)
    cast.check()


def test_who_peeks_into_a_room_sees_no_more_than_without(world: World) -> None:
    cast = Cast(world.user)
    cast.viewer.initial_sync_of_room(cast.room_id)
    assert cast.viewer.seen == []
    # Nor by waiting there.
    cast.viewer.sync()
    cast.change("while somebody peeks")
    cast.viewer.set_presence("online", "myself")
    cast.viewer.follow_events(room_id=cast.room_id)
    others = {sender for sender in cast.viewer.senders() if not sender.startswith("@open-")}
    assert others == {cast.viewer.id}


def status_of(viewer: User, sender: User) -> dict[str, object] | None:
    """The status of a sender that the viewer asks for by itself. None: it is refused."""
    answer = viewer.get_presence(sender)
    assert answer.status_code in (200, 403), answer.text
    return answer.json() if answer.ok else None


@pytest.mark.parametrize("prefix", ["", "open-"], ids=["room_mates", "strangers"])
def test_a_status_is_shown_as_the_policy_shows_it(world: World, prefix: str) -> None:
    cast = Cast(world.user, prefix=prefix)
    if not prefix:
        cast.admit()
    viewer = cast.viewer
    shown = status_of(viewer, cast.visible)
    assert shown is not None
    assert (shown["presence"], shown["status_msg"]) == (cast.presence, cast.status_of(cast.visible))
    shown = status_of(viewer, cast.hidden)
    assert shown is not None
    assert shown["presence"] == cast.presence and "status_msg" not in shown
    for user in (cast.denied, cast.stranger):
        assert status_of(viewer, user) is None


def test_a_status_of_a_room_mate_is_not_shown_before_and_after(world: World) -> None:
    cast = Cast(world.user)
    assert status_of(cast.viewer, cast.visible) is None
    cast.viewer.join(cast.room_id)
    assert status_of(cast.viewer, cast.visible) is not None
    cast.viewer.leave(cast.room_id)
    assert status_of(cast.viewer, cast.visible) is None


def test_the_own_status_is_shown(world: World) -> None:
    for name in ("viewer", "denied", "hidden"):
        user = world.user(name)
        assert status_of(user, user) == {"presence": "offline"}
        user.set_presence("online", "myself")
        shown = status_of(user, user)
        assert shown is not None and shown["status_msg"] == "myself"


def test_a_status_of_nobody_is_refused_unless_the_policy_shows_it(world: World) -> None:
    viewer, silent = world.users("viewer", "open-visible")
    # Visible, and never was online.
    assert status_of(viewer, silent) == {"presence": "offline"}
    # Whether or not these exist, and have a presence, the answer is the same.
    absent = world.user("stranger")
    absent.set_presence("online", "here")
    silent_stranger = world.user("stranger")
    answers = [viewer.get_presence(user) for user in (absent, silent_stranger)]
    for user_id in ("@stranger-nobody:test", "@open-denied-nobody:test"):
        answers.append(viewer.get_presence(user_id))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
