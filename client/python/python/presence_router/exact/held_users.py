"""Finds out which of some users an answer holds, in turns of the reactor."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .rooms import Rooms
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Known, Verdicts, Visibility

# Users that are decided about at once.
_AT_ONCE = 500


async def find_held_users(
    reactor: Any,
    rooms: Rooms,
    answer: "Visibility",
    users: Sequence[str],
    mates: Mapping[str, Collection[str]],
) -> set[str]:
    """Returns those of some users whom an answer holds, whatever is hidden from them. `mates`:
    those who share rooms with the user of the answer, with these rooms."""
    found: set[str] = set()
    turn = Turn(reactor)
    for start in range(0, len(users), _AT_ONCE):
        await turn.end_if_long()
        some = list(users[start : start + _AT_ONCE])
        shared = [mates.get(user) for user in some] if mates else None

        def ask(
            known: "Known",
            some: list[str] = some,
            shared: list[Collection[str] | None] | None = shared,
        ) -> "Verdicts":
            # Whether somebody is visible does not depend on the presence.
            return answer.recipients(None, some, shared, known)

        found.update(some[position] for position, _ in await rooms.decide(ask))
    return found
