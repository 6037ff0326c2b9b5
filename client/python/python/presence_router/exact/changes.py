"""The log of the changes that the daemon reported to this process, for devices that may have
missed them."""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._native import Change, ChangedPairs

# Bytes of a log, at most. An entry whose sets are small takes about 1 KiB.
MAX_BYTES = 16 * 1024 * 1024

# Entries of a log, at most.
MAX_ENTRIES = 50_000

# Bytes of an entry, besides its pairs.
_ENTRY_BYTES = 400


@dataclass(frozen=True)
class Pairs:
    """Pairs that changed, and those of their senders who had a presence."""

    pairs: "ChangedPairs"
    senders: frozenset[str] | None
    """None: they are not known, and every sender may be among them."""


@dataclass(frozen=True)
class _Entry:
    number: int
    revision: str
    changed: tuple[Pairs, ...] | None
    """None: everything may have changed."""
    size: int


@dataclass(frozen=True)
class Missed:
    """The changes since a revision."""

    first: int
    """The number of the revision since when, for comparison with others."""

    is_empty: bool
    changed: tuple[Pairs, ...] | None
    """None: everything may have changed."""


class ChangeLog:
    """The revisions that this process has heard of, in order, each with its changes."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._bytes = 0
        # The number of a revision is that of its last entry.
        self._numbers: dict[str, int] = {}
        self._entries: deque[_Entry] = deque()
        # The last entry that was dropped.
        self._oldest: _Entry | None = None
        # By their handles.
        self._waiting: dict[int, Callable[[], None]] = {}
        self._last_handle = 0
        # The number of the last entry, and its revision. None: there is none yet.
        self.number = 0
        self.revision: str | None = None

    def begin(self, revision: str) -> None:
        """Starts with a revision, unless the log has begun: nothing from before is known."""
        if self.revision is None:
            self._append(revision, (), 0)

    def note(self, change: "Change") -> None:
        """Notes a revision and its changes."""
        pairs = change.pairs
        size = sum(one.size for one in pairs)
        if size > self._max_bytes:
            self._append(change.revision, None, 0)
            return
        changed = []
        for one in pairs:
            senders = one.known_senders
            changed.append(Pairs(one, None if senders is None else frozenset(senders)))
            size += sys.getsizeof(changed[-1].senders)
        self._append(change.revision, tuple(changed), size)

    def note_everything(self, revision: str) -> None:
        """Notes that everything may have changed with a revision."""
        self._append(revision, None, 0)

    def has(self, revision: str) -> bool:
        """Returns true if a revision has arrived."""
        return revision in self._numbers

    def number_of(self, revision: str) -> int:
        """Returns the number of a revision. Of one that has not arrived yet: the next number."""
        return self._numbers.get(revision, self.number + 1)

    def missed_since(self, revision: str) -> Missed | None:
        """Returns the changes since a revision. None: the log does not reach back so far."""
        first = self._numbers.get(revision)
        if first is None:
            return None
        changed: list[Pairs] = []
        for entry in reversed(self._entries):
            if entry.number <= first:
                break
            if entry.changed is None:
                return Missed(first, False, None)
            changed.extend(entry.changed)
        return Missed(first, first == self.number, tuple(changed))

    def all_changed(self) -> list[Pairs]:
        """Returns all pairs that the log still has."""
        return [one for entry in self._entries for one in entry.changed or ()]

    def call_at_next(self, call: Callable[[], None]) -> int:
        """Calls a function when the next revision arrives. Returns a handle to `forget_call`."""
        self._last_handle += 1
        self._waiting[self._last_handle] = call
        return self._last_handle

    def forget_call(self, handle: int) -> None:
        """Does not call a function that still waits."""
        self._waiting.pop(handle, None)

    def _append(self, revision: str, changed: tuple[Pairs, ...] | None, size: int) -> None:
        self.number += 1
        self.revision = revision
        self._numbers[revision] = self.number
        size += _ENTRY_BYTES
        self._entries.append(_Entry(self.number, revision, changed, size))
        self._bytes += size
        while len(self._entries) > 1 and (
            self._bytes > self._max_bytes or len(self._entries) > self._max_entries
        ):
            oldest = self._entries.popleft()
            self._bytes -= oldest.size
            # Its changes are gone: the log reaches back to its revision, and no further.
            if (before := self._oldest) and self._numbers.get(before.revision) == before.number:
                del self._numbers[before.revision]
            self._oldest = oldest
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
