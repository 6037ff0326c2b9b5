"""What a ring lets a process do for its devices: in short turns, once for all of them where it is
the same, and not for all of them at one time."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from belfry import Belfry, Device, Process
from presence_router.exact import catch_up, changes_by_room
from presence_router.exact.changes_by_room import ChangesByRoom
from presence_router.exact.room_changes import RoomChange
from presence_router.exact.room_history import find_room_mates
from presence_router.exact.turns import Turn
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock, deferLater

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
LIMIT = 9


def start() -> tuple[Belfry, Process]:
    """A worker after the start bell; users see those with whom they share a small room."""
    belfry = Belfry({"!a": [ANN, BOB], "!b": [BOB, EVE], "!c": [EVE]}, LIMIT)
    belfry.process(writes=True)
    worker = belfry.process()
    belfry.set_state(ANN, "online", "hello")
    belfry.set_state(EVE, "online", "hi")
    belfry.apply([], at_most=LIMIT)
    return belfry, worker


def device(process: Process, user_id: str = BOB) -> Device:
    one = Device(user_id, process)
    one.sync()
    return one


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[Turn]:
    """Grows wherever a turn may end."""
    found: list[Turn] = []

    async def note(turn: Turn) -> None:
        found.append(turn)

    monkeypatch.setattr(Turn, "end_if_long", note)
    return found


def test_the_work_of_a_device_is_done_in_turns(ends: list[Turn]) -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.move("!a", ANN, joins=False)
    belfry.move("!b", EVE, joins=False)
    belfry.move("!c", ANN, joins=True)
    belfry.pass_time()
    ends.clear()
    assert phone.sync() == {ANN: ("offline", None), EVE: ("offline", None)}
    # To sort; two rooms for their members, and for those who were there; two senders who are gone.
    assert len(ends) == 1 + 2 + 2 + 2


def test_the_changes_of_a_policy_are_read_in_turns(ends: list[Turn]) -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, ANN)])
    belfry.apply([(BOB, EVE)])
    ends.clear()
    assert phone.ask() == {ANN: ("offline", None), EVE: ("online", "hi")}
    # One that was gained, and a pair of lost and gained; one sender who is gone.
    assert len(ends) == 3 + 1
    belfry.processes[0].hear("reset")
    worker.hear("reset")
    belfry.pass_time(10)
    ends.clear()
    phone.ask()
    assert len(ends) >= 3, "also if everything may have changed"


def test_those_to_wake_are_found_in_turns(ends: list[Turn]) -> None:
    belfry, worker = start()
    for user in (ANN, BOB, EVE):
        device(worker, user)
    since = worker.bells._arrivals._last
    assert since is not None
    belfry.move("!a", ANN, joins=False)
    belfry.move("!b", EVE, joins=False)
    belfry.pass_time()
    ends.clear()
    found = worker.wait(worker.bells._concerned.find(since.until))
    assert set(found) == {ANN, BOB, EVE}
    # Three askers and two rooms. The ring has sorted the changes.
    assert len(ends) == 3 + 2


def sort(shared: ChangesByRoom, changes: Sequence[RoomChange], clock: Clock) -> Any:
    found: list[Any] = []
    ensureDeferred(shared.sort(changes)).addBoth(found.append)
    for _ in range(len(changes) + 1):
        clock.advance(0)
    return found[0]


def test_devices_of_one_age_share_the_sorted_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    shared = ChangesByRoom(clock)
    changes = [RoomChange(number, f"!{number % 2}", f"@{number}:test") for number in range(6)]
    found = sort(shared, changes, clock)
    assert found.by_room == {"!0": changes[::2], "!1": changes[1::2]}
    assert sort(shared, list(changes), clock) is found
    younger = sort(shared, changes[2:], clock)
    assert younger.by_room == {"!0": changes[2::2], "!1": changes[3::2]}
    changes.append(RoomChange(7, "!9", None))
    assert "!9" in sort(shared, changes[1:], clock).by_room, "as many as before"
    for number in range(6):
        sort(shared, changes[number:], clock)
    assert len(shared._sorted) == changes_by_room._AGES
    for present in (frozenset({"!0", "!5"}), frozenset({"!0", "!5", "!6"})):
        assert set(found.rooms_for("@1:test", present)) == {"!0", "!1"}


def test_not_all_devices_look_at_everything_at_one_time() -> None:
    belfry, worker = start()
    running, most = 0, 0

    async def look_slowly(_user: str) -> set[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await deferLater(belfry.clock, 0.1)  # type: ignore[arg-type]
        running -= 1
        return {ANN}

    worker.sight.candidates = look_slowly
    answers: list[Any] = []
    for number in range(20):
        asked = worker.bells._catch_up.states_for(f"@user{number}:test", None, [])
        ensureDeferred(asked).addBoth(answers.append)
    belfry.pass_time(1)
    assert answers == [[]] * 20
    assert most == catch_up._EVERYTHING_AT_ONCE


def room_mates_one_by_one(changes: Sequence[RoomChange], members: Iterable[str]) -> set[str]:
    """Who was in the room together with bob after or before any change that matters to him."""
    present, mates = set(members), set()
    for change in reversed(changes):
        joined = change.crowd or {change.user_id or ""}
        matters = change.user_id in (BOB, None)
        if BOB in present or change.user_id == BOB:
            mates |= present if matters else joined
        if change.user_id is None or change.has_joined:
            present -= joined
        else:
            present |= joined
    return mates - {BOB, ""}


def test_the_room_mates_are_those_of_a_look_at_each_moment() -> None:
    chance = random.Random(5)
    users = [BOB, *(f"@{number}:test" for number in range(5))]
    for _ in range(300):
        members = set(chance.sample(users, 3))
        changes = []
        for position in range(12):
            user = chance.choice(users)
            if chance.random() < 0.2:
                crowd = frozenset(chance.sample(users, 2)) - members
                changes.append(RoomChange(position, "!a", None, crowd=crowd))
                members = members | crowd
            else:
                changes.append(RoomChange(position, "!a", user, user not in members))
                members = members ^ {user}
        assert find_room_mates(BOB, changes, members) == room_mates_one_by_one(changes, members)
