"""Servers that lose sight of a user get one "offline", servers that gain it the present state, and
no other server anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_api import in_reactor, state
from policies import allow, allow_room_mates, deny, hide
from presence_router.completions import await_call
from presence_router.exact.changes import Missed
from presence_router.exact.room_changes import RoomChange
from routing_rig import Rig
from synapse.module_api import UserPresenceState

ANN, BOB = "@ann:test", "@bob:test"
FAR, NEAR = "@far:far.example", "@near:near.example"
GONE = {UserPresenceState.default(ANN)}
NOTHING = Missed(1, True, ())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Ann shares a room with users of two servers, which see her."""
    rig = Rig(tmp_path)
    rig.start([allow_room_mates()])
    rig.rooms.members = {"!a": [ANN, FAR, NEAR]}
    rig.states[ANN] = state(ANN, "hi")
    assert set(rig.sent_to(state(ANN, "hi"))) == {"far.example", "near.example"}
    yield rig
    rig.stop()


def apply(rig: Rig, *rules: Any) -> None:
    """Another policy, of which the process has heard."""
    rig.daemon.apply(list(rules))
    # Asked about nobody whom it has asked about, the daemon tells what changed before.
    in_reactor(
        lambda: await_call(
            "ask", lambda done: rig.router.find_recipients_of([f"@{len(rules)}x:test"], done)
        )
    )


def ring(
    rig: Rig,
    number: int,
    missed: Missed | None = None,
    rooms: list[RoomChange] | None = None,
) -> dict[str, set[UserPresenceState]]:
    views = rig.routing.server_views
    assert views is not None
    keys = in_reactor(lambda: views.keys_of(number, missed, [] if rooms is None else rooms))
    return {key.removeprefix("@presence-router:"): states for key, states in keys.items()}


def test_a_server_loses_and_gains_sight_once(rig: Rig) -> None:
    far = {"match": "@*:far.example"}
    apply(rig, allow_room_mates(), deny(ANN, far))
    assert ring(rig, 1) == {"far.example": GONE}
    assert ring(rig, 1) == {"far.example": GONE}, "Synapse asks twice for one ring"
    assert ring(rig, 2) == {}
    apply(rig, allow_room_mates())
    assert ring(rig, 3) == {"far.example": {state(ANN, "hi")}}
    assert ring(rig, 4) == {}


def test_a_hide_that_changes_is_sent_again(rig: Rig) -> None:
    apply(rig, allow_room_mates(), hide(ANN, FAR))
    assert ring(rig, 1)["far.example"] == {state(ANN)}
    assert ring(rig, 2) == {}


def test_a_sender_who_is_offline_or_unknown_is_not_sent(rig: Rig) -> None:
    rig.states[ANN] = state(ANN, None, "offline")
    rig.sent_to(rig.states[ANN])
    apply(rig, allow_room_mates(), deny(ANN, FAR))
    assert ring(rig, 1) == {}


def test_without_an_answer_nothing_is_sent(rig: Rig) -> None:
    rig.daemon.kill()
    assert ring(rig, 1) == {}


def test_a_server_that_leaves_the_room_loses_sight(rig: Rig) -> None:
    rig.rooms.members = rig.store.rooms = {"!a": [ANN, NEAR]}
    assert ring(rig, 1, NOTHING, []) == {}
    assert ring(rig, 2, NOTHING, [RoomChange(1, "!a", FAR)]) == {"far.example": GONE}
    rig.rooms.members = {"!a": [NEAR], "!b": [ANN, FAR]}
    changes = [RoomChange(2, "!a", ANN), RoomChange(3, "!b", ANN)]
    assert ring(rig, 3, NOTHING, changes) == {
        "near.example": GONE,
        "far.example": {state(ANN, "hi")},
    }


def test_only_so_many_senders_are_remembered(rig: Rig) -> None:
    views = rig.routing.server_views
    assert views is not None
    views._max_senders = 2
    rig.rooms.members = {"!a": [ANN, BOB, "@eve:test", FAR]}
    rig.sent_to(state(ANN), state(BOB), state("@eve:test"))
    apply(rig, allow(ANN, BOB))
    assert ring(rig, 1) == {
        "far.example": {UserPresenceState.default(one) for one in (BOB, "@eve:test")}
    }
