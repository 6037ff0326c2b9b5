"""Processes hear of bells and of the daemon's changes in either order, or not at all for a while;
no device misses anything because of it."""

from belfry import Policy
from test_bells import ANN, BOB, EVE, GONE, SEES, device, start


def test_a_restarted_worker_does_not_wait_for_rings_from_before() -> None:
    belfry, _, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    phone.process = belfry.process()
    # It never hears of the revision of the last ring: its first one is later.
    assert phone.sync(wait=0) == {ANN: ("offline", None), EVE: ("online", "hi")}


def test_a_worker_waits_for_the_revision_of_a_bell() -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    writer.hear()
    belfry.wait_for_ring()
    belfry.clock.callLater(0.1, worker.hear)
    assert phone.sync(wait=0.15) == GONE
    assert phone.sync() == {}
    assert worker.requests == []


def test_no_answer_is_older_than_the_last_ring() -> None:
    belfry, writer, worker = start()
    phone = device(writer)
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    writer.hear()
    belfry.wait_for_ring()
    assert phone.sync() == GONE
    # The same device comes to a worker that has not heard of the change, with a new token.
    belfry.set_state(ANN, "online", "a secret")
    phone.process = worker
    belfry.clock.callLater(0.1, worker.hear)
    assert phone.sync(wait=0.15) == {}


def test_a_worker_that_hears_too_late_makes_up_for_it() -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    belfry.store_policy(Policy("r9", [(BOB, EVE)]))
    writer.hear()
    belfry.wait_for_ring()
    phone.sync(wait=1)
    assert phone.sync(wait=0) == {}, "nobody waits twice"
    worker.hear()
    belfry.pass_time(10)
    assert len(worker.requests) == 1
    assert phone.sync()[ANN] == ("offline", None)
    assert phone.sync() == {}


def test_a_hide_is_not_missed_if_an_answer_is_ahead_of_the_log() -> None:
    belfry, writer, worker = start()
    phone, laptop = device(worker), device(worker)
    now = Policy("r9", SEES, hides=[(BOB, ANN)])
    belfry.store_policy(now)
    # The native half gives the new answer a moment before it tells of the revision.
    worker.policy = now
    assert laptop.sync() == {}
    worker.hear()
    writer.hear()
    belfry.pass_time()
    assert phone.sync()[ANN] == ("online", None)


def test_a_change_that_only_a_worker_does_not_know_means_everything() -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    belfry.store_policy(Policy("r9", SEES))
    writer.hear()
    worker.hear("reset")
    belfry.pass_time()
    assert phone.sync() == {ANN: ("online", "hello"), EVE: ("online", "hi")}


def test_while_the_daemon_is_away_nothing_is_told_and_then_everything() -> None:
    belfry, writer, worker = start()
    phone = device(worker)
    before = list(belfry.rings)
    writer.lose_daemon()
    worker.lose_daemon()
    belfry.set_state(ANN, "unavailable", "missed")
    assert phone.sync() == {}
    belfry.pass_time()
    assert belfry.rings == before
    # Not even "offline", although a bell says that something changed.
    phone.token = 0
    assert phone.ask() == {}
    for process in (writer, worker):
        process.hear("connected")
    belfry.pass_time(10)
    # The worker asked for it: the writer itself had no answer to give.
    assert belfry.rings[len(before) :] == [writer.bells.names.for_all]
    assert phone.sync() == {ANN: ("unavailable", "missed"), EVE: ("online", "hi")}
    assert phone.sync() == {}


def test_a_short_outage_without_questions_rings_nothing() -> None:
    belfry, writer, _ = start()
    before = list(belfry.rings)
    writer.lose_daemon()
    writer.hear("connected")
    belfry.pass_time()
    assert belfry.rings == before
