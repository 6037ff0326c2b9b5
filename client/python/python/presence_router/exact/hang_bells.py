"""Puts together what tells devices of one process that they see other users than before."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi

from .arrivals import Arrivals
from .bell_shapes import find_deviations_of_bells
from .bells import Bells
from .catch_up import CatchUp
from .changes import ChangeLog
from .concerned import Concerned
from .room_changes import RoomLog
from .rooms import Rooms
from .shapes import refusal
from .sight import Sight
from .views import Views

if TYPE_CHECKING:
    from .._native import Router


def hang_bells(
    reactor: Any,
    api: ModuleApi,
    router: "Router",
    sight: Sight,
    rooms: Rooms,
    askers: Callable[[], Iterable[str]],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Bells:
    """Returns the bells of one process. `askers` returns the local users who asked lately in it;
    `deadline`: of a question, in seconds. Raises RuntimeError, with a message for the operator, if
    this Synapse has not what bells need."""
    hs = api._hs
    deviations = find_deviations_of_bells(hs)
    if deviations:
        raise RuntimeError(refusal(deviations, with_federation=False))
    changes, room_log, views = ChangeLog(), RoomLog(hs), Views(router)
    catch_up = CatchUp(reactor, hs, sight, rooms, changes, room_log, views)
    concerned = Concerned(reactor, hs, changes, room_log, views, askers)
    arrivals = Arrivals(reactor, api, changes, room_log, deadline, clock)
    bells = Bells(
        reactor, api, router, sight, catch_up, concerned, changes, room_log, views, arrivals, clock
    )
    sight.on_unanswered = bells.note_unanswered
    return bells
