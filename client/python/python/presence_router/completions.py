"""Calls of the native half: starts them, and takes the finished ones into the reactor's
thread."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from ._native import Done, Router

logger = logging.getLogger("presence_router")

# Twisted's, which would log the same exceptions of `callFromThread`.
_log = Logger()

T = TypeVar("T")


async def await_call(name: str, start: "Callable[[Done[T]], None]") -> "tuple[str, str, T | None]":
    """Makes a call of the native half; returns its outcome, detail and value."""
    answered: Deferred[tuple[str, str, T | None]] = Deferred()

    def done(outcome: str, detail: str, value: T | None, /) -> None:
        # After a cancellation, the Deferred swallows the one late result.
        answered.callback((outcome, detail, value))

    try:
        start(done)
        return await make_deferred_yieldable(answered)
    except CancelledError:
        raise
    except Exception as why:
        # Every exception: raising it into Synapse would do more harm.
        logger.debug("%s failed", name, exc_info=True)
        return "failed", repr(why), None


def check_reactor(reactor: Any) -> None:
    """Raises RuntimeError if a reactor cannot wait for file descriptors.

    Synapse runs with Twisted's epoll, poll, select or asyncio reactor, and all of them can.
    """
    if not IReactorFDSet.providedBy(reactor):
        raise RuntimeError(
            f"Twisted's {type(reactor).__name__} cannot wait for file descriptors; run Synapse "
            "with the epoll, poll, select or asyncio reactor"
        )


@implementer(IReadDescriptor)
class CompletionReader:
    """Reads the eventfd of a router: when it is readable, calls have finished.

    One turn of the reactor delivers many calls. The reader is to be added once the reactor
    runs, because each process has an eventfd of its own, and Synapse may fork before.
    """

    def __init__(self, router: "Router") -> None:
        self._router = router
        self._fd = router.completion_fd()

    def fileno(self) -> int:
        """Returns the eventfd. It stays open as long as this reader."""
        return self._fd

    def doRead(self) -> None:
        """Delivers finished calls. If more remain, the eventfd stays readable."""
        try:
            for why in self._router.deliver_completions():
                failure = Failure(why)  # type: ignore[no-untyped-call]
                _log.failure("Unhandled error after an answer of presence-router", failure)
        except BaseException:
            # Twisted drops a reader that raises, and every later call would wait for ever.
            _log.failure("Cannot deliver answers of presence-router")

    def connectionLost(self, reason: Any) -> None:
        """Does nothing: the reactor ends, and so do the calls under way."""

    def logPrefix(self) -> str:
        """Returns the name in Twisted's log."""
        return "presence_router"
