"""Tells how the daemon is: the log tells changes, not calls; a gauge tells the rest."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from . import metrics

logger = logging.getLogger("presence_router")

_AWAY = frozenset({"unreachable", "deadline"})
_ANSWERED = frozenset({"ok", "malformed"})

# In seconds: what was said is not said again sooner ...
_INTERVAL = 600.0
# ... unless the daemon is away for so long without any answer.
_LASTING = 10.0

_TROUBLES = {
    "refused": "refused a question",
    "unusable": "gave an answer that cannot be used",
    "failed": "could not be asked, by a fault of this module",
}


@dataclass
class _Absence:
    since: float
    unanswered: int = 0
    logged: bool = False


@dataclass
class _Trouble:
    logged_at: float
    suppressed: int = 0


class DaemonHealth:
    """The health of the daemon, as the outcomes of calls show it.

    It is away from a call without an answer until one with; both are said once.
    One that comes and goes all the time is said to be away at most once per
    interval, and so is each other trouble, during which it does answer.
    """

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        self._address = address
        self._clock = clock
        self._absence: _Absence | None = None
        self._away_logged_at: float | None = None
        self._troubles: dict[str, _Trouble] = {}
        metrics.REACHABLE.set(1)

    def report(self, outcome: str, detail: str) -> None:
        """Takes note of the outcome of a call."""
        if outcome != "failed":
            metrics.REACHABLE.set(outcome not in _AWAY)
        if outcome in _ANSWERED:
            self._answered()
        elif outcome in _AWAY:
            self._unanswered(detail)
        else:
            self._troubled(outcome, detail)

    def _answered(self) -> None:
        absence, self._absence = self._absence, None
        if absence is not None and absence.logged:
            logger.warning(
                "presence-router at %s is back after %.0f s, %d calls went unanswered",
                self._address,
                self._clock() - absence.since,
                absence.unanswered,
            )

    def _unanswered(self, detail: str) -> None:
        now = self._clock()
        if self._absence is None:
            self._absence = _Absence(now)
        absence = self._absence
        absence.unanswered += 1
        lately = self._away_logged_at is not None and now - self._away_logged_at < _INTERVAL
        if absence.logged or (lately and now - absence.since < _LASTING):
            return
        absence.logged, self._away_logged_at = True, now
        logger.warning(
            "presence-router at %s does not answer: %s; extra presence is off until it is back",
            self._address,
            detail,
        )

    def _troubled(self, outcome: str, detail: str) -> None:
        now = self._clock()
        trouble = self._troubles.get(outcome)
        if trouble is not None and now - trouble.logged_at < _INTERVAL:
            trouble.suppressed += 1
            return
        suppressed = 0 if trouble is None else trouble.suppressed
        self._troubles[outcome] = _Trouble(now)
        logger.warning(
            "presence-router at %s %s: %s; whom that concerned got no extra presence by it. "
            "Said at most every %.0f minutes; %d times more since the last time",
            self._address,
            _TROUBLES.get(outcome, outcome),
            detail,
            _INTERVAL / 60,
            suppressed,
        )
