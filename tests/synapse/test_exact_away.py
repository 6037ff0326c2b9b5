"""A real Synapse in which the policy alone decides, while the daemon is away: the last answers
hold for `stale_for`, and then `when_away` says whom users see."""

from collections.abc import Callable, Iterator

import paths
import pytest
from conftest import World
from daemon import until
from exact import LOCAL, Cast, start_exact_world

pytestmark = pytest.mark.skipif(LOCAL != "exact", reason="only `exact` has such a setting")

# A daemon that says nothing for two of these counts as away.
HEARTBEATS = {"heartbeat_seconds": 1}


def make_world(when_away: str, stale_for: int) -> Callable[..., Iterator[World]]:
    """Makes the fixture of a world."""

    @pytest.fixture(scope="module")
    def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
        directory = tmp_path_factory.mktemp("away")
        yield from start_exact_world(
            directory,
            limits=HEARTBEATS,
            when_away=when_away,
            stale_for=stale_for,
            deadline_ms=500,
        )

    return world


closed = make_world("nobody", 1)
by_rooms = make_world("rooms", 1)
remembering = make_world("nobody", 600)


@pytest.fixture(autouse=True)
def daemon_runs_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that one test that fails does not fail the others."""
    yield
    for name in {"closed", "by_rooms", "remembering"} & set(request.fixturenames):
        daemon = request.getfixturevalue(name).daemon
        if not daemon.runs:
            daemon.start()


# Each shows the presence of all room-mates, unless it is withheld.
SHOWN_BY = (
    paths.an_initial_sync,
    paths.a_sync_with_full_state,
    paths.a_sync_with_an_old_token,
    paths.the_initial_sync_of_a_room,
)


def show(cast: Cast) -> Iterator[str]:
    """Makes Synapse show what there is, by one path after the other."""
    for path in SHOWN_BY:
        cast.viewer.forget()
        path(cast)
        yield paths.name_of(path)


def wait_until_away(cast: Cast) -> None:
    """Waits until the last answers hold no longer."""
    until(lambda: cast.viewer.get_presence(cast.hidden).status_code == 403, "answers end")


def test_the_last_answers_hold_for_a_while(remembering: World) -> None:
    cast = Cast(remembering.user)
    cast.admit()
    remembering.daemon.kill()
    until(
        lambda: remembering.homeserver.metrics()["presence_router_reachable"] == 0,
        "the end is noticed",
    )
    for _ in show(cast):
        cast.check()
    cast.change("from memory")
    cast.wait()
    cast.check()
    assert cast.viewer.get_presence(cast.denied).status_code == 403


def test_then_nobody_is_shown_and_nothing_is_sent(closed: World) -> None:
    cast = Cast(closed.user)
    cast.admit()
    closed.daemon.kill()
    wait_until_away(cast)
    # Not even that they are offline.
    cast.viewer.sync(1)
    assert cast.viewer.seen == []
    cast.change("to nobody")
    cast.viewer.sync(1)
    assert cast.viewer.seen == []
    for user in (*cast.senders, cast.stranger):
        assert cast.viewer.get_presence(user).status_code == 403
    for name in show(cast):
        assert cast.viewer.senders() <= {cast.viewer.id}, name
    # Their own presence needs no daemon.
    cast.viewer.sync_again()
    assert cast.viewer.sees[cast.viewer.id]["status_msg"] == "myself"
    assert cast.viewer.get_presence(cast.viewer).json()["status_msg"] == "myself"


def test_a_synapse_that_starts_without_the_daemon_shows_nobody(closed: World) -> None:
    cast = Cast(closed.user)
    cast.admit()
    closed.daemon.kill()
    closed.homeserver.stop()
    closed.homeserver.start()
    for name in show(cast):
        assert cast.viewer.senders() <= {cast.viewer.id}, name
    closed.daemon.start()
    until(lambda: cast.viewer.get_presence(cast.visible).ok, "the daemon is back")
    for _ in show(cast):
        # Synapse has forgotten who was online, and may say so.
        cast.check_nothing_else()
        assert {cast.visible.id, cast.hidden.id} <= cast.viewer.senders()


def test_room_mates_are_shown_if_that_is_configured(by_rooms: World) -> None:
    cast, open_to_all = Cast(by_rooms.user), Cast(by_rooms.user, prefix="open-")
    cast.admit()
    by_rooms.daemon.kill()
    until(lambda: cast.viewer.get_presence(cast.denied).ok, "answers end")
    for name in show(cast):
        others = {user.id for user in cast.senders}
        assert cast.viewer.senders() - {cast.viewer.id} == others, name
        assert cast.viewer.sees[cast.denied.id]["status_msg"] == cast.status_of(cast.denied)
    for user in (cast.stranger, open_to_all.visible):
        assert cast.viewer.get_presence(user).status_code == 403
    cast.change("to room-mates")
    cast.viewer.sync_until_status(cast.denied, cast.status_of(cast.denied))

    by_rooms.daemon.start()
    until(lambda: cast.viewer.get_presence(cast.denied).status_code == 403, "the daemon is back")
    for _ in show(cast):
        cast.check()
