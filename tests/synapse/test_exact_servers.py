"""Which other servers get the presence of local users in the mode `exact`, and how they see it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import until
from fake_api import in_reactor, state
from policies import allow, allow_room_mates, deny, hide
from routing_rig import Rig

ANN, BOB = "@ann:test", "@bob:test"
FAR, NEAR, OTHER = "@far:far.example", "@near:near.example", "@other:far.example"

StartRig = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartRig]:
    rigs: list[Rig] = []

    def start(*rules: Any, **options: Any) -> Rig:
        rig = Rig(tmp_path, **options)
        rigs.append(rig)
        rig.start(list(rules))
        return rig

    yield start
    for rig in rigs:
        rig.stop()


def test_the_policy_decides_about_the_servers_of_room_mates(start: StartRig) -> None:
    rig = start(allow_room_mates(), deny("everyone", {"match": "@*:far.example"}))
    rig.rooms.members = {"!a": [ANN, BOB, FAR, NEAR], "!b": [BOB, "@x:third.example"]}
    assert rig.sent_to(state(ANN, "hi")) == {"near.example": {state(ANN, "hi")}}
    assert set(rig.sent_to(state(BOB))) == {"near.example", "third.example"}


def test_servers_that_the_policy_names_get_presence_without_a_room(start: StartRig) -> None:
    rig = start(
        allow(ANN, {"match": "@*:far.example"}),
        allow(ANN, NEAR),
        destinations=("configured.example",),
    )
    assert set(rig.sent_to(state(ANN))) == {"far.example", "near.example"}
    assert rig.sent_to(state(BOB)) == {}
    assert rig.unsent == 0


def test_servers_that_nothing_names_get_nothing_and_are_counted(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"), destinations=("configured.example",))
    # A sender of another server is known, which does not name its server.
    rig.keys(state(FAR))
    rig.rooms.members = {"!a": [ANN, NEAR]}
    assert set(rig.sent_to(state(ANN))) == {"configured.example", "near.example"}
    assert rig.unsent == 1


def test_a_module_that_sends_to_a_remote_user_sends_what_the_whole_server_may_see(
    start: StartRig,
) -> None:
    rig = start(allow_room_mates(), hide("everyone", OTHER), deny(BOB, NEAR))
    rig.rooms.members = {"!a": [ANN, BOB, FAR, NEAR], "!b": [ANN, OTHER]}
    rig.states = {ANN: state(ANN, "a secret"), BOB: state(BOB, "hi")}
    # Synapse sends the whole state to the whole server, on which another user must not see it.
    assert rig.interest(FAR) == {BOB}
    assert rig.interest(NEAR) == {ANN}
    # Of a state without the hidden field, nothing is hidden.
    rig.states[ANN] = state(ANN)
    assert rig.interest(FAR) == {ANN, BOB}


def test_a_server_gets_no_field_that_is_hidden_from_any_of_its_users(start: StartRig) -> None:
    rig = start(allow_room_mates(), hide("everyone", OTHER))
    rig.rooms.members = {"!a": [ANN, FAR, NEAR], "!b": [BOB, FAR, OTHER]}
    assert rig.sent_to(state(ANN, "secret"), state(BOB, "secret")) == {
        "near.example": {state(ANN, "secret")},
        # Nobody but Bob shares a room with the user from whom it is hidden.
        "far.example": {state(ANN, "secret"), state(BOB)},
    }


def test_a_hide_may_depend_on_the_presence(start: StartRig) -> None:
    rig = start(allow(ANN, FAR), hide(ANN, FAR, unless=("online",)))
    assert rig.sent_to(state(ANN, "open")) == {"far.example": {state(ANN, "open")}}
    away = state(ANN, "secret", "unavailable")
    assert rig.sent_to(away) == {"far.example": {state(ANN, None, "unavailable")}}
    assert rig.sent_to(state(ANN, "open")) == {"far.example": {state(ANN, "open")}}


def test_a_server_gets_one_state_of_each_sender(start: StartRig) -> None:
    rig = start(allow(ANN, FAR))
    assert rig.sent_to(state(ANN, "1"), state(BOB), state(ANN, "2")) == {
        "far.example": {state(ANN, "2")}
    }


def test_unknown_members_of_a_room_allow_nothing_and_hide(start: StartRig) -> None:
    hidden: dict[str, Any] = {
        "share_room": True,
        "to": {"match": "@*:far.example"},
        "fields": ["status_msg"],
    }
    rig = start(allow(ANN, FAR), {"name": "hide in rooms", "hide": hidden}, allow_room_mates())
    rig.rooms.members = {"!a": [ANN, NEAR]}
    whole = {"near.example": {state(ANN, "x")}, "far.example": {state(ANN, "x")}}
    assert rig.sent_to(state(ANN, "x")) == whole
    rig.rooms.partial = {"!a"}
    assert rig.sent_to(state(ANN, "x")) == whole | {"far.example": {state(ANN)}}


def test_members_without_a_valid_server_are_left_out(start: StartRig) -> None:
    rig = start(allow_room_mates())
    # Synapse would fail to handle the whole update because of such a key.
    rig.rooms.members = {"!a": [ANN, "@x", "@y:", "@z:a b", NEAR]}
    assert set(rig.sent_to(state(ANN))) == {"near.example"}


def test_with_federation_add_synapse_sends_to_the_servers_of_room_mates(start: StartRig) -> None:
    rig = start(
        allow_room_mates(),
        allow(ANN, {"match": "@*:far.example"}),
        allow(ANN, NEAR),
        federation="add",
    )
    rig.rooms.members = {"!a": [ANN, NEAR, "@x:third.example"]}
    assert set(rig.sent_to(state(ANN))) == {"far.example"}


def test_a_process_that_sends_nothing_names_no_servers(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"), sends=False)
    rig.rooms.members = {"!a": [ANN, BOB, FAR]}
    rig.ask(BOB)
    assert set(rig.keys(state(ANN))) == {BOB}


def test_many_servers_are_decided_about(start: StartRig) -> None:
    rig = start(allow_room_mates(), deny("everyone", {"match": "@*:server-77.example"}))
    far = [f"@u:server-{number}.example" for number in range(300)]
    rig.rooms.members = {"!a": [ANN, *far]}
    sent = rig.sent_to(state(ANN))
    assert len(sent) == 299
    assert "server-77.example" not in sent


# Pings, and snapshots that a federation sender reads again.


def send_rows(rig: Rig, **servers: set[str]) -> dict[str, set[Any]]:
    rig.sent = []
    rows = {f"{server}.example": users for server, users in servers.items()}
    in_reactor(lambda: rig.routing.sends.send_rows(rows))
    sent: dict[str, set[Any]] = {}
    for server, one in rig.sent:
        sent.setdefault(server, set()).add(one)
    return sent


def test_queued_presence_is_decided_about_again(start: StartRig) -> None:
    rig = start(allow_room_mates(), deny(BOB, {"match": "@*:far.example"}), hide(ANN, FAR))
    rig.rooms.members = {"!a": [ANN, BOB, FAR, NEAR]}
    rig.states = {user: state(user, "x") for user in (ANN, BOB)}
    both = {ANN, BOB}
    assert send_rows(rig, near=both, far=both, third=both) == {
        "near.example": {state(ANN, "x"), state(BOB, "x")},
        "far.example": {state(ANN)},
    }
    # Only to servers in the queue.
    assert send_rows(rig, far={BOB}) == {}


def test_neither_bells_nor_users_of_other_servers_are_sent(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    bell = "@!presence-router-1:test"
    rig.states = {user: state(user) for user in (ANN, NEAR, bell)}
    assert send_rows(rig, far={bell}) == {}
    assert send_rows(rig, far={ANN, NEAR}) == {"far.example": {state(ANN)}}


def test_queued_presence_is_not_sent_while_the_daemon_is_away(start: StartRig) -> None:
    rig = start(allow_room_mates())
    rig.rooms.members = {"!a": [ANN, FAR]}
    rig.states = {ANN: state(ANN)}
    assert send_rows(rig, far={ANN}) == {"far.example": {state(ANN)}}
    rig.daemon.kill()
    until(rig.router.is_away, "the daemon is away")
    assert send_rows(rig, far={ANN}) == {}


def test_queued_presence_goes_to_room_mates_while_the_daemon_is_away_if_wanted(
    start: StartRig,
) -> None:
    rig = start(when_away="rooms")
    rig.rooms.members = {"!a": [ANN, FAR, "@!presence-router-1:test"]}
    rig.states = {ANN: state(ANN)}
    assert send_rows(rig, far={ANN}) == {}
    rig.daemon.kill()
    until(rig.router.is_away, "the daemon is away")
    rows = {ANN, FAR, "@!presence-router-1:test"}
    assert send_rows(rig, far=rows, near=rows) == {"far.example": {state(ANN)}}
