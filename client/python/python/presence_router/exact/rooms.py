"""Rooms as the Synapse of this process knows them: which ones users share, and facts about them.

Users of rooms, and numbers of members, come from Synapse's caches at each question, so that they
are never older than Synapse's own view. What the state of a room says is remembered until
Synapse notes that the state of the room has changed, in every process.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .._native import Known, MissingFact, Router, Visibility

T = TypeVar("T")


class Rooms:
    """The rooms of one process's Synapse."""

    def __init__(self, hs: Any, router: "Router") -> None:
        raise NotImplementedError

    async def shared(self, user_id: str, others: Sequence[str]) -> "list[frozenset[str] | None]":
        """Returns the rooms that a user shares with each of some others, in their order, without
        those that Synapse excludes from presence. None: they share none."""
        raise NotImplementedError

    async def room_mates(self, user_id: str) -> set[str]:
        """Returns all users who share a room with a user, without excluded rooms. May contain
        the user."""
        raise NotImplementedError

    async def members_of_rooms(self, user_id: str) -> "dict[str, Sequence[str]]":
        """Returns the joined members of each room of a user, without excluded rooms."""
        raise NotImplementedError

    async def decide(self, ask: "Callable[[Known], tuple[T, list[MissingFact]]]") -> T:
        """Asks a question of the native half until no fact is missing. A fact that cannot be
        loaded counts as unknown. `ask` runs once or several times."""
        raise NotImplementedError

    async def senders_without_rooms(self, answer: "Visibility") -> list[str]:
        """Returns the known senders that an answer may show without a shared room."""
        raise NotImplementedError
