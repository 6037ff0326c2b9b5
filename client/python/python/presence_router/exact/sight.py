"""Decides what one user sees: the daemon's answer, evaluated over the rooms that users share.

Without an answer nobody is seen, unless the configuration says `when_away: rooms` and the daemon
is away.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from synapse.module_api import UserPresenceState, make_deferred_yieldable
from twisted.internet.task import deferLater

from ..redact import redact
from .rooms import Rooms
from .shared_rooms import are_known, cut_by_work
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Known, Router, SharedRooms, Verdicts, Visibility

    # A question about a part of some users, with the rooms that these share.
    Evaluate = Callable[[slice, SharedRooms, Known], Verdicts]

logger = logging.getLogger("presence_router")

# States in one turn of the reactor, which take a few milliseconds.
_SLICE = 2_000

AskVisible = Callable[[str], Awaitable["Visibility | None"]]


@dataclass(frozen=True)
class View:
    """What a recipient sees of some states."""

    shown: list[UserPresenceState]
    has_answer: bool
    """False: the daemon gave no answer about the recipient. Those who are not shown may be
    visible nevertheless."""


class Sight:
    """What the users of this process see."""

    def __init__(
        self,
        reactor: Any,
        router: "Router",
        ask: AskVisible,
        rooms: Rooms,
        rooms_when_away: bool,
        bells: frozenset[str],
    ) -> None:
        """`bells`: users whom nobody sees."""
        self._reactor = reactor
        self._router = router
        self._ask = ask
        self._rooms = rooms
        self._rooms_when_away = rooms_when_away
        self._bells = bells
        self.on_unanswered: Callable[[], None] = _do_nothing
        """Called when a question has no answer, so that somebody may miss something."""

    async def answer_about(self, recipient: str) -> "Visibility | None":
        """Returns the daemon's answer about a recipient, from memory if possible. None: there is
        none."""
        try:
            answer = self._router.visible_senders(recipient)
        except Exception:
            logger.debug("The look-up of senders failed", exc_info=True)
            answer = None
        if answer is None and (answer := await self._ask(recipient)) is None:
            self.on_unanswered()
        return answer

    async def shown(
        self, recipient: str, states: Sequence[UserPresenceState]
    ) -> list[UserPresenceState]:
        """Returns those of some states that a recipient sees, without what is hidden; one for
        each sender, the last one. The recipient's own state is left out, and so are bells."""
        return (await self.look_at(recipient, states)).shown

    async def look_at(self, recipient: str, states: Sequence[UserPresenceState]) -> View:
        """Returns what `shown` returns, and whether the daemon's answer decided it."""
        by_sender = {
            state.user_id: state
            for state in states
            if state.user_id != recipient and state.user_id not in self._bells
        }
        if not by_sender:
            return View([], True)
        answer = await self.answer_about(recipient)
        left = list(by_sender.values())
        shown: list[UserPresenceState] = []
        for start in range(0, len(left), _SLICE):
            if start:
                await make_deferred_yieldable(deferLater(self._reactor, 0))
            some = left[start : start + _SLICE]
            if answer is not None:
                shown.extend(await self._filter(answer, some))
            elif self._rooms_when_away and self._router.is_away():
                shared = await self._rooms.shared(recipient, [state.user_id for state in some])
                with_rooms = zip(some, shared, strict=True)
                shown.extend(state for state, rooms in with_rooms if are_known(rooms))
        return View(shown, answer is not None)

    async def _filter(
        self, answer: "Visibility", states: list[UserPresenceState]
    ) -> list[UserPresenceState]:
        visible = await self._evaluate(
            answer,
            [state.user_id for state in states],
            lambda part, shared, known: answer.shown_states(states[part], shared, known),
        )
        return [
            redact(states[position], hidden) if hidden else states[position]
            for position, hidden in visible
        ]

    async def senders_in_full(self, recipient: str) -> set[str]:
        """Returns the senders whom a recipient sees, without those that have hidden fields."""
        answer = await self.answer_about(recipient)
        if answer is None:
            return set()
        senders = sorted(await self.candidates(recipient))
        visible = await self._evaluate(
            answer,
            senders,
            lambda part, shared, known: answer.recipients(None, senders[part], shared, known),
        )
        return {senders[position] for position, hidden in visible if not hidden}

    async def _evaluate(
        self, answer: "Visibility", users: Sequence[str], evaluate: "Evaluate"
    ) -> list[tuple[int, int]]:
        """Evaluates an answer about some users, a part of them at a time. Returns the positions of
        the visible ones with what is hidden."""
        shared = None
        if answer.depends_on_rooms:
            shared = await self._rooms.shared(answer.user_id, users)
        visible: list[tuple[int, int]] = []
        turn = Turn(self._reactor)
        for part in cut_by_work(shared, len(users)):
            some = None if shared is None else shared[part]
            found = await self._rooms.decide(partial(evaluate, part, some))
            visible.extend((part.start + position, hidden) for position, hidden in found)
            await turn.end_if_long()
        return visible

    async def candidates(self, recipient: str) -> set[str]:
        """Returns users that hold every sender whom a recipient sees: the room-mates, and known
        senders that the policy shows without a shared room."""
        candidates = await self._rooms.room_mates(recipient)
        answer = await self.answer_about(recipient)
        if answer is not None:
            candidates.update(await self._rooms.senders_without_rooms(answer))
        return candidates - self._bells


def _do_nothing() -> None:
    pass
