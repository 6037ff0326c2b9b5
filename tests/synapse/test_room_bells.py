"""Devices hear that rooms changed, if these decide who sees whom."""

import pytest
from belfry import Belfry, Device, Process
from presence_router.exact import room_changes
from presence_router.exact.room_changes import RoomChange, _range_before
from presence_router.exact.room_history import find_room_mates

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
GONE = {ANN: ("offline", None)}
LIMIT = 3


def start(**rooms: list[str]) -> tuple[Belfry, Process]:
    """A worker after the start bell; users see those with whom they share a small room."""
    named = {f"!{name}": members for name, members in rooms.items()}
    belfry = Belfry(named or {"!a": [ANN, BOB]}, LIMIT)
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


def test_who_joins_is_seen_and_who_leaves_is_taken_back() -> None:
    belfry, worker = start()
    phone, of_ann, of_eve = (device(worker, user) for user in (BOB, ANN, EVE))
    belfry.move("!a", EVE, joins=True)
    belfry.pass_time()
    assert worker.woken[-1] == {ANN, BOB, EVE}
    assert phone.sync() == {EVE: ("online", "hi")}
    assert of_eve.sync()[ANN] == ("online", "hello"), "and sees those who are there"
    belfry.move("!a", ANN, joins=False)
    belfry.pass_time()
    assert phone.sync() == GONE
    assert of_ann.sync()[EVE] == ("offline", None)
    assert phone.sync() == of_ann.sync() == {}


def test_both_of_a_pair_leave_the_room_while_a_device_sleeps() -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.move("!a", ANN, joins=False)
    belfry.pass_time()
    belfry.move("!a", BOB, joins=False)
    belfry.pass_time()
    assert phone.sync() == GONE
    assert phone.sync() == {}


def test_who_joins_after_a_user_left_is_not_named_to_that_user() -> None:
    belfry, worker = start(a=[ANN, BOB, "@one:test"])
    phone, of_ann = device(worker), device(worker, ANN)
    belfry.move("!a", BOB, joins=False)
    belfry.pass_time()
    belfry.move("!a", EVE, joins=True)
    belfry.move("!a", "@one:test", joins=False)
    belfry.pass_time()
    # He saw ann and @one, and never eve.
    assert phone.sync() == GONE | {"@one:test": ("offline", None)}
    assert BOB in of_ann.sync()


def test_a_ring_for_everything_also_takes_back_those_of_rooms_that_were_left() -> None:
    belfry, worker = start(a=[ANN, BOB], b=[BOB, EVE])
    phone = device(worker)
    belfry.move("!a", BOB, joins=False)
    belfry.pass_time()
    for process in belfry.processes:
        process.hear("reset")
    belfry.pass_time(10)
    assert phone.sync() == GONE | {EVE: ("online", "hi")}


def test_a_leave_counts_although_the_present_answer_needs_no_rooms() -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.move("!a", BOB, joins=False)
    belfry.pass_time()
    belfry.apply([])
    assert phone.sync() == GONE


def test_who_left_before_a_user_joined_is_not_named_to_that_user() -> None:
    belfry, worker = start(a=[ANN, EVE])
    phone = device(worker)
    belfry.move("!a", EVE, joins=False)
    belfry.move("!a", BOB, joins=True)
    belfry.pass_time()
    assert phone.sync() == {ANN: ("online", "hello")}


CHANGES = {
    "joined": RoomChange(1, "!a", EVE, True),
    "left": RoomChange(2, "!a", EVE, False),
    "came": RoomChange(3, "!a", BOB, True),
    "went": RoomChange(4, "!a", BOB, False),
    "changed": RoomChange(5, "!a", None),
    "crowd": RoomChange(6, "!a", None, crowd=frozenset({EVE, BOB})),
    "others": RoomChange(6, "!a", None, crowd=frozenset({EVE})),
    "with bob": RoomChange(6, "!a", None, crowd=frozenset({BOB})),
}


@pytest.mark.parametrize(
    "names, members, expected",
    [
        (["joined"], [BOB, ANN, EVE], {EVE}),
        (["left"], [BOB, ANN], {EVE}),
        (["came"], [BOB, ANN], {ANN}),
        (["went"], [ANN], {ANN}),
        (["joined", "came", "left"], [BOB, ANN], {ANN, EVE}),
        (["joined", "left", "came"], [BOB, ANN], {ANN}),
        (["came", "joined", "went", "left"], [ANN], {ANN, EVE}),
        (["came", "went", "joined"], [ANN, EVE], {ANN}),
        (["changed"], [BOB, ANN], {ANN}),
        (["went", "changed"], [ANN], {ANN}),
        (["crowd"], [BOB, ANN, EVE], {ANN, EVE}),
        (["went", "crowd"], [BOB, ANN, EVE], {ANN, EVE}),
        (["left", "crowd"], [BOB, ANN, EVE], {ANN, EVE}),
        (["went", "others"], [ANN, EVE], {ANN}),
        (["left", "with bob"], [BOB, ANN], {ANN}),
    ],
)
def test_the_room_mates_of_a_time(names: list[str], members: list[str], expected: set[str]) -> None:
    changes = [CHANGES[name] for name in names]
    assert find_room_mates(BOB, changes, members) == expected


def test_a_room_that_grows_beyond_the_limit_is_one_entry() -> None:
    belfry, worker = start(a=[ANN, BOB, "@one:test"])
    phone = device(worker)
    belfry.move("!a", "@two:test", joins=True)
    belfry.pass_time()
    log = worker.bells._room_log
    assert phone.sync()[ANN] == ("offline", None)
    assert [(one.room_id, one.user_id) for one in log._changes] == [
        ("!a", "@two:test"),
        ("!a", None),
    ]
    for number in range(5):
        belfry.move("!a", f"@more{number}:test", joins=True)
        belfry.pass_time()
        assert ANN not in phone.sync(), "it does not matter any more"
    belfry.move("!a", "@two:test", joins=False)
    for number in range(5):
        belfry.move("!a", f"@more{number}:test", joins=False)
    belfry.pass_time()
    assert phone.sync()[ANN] == ("online", "hello")


def test_a_room_that_is_passed_a_hundred_times_costs_a_ring_a_second() -> None:
    belfry, worker = start(a=[ANN, BOB, "@one:test"])
    phone = device(worker)
    before = len(belfry.rings)
    for number in range(200):
        belfry.move("!a", "@two:test", joins=number % 2 == 0)
        belfry.clock.advance(0.01)
    belfry.pass_time(4)
    assert len(belfry.rings) - before <= 4
    assert phone.sync()[ANN] == ("online", "hello")


def test_rooms_of_others_and_rooms_that_do_not_matter_wake_nobody() -> None:
    belfry, worker = start()
    device(worker)
    belfry.move("!b", EVE, joins=True)
    belfry.pass_time()
    assert worker.woken[-1] == set()
    belfry.apply([(BOB, ANN)])
    before = len(belfry.rings)
    belfry.move("!a", EVE, joins=True)
    belfry.pass_time()
    assert len(belfry.rings) == before, "no answer depends on rooms"


def test_many_joins_at_once_are_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_changes, "_MANY_JOINS", 1)
    belfry, worker = start()
    phone, of_eve = device(worker), device(worker, EVE)
    belfry.move("!a", "@one:test", joins=True)
    belfry.move("!a", "@one:test", joins=False)
    belfry.move("!a", EVE, joins=True)
    belfry.pass_time()
    assert phone.sync()[EVE] == ("online", "hi")
    assert of_eve.sync()[ANN] == ("online", "hello")
    log = worker.bells._room_log
    assert [(one.room_id, one.user_id) for one in log._changes] == [
        ("!a", "@one:test"),
        ("!a", None),
    ]


def test_a_crowd_that_joins_after_a_user_left_is_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_changes, "_MANY_JOINS", 1)
    belfry, worker = start()
    phone = device(worker)
    belfry.move("!a", BOB, joins=False)
    belfry.move("!a", EVE, joins=True)
    belfry.move("!a", "@one:test", joins=True)
    belfry.pass_time()
    assert phone.sync() == GONE


def test_a_new_display_name_is_no_change_of_a_room() -> None:
    belfry, worker = start()
    before = len(belfry.rings)
    belfry.move("!a", ANN, joins=True, joined=True)
    belfry.pass_time()
    assert len(belfry.rings) == before


def test_a_worker_waits_until_synapse_has_the_rooms_of_a_bell() -> None:
    belfry, worker = start()
    phone = device(worker)
    worker.lags_behind_rooms = True
    belfry.move("!a", ANN, joins=False)
    belfry.wait_for_ring()

    def catch_up() -> None:
        worker.lags_behind_rooms = False

    belfry.clock.callLater(0.1, catch_up)
    assert phone.sync(wait=0.2) == GONE
    assert phone.sync() == {}


def test_a_log_of_rooms_that_is_full_means_everything() -> None:
    belfry, worker = start()
    worker.bells._room_log._max_entries = 4
    phone = device(worker)
    for number in range(10):
        belfry.move("!b", f"@user{number}:test", joins=True)
        belfry.pass_time()
        worker.wait(worker.bells.wait_for_rings([]))
    assert phone.sync() == {ANN: ("online", "hello")}


@pytest.mark.parametrize(
    "number, joined, expected",
    [
        (4, [True], (3, 4)),
        (4, [False], (4, 5)),
        (4, [True, True, False], (2, 4)),
        (4, [False, True], (4, 5)),
        (4, [None], (3, 5)),
    ],
)
def test_the_numbers_of_members_before_changes(
    number: int, joined: list[bool | None], expected: tuple[int, int]
) -> None:
    assert _range_before(number, joined) == expected
