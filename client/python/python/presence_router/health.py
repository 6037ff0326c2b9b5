"""Reports the daemon's health: changes in the log, the current state by a gauge."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from . import metrics

logger = logging.getLogger("presence_router")

_AWAY = frozenset({"unreachable", "deadline"})
_ANSWERED = frozenset({"ok", "malformed"})

# Minimum seconds between two log lines of one kind ...
_INTERVAL = 600.0
# ... except that an outage of this many seconds is always logged.
_LASTING = 10.0

_TROUBLES = {
    "refused": "refused a request",
    "unusable": "sent an unusable answer",
    "failed": "got no request, because of a bug in this module",
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
    """The health of the daemon, derived from the outcomes of calls.

    The daemon is away from the first call without an answer until the next call with an
    answer; each is logged once. If the daemon comes and goes all the time, the log reports
    it away at most once per interval. The same limit holds for each other trouble, during
    which the daemon does answer.
    """

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        self._address = address
        self._clock = clock
        self._absence: _Absence | None = None
        self._away_logged_at: float | None = None
        self._troubles: dict[str, _Trouble] = {}
        metrics.REACHABLE.set(1)

    def report(self, outcome: str, detail: str) -> None:
        """Records the outcome of a call."""
        if outcome != "failed":
            metrics.REACHABLE.set(outcome not in _AWAY)
        if outcome in _ANSWERED:
            self._record_answer()
        elif outcome in _AWAY:
            self._record_no_answer(detail)
        else:
            self._record_trouble(outcome, detail)

    def _record_answer(self) -> None:
        absence, self._absence = self._absence, None
        if absence is not None and absence.logged:
            logger.warning(
                "presence-router at %s is back after %.0f s; %d calls had no answer",
                self._address,
                self._clock() - absence.since,
                absence.unanswered,
            )

    def _record_no_answer(self, detail: str) -> None:
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
            "presence-router at %s does not answer: %s; "
            "additional presence is off until it is back",
            self._address,
            detail,
        )

    def _record_trouble(self, outcome: str, detail: str) -> None:
        now = self._clock()
        trouble = self._troubles.get(outcome)
        if trouble is not None and now - trouble.logged_at < _INTERVAL:
            trouble.suppressed += 1
            return
        suppressed = 0 if trouble is None else trouble.suppressed
        self._troubles[outcome] = _Trouble(now)
        logger.warning(
            "presence-router at %s %s: %s; the users concerned got no additional presence. "
            "Logged at most every %.0f minutes; %d more since the last line",
            self._address,
            _TROUBLES.get(outcome, outcome),
            detail,
            _INTERVAL / 60,
            suppressed,
        )
