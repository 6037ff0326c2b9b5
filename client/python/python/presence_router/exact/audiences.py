"""The daemon's answers about senders: from memory, and asked for where memory has none."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._native import Router, Visibility

logger = logging.getLogger("presence_router")

AskRecipients = Callable[[list[str]], Awaitable["tuple[list[Visibility | None], bool]"]]
"""Asks the daemon about senders. False beside the answers: those that are missing will not come
later either."""


class Audiences:
    """The recipients of senders, for one process."""

    def __init__(self, router: "Router", ask: AskRecipients) -> None:
        self._router = router
        self._ask = ask

    async def of(self, senders: list[str]) -> "dict[str, Visibility | None]":
        """Returns the answer about each sender. None: there is none."""
        return (await self.look_up(senders))[0]

    async def look_up(self, senders: list[str]) -> "tuple[dict[str, Visibility | None], bool]":
        """Returns as `of`, and beside it true if answers that are missing may come later. They
        will not about a user id that breaks the rules: other servers may send anything."""
        if not senders:
            return {}, False
        answers: list[Visibility | None]
        try:
            answers = self._router.recipients_of(senders)
        except Exception:
            logger.debug("The look-up of recipients failed", exc_info=True)
            answers = [None] * len(senders)
        found = dict(zip(senders, answers, strict=True))
        missing = [sender for sender, answer in found.items() if answer is None]
        may_come_later = False
        if missing:
            asked, may_come_later = await self._ask(missing)
            found.update(zip(missing, asked, strict=True))
        return found, may_come_later
