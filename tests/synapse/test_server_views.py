"""Servers that lose sight of a user get one "offline", servers that gain it the present state, and
no other server anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_api import in_reactor, state
from policies import allow, allow_room_mates, deny, hide
from presence_router.completions import await_call
from presence_router.exact import server_views
from presence_router.exact.changes import Missed
from presence_router.exact.room_changes import RoomChange
from routing_rig import Rig
from synapse.module_api import UserPresenceState, make_deferred_yieldable, run_in_background
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.task import deferLater

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
    is_complete: bool = True,
) -> dict[str, set[UserPresenceState]]:
    views = rig.routing.server_views
    assert views is not None
    found = in_reactor(lambda: views.keys_of(number, missed, [] if rooms is None else rooms))
    assert found.is_complete is is_complete
    return {key.removeprefix("@presence-router:"): states for key, states in found.keys.items()}


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
    assert ring(rig, 1) == {"far.example": {state(ANN)}}, "the other server sees the same"
    assert ring(rig, 2) == {}
    apply(rig, allow_room_mates())
    assert ring(rig, 3) == {"far.example": {state(ANN, "hi")}}


def test_a_sender_who_is_offline_or_unknown_is_not_sent(rig: Rig) -> None:
    rig.states[ANN] = state(ANN, None, "offline")
    rig.sent_to(rig.states[ANN])
    apply(rig, allow_room_mates(), deny(ANN, FAR))
    assert ring(rig, 1) == {}


def test_without_an_answer_nothing_is_sent(rig: Rig) -> None:
    rig.daemon.kill()
    assert ring(rig, 1, is_complete=False) == {}


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


def test_a_sender_who_fails_is_looked_at_again_and_others_are_sent(rig: Rig) -> None:
    rig.rooms.members = {"!a": [ANN, BOB, FAR]}
    rig.states[BOB] = state(BOB)
    rig.sent_to(state(ANN, "hi"), state(BOB))
    apply(rig, allow(ANN, BOB))
    rig.rooms.broken_for = {ANN}
    assert ring(rig, 1, is_complete=False) == {"far.example": {UserPresenceState.default(BOB)}}
    rig.rooms.broken_for = set()
    # Whatever the next ring tells of.
    assert ring(rig, 2, NOTHING) == {"far.example": GONE}


def test_a_failure_of_the_store_loses_no_retraction(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(rig, allow_room_mates(), deny(ANN, {"match": "@*:far.example"}))

    async def fail(_users: list[str]) -> Any:
        raise OSError("no database")

    with monkeypatch.context() as patch:
        patch.setattr(rig, "current_state_for_users", fail)
        assert ring(rig, 1, is_complete=False) == {}
    assert ring(rig, 2) == {"far.example": GONE}


def test_a_ring_that_is_cancelled_loses_no_retraction(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_views, "_AT_ONCE", 1)
    rig.rooms.members = {"!a": [ANN, BOB, FAR]}
    rig.states[BOB] = state(BOB)
    rig.sent_to(state(ANN, "hi"), state(BOB))
    apply(rig, allow(ANN, BOB))
    read, calls = rig.current_state_for_users, []

    async def cancel_the_second(users: list[str]) -> Any:
        calls.append(users)
        if len(calls) == 2:
            raise CancelledError
        return await read(users)

    with monkeypatch.context() as patch:
        patch.setattr(rig, "current_state_for_users", cancel_the_second)
        with pytest.raises(CancelledError):
            ring(rig, 1)
    assert ring(rig, 1) == {"far.example": {*GONE, UserPresenceState.default(BOB)}}


def test_synapse_may_ask_about_the_next_ring_in_between(rig: Rig) -> None:
    apply(rig, allow_room_mates(), deny(ANN, {"match": "@*:far.example"}))
    assert ring(rig, 1) == {"far.example": GONE}
    assert ring(rig, 2) == {}
    assert ring(rig, 1) == {"far.example": GONE}


def test_two_questions_about_one_ring_at_once_get_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(rig, allow_room_mates(), deny(ANN, {"match": "@*:far.example"}))
    views = rig.routing.server_views
    assert views is not None

    read = rig.current_state_for_users

    async def read_slowly(users: list[str]) -> Any:
        await make_deferred_yieldable(deferLater(reactor, 0.05))  # type: ignore[arg-type]
        return await read(users)

    monkeypatch.setattr(rig, "current_state_for_users", read_slowly)

    async def ask() -> list[Any]:
        both = [run_in_background(views.keys_of, 1, None, []) for _ in range(2)]
        return await make_deferred_yieldable(gatherResults(both))

    first, second = in_reactor(ask)
    assert first is second
    assert first.keys == {"@presence-router:far.example": GONE}


def test_a_text_of_a_sender_who_is_offline_is_taken_back(rig: Rig) -> None:
    rig.states[ANN] = state(ANN, "away until monday", "offline")
    assert set(rig.sent_to(rig.states[ANN])) == {"far.example", "near.example"}
    apply(rig, allow_room_mates(), deny(ANN, {"match": "@*:far.example"}))
    assert ring(rig, 1) == {"far.example": GONE}
