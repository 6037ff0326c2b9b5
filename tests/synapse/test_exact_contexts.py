"""Questions that wait for each other in the mode `exact` keep their own log contexts."""

from types import SimpleNamespace
from typing import Any

import pytest
from fake_api import context, in_reactor
from presence_router.exact.arrivals import Arrivals
from presence_router.exact.changes import ChangeLog
from presence_router.exact.places import Places
from presence_router.exact.rings import Position, Ring
from presence_router.exact.room_changes import RoomLog
from synapse.logging.context import LoggingContext, current_context
from synapse.module_api import make_deferred_yieldable, run_in_background
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

# Also beside the oldest Synapse: what the module calls is no public interface.
pytestmark = pytest.mark.smoke


class Store:
    """A store that takes a while to read the changes of rooms."""

    position = 1

    def get_room_max_stream_ordering(self) -> int:
        return self.position

    async def get_partial_current_state_deltas(self, _start: int, end: int) -> Any:
        await make_deferred_yieldable(deferLater(reactor, 0.01))  # type: ignore[arg-type]
        return end, []


def room_log() -> tuple[Store, RoomLog]:
    store = Store()
    hs = SimpleNamespace(get_datastores=lambda: SimpleNamespace(main=store))
    return store, RoomLog(hs)


def test_questions_that_read_the_log_of_rooms_after_each_other() -> None:
    store, log = room_log()
    store.position = 2
    contexts = [context(f"question {number}") for number in range(3)]
    after: list[LoggingContext | Any] = []

    async def read() -> None:
        await log.read_until(2)
        after.append(current_context())

    async def read_in(one: LoggingContext) -> None:
        with one:
            await read()

    async def read_all() -> None:
        waiting = [run_in_background(read_in, one) for one in contexts]
        await make_deferred_yieldable(gatherResults(waiting))

    in_reactor(read_all)
    assert sorted(map(str, after)) == sorted(map(str, contexts))


def test_questions_that_wait_for_a_place() -> None:
    places, running = Places(2), 0
    contexts = [context(f"question {number}") for number in range(6)]
    after: list[LoggingContext | Any] = []

    async def work_in(one: LoggingContext) -> None:
        nonlocal running
        with one:
            async with places.take():
                running += 1
                assert running <= 2
                after.append(current_context())
                await make_deferred_yieldable(deferLater(reactor, 0.01))  # type: ignore[arg-type]
                running -= 1
            after.append(current_context())

    async def work() -> None:
        waiting = [run_in_background(work_in, one) for one in contexts]
        await make_deferred_yieldable(gatherResults(waiting, consumeErrors=True))

    in_reactor(work)
    assert sorted(map(str, after)) == sorted(2 * [str(one) for one in contexts])


def test_a_change_for_which_a_question_waits_keeps_its_own_context() -> None:
    _, log = room_log()
    changes, own, waiting = ChangeLog(), context("change"), context("waiting")
    changes.begin("1:1")
    arrivals = Arrivals(reactor, SimpleNamespace(), changes, log, 5.0, reactor.seconds)  # type: ignore
    arrivals.is_connected = True
    ring = Ring(1, Position("1:1", 1), Position("1:2", 1))
    after: list[LoggingContext | Any] = []

    async def wait() -> None:
        with waiting:
            assert await arrivals.wait_for(ring)
            after.append(current_context())

    async def change() -> None:
        done = run_in_background(wait)
        with own:
            changes.note_everything("1:2")
            after.append(current_context())
        await make_deferred_yieldable(done)

    in_reactor(change)
    assert after == [waiting, own]
