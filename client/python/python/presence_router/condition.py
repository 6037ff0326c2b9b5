"""Logs when the daemon goes away and comes back: once each, not per call."""

import logging
from collections.abc import Callable

logger = logging.getLogger("presence_router")

_AWAY = frozenset({"unreachable", "deadline"})
_ANSWERED = frozenset({"ok", "malformed"})


class Condition:
    """What the outcomes of calls say about the daemon."""

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        self._address = address
        self._clock = clock
        # What is wrong; None: nothing.
        self._trouble: str | None = None
        self._since = 0.0
        self._unanswered = 0

    def report(self, outcome: str, detail: str) -> None:
        """Takes note of the outcome of a call."""
        if outcome in _ANSWERED:
            if self._trouble is not None:
                logger.warning(
                    "presence-router at %s is back after %.0f s, %d calls went unanswered",
                    self._address,
                    self._clock() - self._since,
                    self._unanswered,
                )
            self._trouble, self._unanswered = None, 0
            return

        trouble = "away" if outcome in _AWAY else outcome
        if self._trouble is None:
            self._since = self._clock()
        self._unanswered += 1
        if trouble == self._trouble:
            return
        self._trouble = trouble
        logger.warning(
            "presence-router at %s does not answer: %s; extra presence is off until it is back",
            self._address,
            detail,
        )
