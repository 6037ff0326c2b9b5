"""The daemon's answers about senders: from memory, and asked for where memory has none."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._native import Router, Visibility

logger = logging.getLogger("presence_router")

AskRecipients = Callable[[list[str]], Awaitable["list[Visibility | None]"]]


class Audiences:
    """The recipients of senders, for one process."""

    def __init__(self, router: "Router", ask: AskRecipients) -> None:
        self._router = router
        self._ask = ask

    async def of(self, senders: list[str]) -> "dict[str, Visibility | None]":
        """Returns the answer about each sender. None: there is none."""
        if not senders:
            return {}
        answers: list[Visibility | None]
        try:
            answers = self._router.recipients_of(senders)
        except Exception:
            logger.debug("The look-up of recipients failed", exc_info=True)
            answers = [None] * len(senders)
        found = dict(zip(senders, answers, strict=True))
        missing = [sender for sender, answer in found.items() if answer is None]
        if missing:
            found.update(zip(missing, await self._ask(missing), strict=True))
        return found
