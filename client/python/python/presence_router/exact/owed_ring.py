"""Remembers that devices may have missed something for lack of an answer, and that the bell for
everything must therefore ring."""

from collections.abc import Callable
from typing import Any

# Seconds after which a ring is asked for, if no change and no return of the daemon does that
# before.
_PAUSE = 10.0

# The same, if it was asked for each time and is owed again: each ring lets every device ask.
_LONGEST_PAUSE = 320.0


class OwedRing:
    """A ring that one process owes."""

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], float],
        can_ring: Callable[[], bool],
        ring: Callable[[], None],
    ) -> None:
        """`ring` asks for a ring. `can_ring`: true if it is of use now."""
        self._reactor = reactor
        self._clock = clock
        self._can_ring = can_ring
        self._ring = ring
        self._is_owed = False
        self._paid_at: float | None = None
        self._pause = _PAUSE
        self._timer: Any = None

    def owe(self) -> None:
        """Notes that devices may have missed anything."""
        self._is_owed = True
        if self._timer is None:
            if self._paid_at is not None and self._clock() - self._paid_at > 2 * self._pause:
                self._pause = _PAUSE
            self._timer = self._reactor.callLater(self._pause, self._pay_in_time)

    def pay(self, pause: float = _PAUSE) -> None:
        """Asks for a ring, if one is owed and so many seconds have passed since the last one."""
        now = self._clock()
        if self._is_owed and (self._paid_at is None or now - self._paid_at >= pause):
            self._paid_at = now
            self._is_owed = False
            self._ring()

    def _pay_in_time(self) -> None:
        self._timer = None
        if not self._is_owed:
            return
        if self._can_ring():
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self.pay()
        if self._is_owed:
            self.owe()
