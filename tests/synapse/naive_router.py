"""A presence router as somebody would write it in Python instead of using the module: for one
policy, with the groups as sets. Benchmarks compare the module with it."""

from collections import defaultdict
from collections.abc import Iterable

from synapse.module_api import UserPresenceState


class NaiveRouter:
    """Shows the members of each group to each other, except the denied pairs."""

    def __init__(self, groups: dict[str, list[str]], denied: Iterable[tuple[str, str]]) -> None:
        """`denied` has pairs of a sender and a recipient."""
        self._members = {name: set(members) for name, members in groups.items()}
        self._groups_of: defaultdict[str, list[str]] = defaultdict(list)
        for name, members in groups.items():
            for member in members:
                self._groups_of[member].append(name)
        self._denied = set(denied)

    async def get_users_for_states(
        self, states: Iterable[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        """Answers Synapse's callback of this name."""
        answer: dict[str, set[UserPresenceState]] = {}
        for state in states:
            sender = state.user_id
            for group in self._groups_of.get(sender, ()):
                for member in self._members[group]:
                    if member != sender and (sender, member) not in self._denied:
                        answer.setdefault(member, set()).add(state)
        return answer

    async def get_interested_users(self, user_id: str) -> set[str]:
        """Answers Synapse's callback of this name."""
        answer: set[str] = set()
        for group in self._groups_of.get(user_id, ()):
            for member in self._members[group]:
                if member != user_id and (member, user_id) not in self._denied:
                    answer.add(member)
        return answer
