"""Devices hear that the policy shows them other users than before: each of them exactly once."""

import pytest
from belfry import Belfry, Device, Policy, Process
from fake_api import state
from presence_router.bell_names import BELLS, bell_for_all_name, bell_name, bells_of, request_name
from presence_router.exact import catch_up
from presence_router.exact.changes import ChangeLog
from presence_router.exact.rings import Position, Ring, parse_ring
from presence_router.exact.router import merge_keys
from synapse.module_api import UserPresenceState

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
SEES = [(BOB, ANN), (BOB, EVE)]
GONE = {ANN: ("offline", None)}


def start(**rooms: list[str]) -> tuple[Belfry, Process, Process]:
    """A writer and a worker, after the start bell; bob sees ann and eve."""
    belfry = Belfry(rooms or {"!a": [ANN, BOB], "!b": [EVE, BOB]})
    writer, worker = belfry.process(writes=True), belfry.process()
    belfry.set_state(ANN, "online", "hello")
    belfry.set_state(EVE, "online", "hi")
    belfry.apply(SEES)
    return belfry, writer, worker


def device(process: Process, user_id: str = BOB) -> Device:
    """A device that knows everything."""
    one = Device(user_id, process)
    one.sync()
    return one


def test_two_devices_lose_sight_each_exactly_once() -> None:
    belfry, writer, worker = start()
    phone, laptop = device(worker), device(writer)
    belfry.apply([(BOB, EVE)])
    assert phone.sync() == GONE
    assert phone.sync() == {}
    belfry.set_state(ANN, "online", "a secret")
    assert phone.sync() == {}, "later changes stay silent"
    assert laptop.sync() == GONE
    assert laptop.sync() == {}


def test_a_device_gains_sight_once() -> None:
    belfry, _, worker = start()
    belfry.apply([(BOB, EVE)])
    phone = device(worker)
    belfry.apply(SEES)
    assert phone.sync() == {ANN: ("online", "hello")}
    assert phone.sync() == {}


def test_a_state_of_the_batch_comes_once() -> None:
    belfry, _, worker = start()
    belfry.apply([(BOB, EVE)])
    phone = device(worker)
    belfry.apply(SEES)
    belfry.set_state(ANN, "unavailable", "lunch")
    assert phone.sync() == {ANN: ("unavailable", "lunch")}


def test_a_sleeping_device_hears_of_all_it_missed() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    belfry.apply([])
    belfry.apply([(BOB, ANN)])
    assert phone.sync() == {ANN: ("online", "hello"), EVE: ("offline", None)}
    assert phone.sync() == {}


def test_a_token_that_is_used_twice_gets_the_same() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    assert phone.ask() == phone.ask() == phone.sync() == GONE
    assert phone.sync() == {}


def test_a_token_older_than_the_ring_gets_the_whole_log() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    for _ in range(BELLS):
        # Nothing that concerns bob.
        belfry.apply([(BOB, EVE), (EVE, ANN)])
        belfry.apply([(BOB, EVE)])
    assert phone.sync() == GONE, "the log, and not everything"
    assert phone.sync() == {}


def test_a_device_of_the_ring_gets_no_more_than_it_missed() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    phone.sync()
    for _ in range(BELLS - 1):
        others = [] if (EVE, ANN) in belfry.policy.sees else [(EVE, ANN)]
        belfry.apply([(BOB, EVE), *others])
    assert phone.sync() == {}


def test_a_restart_of_the_writer_rings_for_everything() -> None:
    belfry, writer, worker = start()
    phone, sleeping = device(worker), device(worker)
    belfry.processes.remove(writer)
    # The worker lives on, and hears of it; the new writer does not know what changed.
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    worker.hear()
    belfry.process(writes=True)
    belfry.pass_time()
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}
    assert phone.sync() == {}
    belfry.apply([(BOB, EVE), (EVE, ANN)])
    assert sleeping.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}


def test_a_restarted_worker_looks_at_everything() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    belfry.processes.remove(worker)
    phone.process = belfry.process()
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}
    assert phone.sync() == {}
    belfry.apply(SEES)
    assert phone.sync() == {ANN: ("online", "hello")}, "from here on it has a log"


def test_a_full_log_means_everything() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    worker.bells._changes._max_entries = 2
    for number in range(4):
        belfry.apply([(BOB, EVE), (EVE, ANN)] if number % 2 == 0 else [(BOB, EVE)])
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}


def test_the_log_counts_bytes() -> None:
    log = ChangeLog(max_bytes=3000)
    for number in range(20):
        log.note_everything(f"r{number}")
    assert not log.has("r0") and log.has("r19")
    assert log._bytes <= 3000 and len(log._numbers) < 10


def test_a_hide_that_changes_is_shown_again() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply(SEES, hides=[(BOB, ANN)])
    assert phone.sync()[ANN] == ("online", None)
    belfry.apply(SEES)
    assert phone.sync()[ANN] == ("online", "hello")
    belfry.apply([*SEES, (EVE, ANN)])
    assert phone.sync() == {}, "bob's answer hides the same"


def test_a_device_that_comes_to_another_process_misses_nothing() -> None:
    belfry, writer, worker = start(a=[ANN])
    phone, laptop = device(writer), device(writer)
    belfry.apply([(BOB, EVE)])
    # The worker has never seen an answer about bob.
    phone.process = worker
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}
    belfry.apply([(BOB, EVE)], hides=[(BOB, EVE)])
    phone.process = laptop.process = belfry.process()
    belfry.apply([(BOB, EVE)])
    assert phone.sync()[EVE] == ("online", "hi")


def test_a_hide_is_not_missed_in_a_process_that_sees_a_user_for_the_first_time() -> None:
    belfry, writer, worker = start()
    phone = device(writer)
    belfry.apply(SEES, hides=[(BOB, ANN)])
    phone.process = worker
    assert phone.sync()[ANN] == ("online", None)


def test_a_large_answer_comes_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([])
    monkeypatch.setattr(catch_up, "_SLICE", 1)
    assert phone.sync(wait=0.2) == GONE | {EVE: ("offline", None)}


def test_pairs_that_rooms_decide_name_no_strangers() -> None:
    belfry, _, worker = start(a=[ANN])
    phone = device(worker)
    worker.bells._views.rooms_decide = True
    # The daemon does not know that bob shares no room with @new, whom he never saw.
    belfry.apply([(BOB, EVE)], maybe_lost=[(BOB, "@new:test")])
    assert phone.sync() == GONE
    # Nor does a process know it that has never seen an answer about bob.
    phone = device(worker)
    belfry.apply([(BOB, EVE)], maybe_lost=[(BOB, "@new:test")])
    phone.process = belfry.processes[0]
    phone.process.bells._views.rooms_decide = True
    assert phone.sync() == {EVE: ("online", "hi")}


def test_a_stranger_is_taken_back_after_many_changes_although_rooms_decide() -> None:
    belfry, _, worker = start(a=[ANN])
    sleeping, other = device(worker), device(worker)
    worker.bells._views.rooms_decide = True
    for sees in ([(BOB, EVE)], [], [(BOB, EVE)], []):
        belfry.apply(sees)
        other.sync()
    assert sleeping.sync() == {ANN: ("offline", None), EVE: ("offline", None)}


def test_strangers_do_not_learn_of_each_other() -> None:
    belfry, _, worker = start(a=[ANN])
    # Bob has no room, and sees ann by the policy alone.
    phone, of_eve = device(worker), device(worker, EVE)
    belfry.apply([])
    assert phone.sync() == {ANN: ("offline", None), EVE: ("offline", None)}, "he saw both"
    assert of_eve.sync() == {}


def test_an_unknown_change_rings_for_everything() -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    for process in (writer, worker):
        process.hear("reset")
    belfry.pass_time(10)
    assert belfry.rings[-1] == writer.bells.names.for_all
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}


def test_a_ring_for_everything_also_takes_back_strangers() -> None:
    belfry, writer, worker = start(a=[ANN])
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    for process in (writer, worker):
        process.hear("reset")
    belfry.pass_time(10)
    assert phone.sync() == {ANN: ("offline", None), EVE: ("online", "hi")}


def test_only_those_whom_a_ring_concerns_are_woken() -> None:
    belfry, _, worker = start()
    device(worker)
    device(worker, EVE)
    belfry.apply([(BOB, EVE)])
    assert worker.woken[-1] == {BOB}
    belfry.apply([(BOB, EVE)], hides=[(BOB, EVE)])
    assert worker.woken[-1] == {BOB}


def test_many_changes_ring_once() -> None:
    belfry, writer, worker = start()
    device(worker)
    before = len(belfry.rings)
    for number in range(10):
        belfry.store_policy(Policy(f"r1{number}", [(BOB, EVE)] if number % 2 else SEES))
        writer.hear()
        worker.hear()
        belfry.clock.advance(0.01)
    belfry.pass_time()
    assert len(belfry.rings) == before + 1


def test_only_the_writer_rings_and_bells_are_not_shown() -> None:
    belfry, _, worker = start()
    assert len(belfry.rings) == 1 and belfry.rings[0] in bells_of("test")
    belfry.apply([(BOB, one) for one in (ANN, EVE, *worker.bells.names.all)])
    phone = Device(BOB, worker)
    phone.sync()
    belfry.apply([(BOB, one) for one in (EVE, *worker.bells.names.all)])
    assert phone.sync() == GONE
    belfry.apply([(BOB, EVE)])
    assert phone.sync() == {}


def test_without_presence_nothing_rings() -> None:
    belfry = Belfry()
    belfry.has_presence = False
    belfry.process(writes=True)
    belfry.apply(SEES)
    assert belfry.rings == []


def test_a_ring_that_fails_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "writes", False)
        belfry.apply([(BOB, EVE)])
    assert phone.sync() == {}
    belfry.pass_time(10)
    assert phone.sync() == GONE


@pytest.mark.parametrize("text", [None, "", "1 2 3 r1", "a 1 2 r1 r2", "1 2 3 r1 r2 r3"])
def test_a_text_that_is_no_ring_is_none(text: str | None) -> None:
    assert parse_ring(text) is None
    ring = Ring(7, Position("e:1", 2), Position("e:9", 30))
    assert parse_ring(ring.to_text()) == ring


def test_the_keys_of_updates_and_of_bells_add_up() -> None:
    ann, eve, gone = state(ANN), state(EVE), UserPresenceState.default(EVE)
    shared = {ann, eve}
    keys = merge_keys({"one": shared, "two": shared, BOB: set()}, {"one": {gone}, "four": {ann}})
    assert keys == {"one": {ann, gone}, "two": {ann, eve}, "four": {ann}, BOB: set()}


def test_a_request_that_no_worker_made_does_not_ring() -> None:
    belfry = Belfry()
    writer = belfry.process(writes=True)
    belfry.pass_time()
    rings = len(belfry.rings)
    # As an application service could, which has registered this user.
    belfry.set_state(request_name("test"), "offline", "12.5")
    writer.wake_for(request_name("test"))
    belfry.pass_time(10)
    assert len(belfry.rings) == rings


@pytest.mark.parametrize("bell", [bell_name(3, "test"), bell_for_all_name("test")])
def test_a_ring_that_no_process_made_is_not_waited_for_and_wakes_nobody(bell: str) -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    belfry.pass_time(10)
    for ring in (Ring(999, Position("r8", 1), Position("r9", 2)), None):
        text = "a secret" if ring is None else f"{ring.to_text()} {'0' * 64}"
        belfry.set_state(bell, "offline", text)
        woken = len(worker.woken)
        worker.wake_for(bell)
        belfry.pass_time()
        assert worker.woken[woken:] == [set()]
        # At once, and without what the text says: a device that hears it looks at everything.
        assert phone.sync() == {ANN: ("online", "hello"), EVE: ("online", "hi")}
    # The next ring is heard as ever.
    belfry.apply([(BOB, EVE)])
    assert phone.sync() == GONE
