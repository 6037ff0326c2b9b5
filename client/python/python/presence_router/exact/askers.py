"""The local users who asked for presence lately in this process.

Nobody else can wait for a /sync here. A user who has not asked yet needs no waking: their first
/sync asks for everything.
"""

import time
from collections.abc import Callable, Set
from dataclasses import dataclass

# Seconds. A user who asked is remembered for one to two of these periods.
_PERIOD = 3600.0


@dataclass(frozen=True)
class AskersSeen:
    """What a reader of `Askers.since` has seen. It says nothing after the end of the period."""

    period: int
    count: int


class Askers:
    """The users who asked in this period and in the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._period = 0
        self._current: set[str] = set()
        self._all: set[str] = set()
        # The users of `_all`, in the order in which they came.
        self._log: list[str] = []

    def note(self, user_id: str) -> None:
        """Notes that a user asks."""
        self._begin_period_if_due()
        if user_id in self._current:
            return
        self._current.add(user_id)
        if user_id not in self._all:
            self._all.add(user_id)
            self._log.append(user_id)

    def all(self) -> Set[str]:
        """Returns all of them, in a set that changes with the next one."""
        self._begin_period_if_due()
        return self._all

    def since(self, seen: AskersSeen | None) -> tuple[bool, list[str], AskersSeen]:
        """Returns the users whom a reader has not seen, and what it has seen then. True: the
        reader must forget those that it saw before."""
        self._begin_period_if_due()
        now_seen = AskersSeen(self._period, len(self._log))
        if seen is None or seen.period != self._period:
            return True, list(self._log), now_seen
        return False, self._log[seen.count :], now_seen

    def _begin_period_if_due(self) -> None:
        elapsed = self._clock() - self._began
        if elapsed < _PERIOD:
            return
        kept = self._current if elapsed < 2 * _PERIOD else set()
        self._began = self._clock()
        self._period += 1
        self._current = set()
        self._all = set(kept)
        self._log = list(kept)
