"""Bounds how much work of one kind runs at one time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import PreserveLoggingContext
from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import DeferredSemaphore


class Places:
    """Places for work. A caller who finds none waits until one is free, in the order of the calls."""

    def __init__(self, number: int) -> None:
        self._semaphore = DeferredSemaphore(number)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Takes a place until the end of the block."""
        await make_deferred_yieldable(self._semaphore.acquire())
        try:
            yield
        finally:
            # The coroutine that waits runs now, and ends without a log context.
            with PreserveLoggingContext():
                self._semaphore.release()
