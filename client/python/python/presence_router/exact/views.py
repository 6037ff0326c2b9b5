"""The last answers about the local users who asked in this process, to compare new ones with."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._native import RoomFacts

if TYPE_CHECKING:
    from .._native import Router, Visibility

# Earlier answers about one user, at most: a device may sleep while the policy changes often.
_MAX_ANSWERS = 32

# Users, at most. An answer takes little: users with the same one share it.
_MAX_USERS = 50_000


@dataclass
class _View:
    last: "Visibility"
    before: "deque[Visibility]"
    """The answers before that one, each with other users or other hides than the next."""

    first_seen_at: int
    hides_changed_at: int


class Views:
    """The last answers, each with the numbers of revisions in the log of changes."""

    def __init__(self, router: "Router", max_users: int = _MAX_USERS) -> None:
        self._router = router
        self._max_users = max_users
        self._views: dict[str, _View] = {}
        # True if the rooms that users share ever decided anything.
        self.rooms_decide = False
        self._facts = RoomFacts(1)

    def note(self, answer: "Visibility", number: int) -> None:
        """Notes the answer about a user, at the revision with this number in the log."""
        self.rooms_decide |= answer.depends_on_rooms
        # Removed first, so that the dict is in the order of use.
        view = self._views.pop(answer.user_id, None)
        if view is None:
            view = _View(answer, deque(maxlen=_MAX_ANSWERS), number, -1)
            if len(self._views) >= self._max_users:
                del self._views[next(iter(self._views))]
        elif view.last.number != answer.number:
            if not view.last.hides_as(answer):
                view.hides_changed_at = number
            view.before.append(view.last)
            view.last = answer
        self._views[answer.user_id] = view

    def may_hide_differently(self, user_id: str, since: int) -> bool:
        """Returns true unless the hides of a user's answer are known to be the same as at a
        number. To be asked after the present answer is noted."""
        view = self._views.get(user_id)
        return view is None or view.first_seen_at > since or view.hides_changed_at > since

    def has_other_hides_now(self, user_id: str) -> bool:
        """Returns true unless memory has an answer about a user whose hides are those of the last
        one."""
        view = self._views.get(user_id)
        present = self._router.visible_senders(user_id)
        return view is None or present is None or not present.hides_as(view.last)

    def held_stranger(self, user_id: str, sender: str) -> bool:
        """Returns true if a user saw a sender with whom the user shares no room, by an answer
        before the present one. To be asked only about pairs that were visible in some rooms."""
        if not self.rooms_decide:
            return True
        view = self._views.get(user_id)
        known = self._facts, None
        # The latest first: usually it decides.
        return view is not None and any(
            answer.recipients(None, [sender], None, known)[0] for answer in reversed(view.before)
        )
