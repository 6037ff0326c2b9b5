"""One question at a time: whom a process lets wait for a ring, and for how long, and what a question
may tell whatever happens to others."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from belfry import Belfry, Device, Process
from presence_router.exact.asking import Asked
from presence_router.exact.bells import _has_token
from presence_router.exact.rings import Position, Ring
from presence_router.exact.sight import View

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
GONE = {ANN: ("offline", None)}


def start() -> tuple[Belfry, Process]:
    """A worker after the start bell; bob sees ann and eve."""
    belfry = Belfry({"!a": [ANN, BOB], "!b": [EVE, BOB]})
    belfry.process(writes=True)
    worker = belfry.process()
    belfry.set_state(ANN, "online", "hello")
    belfry.set_state(EVE, "online", "hi")
    belfry.apply([(BOB, ANN), (BOB, EVE)])
    return belfry, worker


def device(process: Process) -> Device:
    """A device of bob that knows everything."""
    one = Device(BOB, process)
    one.sync()
    return one


def test_nobody_waits_again_after_an_older_ring_has_arrived() -> None:
    belfry, worker = start()
    changes, arrivals = worker.bells._changes, worker.bells._arrivals
    known, room = changes.revision, worker.bells._room_log.position
    assert known is not None
    late, old = (
        Ring(number, Position(known, room), Position(revision, room))
        for number, revision in ((9, "r9"), (8, known))
    )
    assert worker.wait(arrivals.wait_for(late), 1) is False
    assert worker.wait(arrivals.wait_for(old)) is True
    assert worker.wait(arrivals.wait_for(late)) is False, "at once"
    assert worker.wait(arrivals.wait_for(replace(late, number=8))) is False, "also for others"
    assert worker.wait(arrivals.wait_for(late)) is False, "still at once"
    # Once it has arrived, they wait for the next one.
    changes.note_everything("r9")
    assert worker.wait(arrivals.wait_for(late)) is True
    next_one = Ring(9, late.until, Position("r10", room))
    belfry.clock.callLater(0.1, changes.note_everything, "r10")
    assert worker.wait(arrivals.wait_for(next_one), 0.15) is True


def test_nobody_waits_twice_for_rooms_that_do_not_come() -> None:
    belfry, worker = start()
    worker.lags_behind_rooms = True
    ring = Ring(9, Position("r1", 0), Position("r1", belfry.events + 1))
    assert worker.wait(worker.bells._arrivals.wait_for(ring), 1) is False
    assert worker.wait(worker.bells._arrivals.wait_for(ring)) is False, "at once"


def test_the_log_forgets_those_who_wait_no_longer() -> None:
    belfry, worker = start()
    changes = worker.bells._changes
    for number in range(9, 19):
        ring = Ring(number, Position("r8", 0), Position(f"r{number}", 0))
        assert worker.wait(worker.bells._arrivals.wait_for(ring), 1) is False
    assert not changes._waiting


def test_a_failed_question_of_another_user_withholds_nothing() -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])
    look_at = worker.sight.look_at

    async def look_while_another_question_fails(*args: Any) -> Any:
        policy, worker.policy = worker.policy, None
        assert await worker.answer_about(EVE) is None
        worker.policy = policy
        return await look_at(*args)

    worker.sight.look_at = look_while_another_question_fails
    assert phone.sync() == GONE


def test_nobody_is_taken_back_because_an_answer_goes_missing_in_the_middle() -> None:
    belfry, worker = start()
    phone = device(worker)
    belfry.apply([(BOB, EVE)])

    async def look_without_answer(*_: Any) -> View:
        return View([], False)

    worker.sight.look_at = look_without_answer
    assert phone.sync() == {}


@pytest.mark.parametrize(
    "url, expected",
    [
        ("/_matrix/client/v3/sync?timeout=0&since=s1_2", True),
        ("/_matrix/client/v3/sync?full_state=true", False),
        ("/_matrix/client/v3/sync?filter=%7B%22not_since=%22%7D", False),
        ("/_matrix/client/v3/sync?filter=since=1", False),
        ("/_matrix/client/v3/since=/sync", False),
        (None, False),
    ],
)
def test_only_the_query_tells_if_a_device_has_a_token(url: str | None, expected: bool) -> None:
    request = SimpleNamespace(request=SimpleNamespace(url=url))
    assert _has_token(Asked(request, BOB, True, 0.0, reads_all=True)) is expected
