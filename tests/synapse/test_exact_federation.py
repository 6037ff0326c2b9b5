"""Whole federations in which the policy alone decides, on the side that receives and on the side
that sends, by real Synapses that share rooms."""

from collections.abc import Iterator

import paths
import paths_out
import pytest
from exact import decides_about_servers
from exact_federation import ExactFederation
from logs import shown
from paths import Path
from paths_out import PathOut

pytestmark = decides_about_servers


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactFederation]:
    federation = ExactFederation(tmp_path_factory.mktemp("federation"))
    try:
        with shown(federation.parts):
            federation.start()
        yield federation
        for homeserver in federation.servers.values():
            homeserver.stop()
            assert homeserver.code == 0
            assert homeserver.complaints() == []
    finally:
        federation.stop()


# The server that sends, and the one that receives. Of those that send, one has no module, and one
# adds to the servers with which Synapse shares rooms.
@pytest.mark.parametrize(
    "servers", [("one", "two"), ("two", "one"), ("three", "two")], ids="-".join
)
@pytest.mark.parametrize("path", [*paths.BY_SYNC, *paths.BY_OLDER_CALLS], ids=paths.name_of)
def test_users_of_another_server_are_shown_as_the_policy_shows_them(
    federation: ExactFederation, servers: tuple[str, str], path: Path
) -> None:
    cast = federation.cast(*servers)
    cast.admit()
    path(cast)
    cast.check()
    # The status by itself has a way of its own.
    assert "status_msg" not in cast.viewer.get_presence(cast.hidden).json()
    for user in (cast.denied, cast.stranger):
        assert cast.viewer.get_presence(user).status_code == 403


def test_one_of_two_who_live_on_a_server_is_shown_what_the_other_is_not(
    federation: ExactFederation,
) -> None:
    cast = federation.cast("one", "two")
    friend = federation.user_of("two")("friend")
    friend.join(cast.room_id, cast.via)
    cast.extras.add(friend.id)
    cast.admit()
    cast.change("for friends")
    for user in (cast.denied, cast.visible):
        friend.sync_until_status(user, cast.status_of(user))
    # What is hidden from one is not sent to their server.
    assert cast.status_of(cast.hidden) not in [status for _, status in friend.statuses()]
    cast.wait()
    cast.check()
    for path in (paths.an_initial_sync, paths.a_sync_with_full_state, paths.a_changed_display_name):
        cast.viewer.forget()
        path(cast)
        cast.check()


@pytest.mark.parametrize("path", paths_out.IN_ROOMS, ids=paths.name_of)
def test_a_server_in_a_room_is_sent_what_its_users_may_see(
    federation: ExactFederation, path: PathOut
) -> None:
    cast = federation.cast("one", "three")
    path(cast, federation.three, federation.pings)
    federation.three.check(cast)
    # It has nothing else to show, in whatever way.
    cast.viewer.sync_again()
    cast.wait()
    cast.check()


def test_a_server_without_a_room_is_sent_what_it_may_see(federation: ExactFederation) -> None:
    cast = federation.cast("one", "one", "open-")
    paths_out.check_without_room(cast, federation.four, federation.pings)
