"""Reports the daemon's health: changes in the log, the current state by a gauge."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from . import metrics

logger = logging.getLogger("presence_router")

AWAY = frozenset({"unreachable", "deadline"})
"""Outcomes of questions that a daemon which is away does not answer."""

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


@dataclass(frozen=True)
class Consequences:
    """What users see without an answer, for the log."""

    of_question: str
    """What the users of a question without an answer do: a sentence without its subject."""

    of_trouble: str
    """What the users of an answer that cannot be used did, likewise."""

    of_refusal: str
    """What happens while the daemon refuses this homeserver."""

    of_absence: str
    """What happens without a daemon, once there are no answers in memory."""


OF_ADD = Consequences(
    "get no additional presence",
    "got no additional presence",
    "additional presence is off",
    "additional presence is off",
)
OF_EXACT = {
    "nobody": Consequences(
        "see nobody", "saw nobody", "nobody sees anybody", "nobody sees anybody"
    ),
    "rooms": Consequences(
        "see nobody",
        "saw nobody",
        "nobody sees anybody",
        "users see everybody with whom they share a room",
    ),
}
"""By the configuration's `when_away`."""


def _away_lines(consequences: Consequences) -> dict[str, str]:
    """Returns the log lines of an absence by its kind: there is a connection, on which a question
    had no answer; there is none, with or without answers in memory; and the daemon refuses it."""
    of_question, off = consequences.of_question, consequences.of_absence
    return {
        "hang": "presence-router at %s did not answer a question in time: %s; users of such "
        f"questions {of_question} until it answers; answers in memory stay",
        "memory": "presence-router at %s does not answer: %s; answers in memory stay for at most "
        f"%d s, then {off} until it is back",
        "nothing": f"presence-router at %s does not answer: %s; {off} until it is back",
        "refusal": "presence-router at %s refuses this homeserver, or is not understood: %s; "
        f"{consequences.of_refusal} until it is back",
    }


@dataclass
class _Absence:
    since: float
    why: str
    is_refusal: bool = False
    unanswered: int = 0
    logged: set[str] = field(default_factory=set)


@dataclass
class _Trouble:
    logged_at: float
    suppressed: int = 0


class DaemonHealth:
    """The health of the daemon, derived from the connection and the outcomes of questions.

    The daemon is away while this process has no connection, and from the first question
    without an answer until the next one with an answer. Both ends of an absence are logged
    once, and so is each change of its kind. If the daemon comes and goes all the time, the
    log reports each kind at most once per interval. The same limit holds for each other
    trouble, during which the daemon does answer.
    """

    def __init__(
        self,
        address: str,
        stale_for: int,
        clock: Callable[[], float],
        consequences: Consequences = OF_ADD,
    ) -> None:
        self._address = address
        self._consequences = consequences
        self._away_lines = _away_lines(consequences)
        self._stale_for = stale_for
        self._clock = clock
        self._is_disconnected = False
        self._has_connected = False
        self._absence: _Absence | None = None
        self._away_logged_at: dict[str, float] = {}
        self._troubles: dict[str, _Trouble] = {}
        metrics.REACHABLE.set(1)

    @property
    def is_connected(self) -> bool:
        """True unless the last event of the connection was its end."""
        return not self._is_disconnected

    @property
    def is_away(self) -> bool:
        """True if there is no connection, or the last question had no answer."""
        return self._absence is not None

    def record_connection(self) -> None:
        """Records that this process is connected to the daemon."""
        self._is_disconnected = False
        self._has_connected = True
        metrics.REACHABLE.set(1)
        self._end_absence()

    def record_failed_event(self) -> None:
        """Records that reading an event failed, so that the connection may have ended."""
        metrics.REACHABLE.set(0)

    def record_event(self) -> None:
        """Records that an event arrived after failures."""
        if not self.is_away:
            metrics.REACHABLE.set(1)

    def record_disconnection(self, why: str, is_refusal: bool) -> None:
        """Records that the connection ended, or that there was none at the start. After a
        refusal, which may follow the end of the connection, no answers stay in memory."""
        self._is_disconnected = True
        metrics.REACHABLE.set(0)
        absence = self._begin_absence(why)
        absence.why, absence.is_refusal = why, is_refusal
        self._log_absence()

    def report(self, outcome: str, detail: str, is_question: bool = True) -> None:
        """Records the outcome of a call: of a question, or of a check by the module."""
        if outcome in AWAY:
            metrics.REACHABLE.set(0)
            absence = self._begin_absence(detail)
            absence.unanswered += is_question
            self._log_absence()
            return
        if outcome != "failed" and self.is_connected:
            metrics.REACHABLE.set(1)
        if outcome not in _ANSWERED:
            self._record_trouble(outcome, detail)
        elif self.is_connected:
            self._end_absence()

    def log_lasting_absence(self) -> None:
        """Logs an absence that was not logged at its beginning, because another one was
        logged shortly before, and that turns out to last."""
        if self._absence is not None:
            self._log_absence()

    def _begin_absence(self, why: str) -> _Absence:
        if self._absence is None:
            self._absence = _Absence(self._clock(), why)
        return self._absence

    def _end_absence(self) -> None:
        absence, self._absence = self._absence, None
        if absence is not None and absence.logged:
            logger.warning(
                "presence-router at %s is back after %.0f s; %d calls had no answer",
                self._address,
                self._clock() - absence.since,
                absence.unanswered,
            )

    def _log_absence(self) -> None:
        absence, now = self._absence, self._clock()
        assert absence is not None
        kind = self._kind_of(absence)
        logged_at = self._away_logged_at.get(kind)
        lately = logged_at is not None and now - logged_at < _INTERVAL
        if kind in absence.logged or (lately and now - absence.since < _LASTING):
            return
        absence.logged.add(kind)
        self._away_logged_at[kind] = now
        more = (self._stale_for,) if kind == "memory" else ()
        logger.warning(self._away_lines[kind], self._address, absence.why, *more)

    def _kind_of(self, absence: _Absence) -> str:
        if absence.is_refusal:
            return "refusal"
        if not self._has_connected:
            # Memory is still empty.
            return "nothing"
        if self.is_connected:
            return "hang"
        return "memory" if self._stale_for else "nothing"

    def _record_trouble(self, outcome: str, detail: str) -> None:
        now = self._clock()
        trouble = self._troubles.get(outcome)
        if trouble is not None and now - trouble.logged_at < _INTERVAL:
            trouble.suppressed += 1
            return
        suppressed = 0 if trouble is None else trouble.suppressed
        self._troubles[outcome] = _Trouble(now)
        logger.warning(
            "presence-router at %s %s: %s; the users concerned %s. "
            "Logged at most every %.0f minutes; %d more since the last line",
            self._address,
            _TROUBLES.get(outcome, outcome),
            detail,
            self._consequences.of_trouble,
            _INTERVAL / 60,
            suppressed,
        )
