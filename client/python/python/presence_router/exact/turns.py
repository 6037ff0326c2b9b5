"""Keeps the turns of the reactor short, while one question takes much work."""

import time
from typing import Any

from synapse.module_api import make_deferred_yieldable
from twisted.internet.task import deferLater

# Seconds of work in one turn, after which other work of the process may run.
_LONG = 0.003


class Turn:
    """The present turn of the reactor, for one question."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._long_at = time.perf_counter() + _LONG

    async def end_if_long(self) -> None:
        """Continues in the next turn if this one has taken some milliseconds."""
        if time.perf_counter() >= self._long_at:
            await make_deferred_yieldable(deferLater(self._reactor, 0))
            self._long_at = time.perf_counter() + _LONG
