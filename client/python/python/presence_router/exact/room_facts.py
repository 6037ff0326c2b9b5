"""Loads the facts about rooms that questions of the native half lack.

Facts that several questions lack at a time are loaded once. What cannot be loaded is unknown, and
the native half then shows nothing because of it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

# Not part of the module API; a test checks each supported version of Synapse.
from synapse.logging.context import PreserveLoggingContext
from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import CancelledError, Deferred

from .member_lists import MemberLists
from .room_memory import RoomMemory
from .room_state import RoomState, StateReader
from .turns import Turn

if TYPE_CHECKING:
    from .._native import Known, MissingFact

logger = logging.getLogger("presence_router")

T = TypeVar("T")

Counts = dict[tuple[str, int], int | None]


@dataclass
class Loaded:
    """The result of a load: the numbers of members, by room and number of the patterns, and the
    facts that cannot be loaded. All other facts are in memory."""

    counts: Counts = field(default_factory=dict)
    failed: "set[MissingFact]" = field(default_factory=set)


# How often a question is asked. Usually twice. If memory is full of rooms in use, new ones drive
# each other out at first: half of what memory holds has its place after four questions.
_ROUNDS = 6

# Rooms that are read at a time. Synapse makes up to four events for each in one turn of the
# reactor, at about 50 microseconds.
_CHUNK = 50

# Members that are counted at a time, with a pattern in a millisecond.
_SLICE = 10_000


class Load:
    """A load, and those who wait for its end."""

    def __init__(self) -> None:
        self.result = Loaded()
        self._waiting: list[Deferred[None]] = []

    async def wait(self) -> Loaded:
        """Returns the result, once the load has ended."""
        ended: Deferred[None] = Deferred()
        self._waiting.append(ended)
        await make_deferred_yieldable(ended)
        return self.result

    def end(self) -> None:
        """Continues those who wait. One that was cancelled swallows this."""
        with PreserveLoggingContext():
            for ended in self._waiting:
                ended.callback(None)


class FactLoader:
    """Loads facts about rooms, and remembers them."""

    def __init__(
        self, reactor: Any, store: Any, memory: RoomMemory, member_lists: MemberLists
    ) -> None:
        self._reactor = reactor
        self._store = store
        self._memory = memory
        self._member_lists = member_lists
        self._reader = StateReader(store)
        # Each fact that is loaded now, with the load.
        self._loading: dict[MissingFact, Load] = {}

    async def decide(self, ask: "Callable[[Known], tuple[T, list[MissingFact]]]") -> T:
        """Asks a question until no fact is missing that can be loaded."""
        counts: Counts = {}
        unknown: set[MissingFact] = set()
        turn = Turn(self._reactor)
        for _ in range(_ROUNDS):
            value, missing = ask((self._memory.facts, counts))
            left = self._recall([fact for fact in missing if fact not in unknown], counts)
            if left:
                for loaded in await self._load(left):
                    counts |= loaded.counts
                    unknown |= loaded.failed
            elif unknown.issuperset(missing):
                return value
            await turn.end_if_long()
        return ask((self._memory.facts, counts))[0]

    def _recall(self, facts: "Sequence[MissingFact]", counts: Counts) -> "list[MissingFact]":
        """Adds the numbers of members that are remembered. Returns all other facts."""
        left = []
        for fact in facts:
            kind, room_id, patterns = fact
            count = self._memory.count_of(room_id, patterns) if kind == "members" else None
            if count is None:
                left.append(fact)
            else:
                counts[room_id, patterns] = count
        return left

    async def _load(self, facts: "list[MissingFact]") -> list[Loaded]:
        """Loads facts, or waits until others have loaded them."""
        others = {load for fact in facts if (load := self._loading.get(fact)) is not None}
        own = [fact for fact in facts if fact not in self._loading]
        loaded = [await self._load_for_all(own)] if own else []
        for load in others:
            loaded.append(await load.wait())
        return loaded

    async def _load_for_all(self, facts: "list[MissingFact]") -> Loaded:
        load = Load()
        for fact in facts:
            self._loading[fact] = load
        try:
            await self._load_now(facts, load.result)
        finally:
            for fact in facts:
                del self._loading[fact]
            # After a cancellation, those who wait find facts missing, and load them.
            load.end()
        return load.result

    async def _load_now(self, facts: "list[MissingFact]", loaded: Loaded) -> None:
        failed = loaded.failed
        groups: dict[tuple[str, int], list[str]] = {}
        for kind, room_id, patterns in facts:
            groups.setdefault((kind, patterns), []).append(room_id)
        turn = Turn(self._reactor)
        for (kind, patterns), room_ids in groups.items():
            for start in range(0, len(room_ids), _CHUNK):
                chunk = room_ids[start : start + _CHUNK]
                try:
                    unread = await self._load_chunk(kind, patterns, chunk, loaded)
                except CancelledError:
                    raise
                except Exception:
                    logger.debug("Cannot load facts about rooms: %s", kind, exc_info=True)
                    # The database does not answer: the other rooms would fail, too.
                    failed.update((kind, room_id, patterns) for room_id in room_ids[start:])
                    break
                failed.update((kind, room_id, patterns) for room_id in unread)
                await turn.end_if_long()

    async def _load_chunk(
        self, kind: str, patterns: int, room_ids: list[str], loaded: Loaded
    ) -> set[str]:
        """Loads one kind of facts about rooms. Returns the rooms without such a fact."""
        if kind == "state":
            return await self._memory.read(room_ids, self._reader.states, self._put_state)
        if kind == "space":
            return await self._memory.read(
                room_ids, self._read_spaces, self._memory.facts.put_space
            )
        if kind == "members":

            def put_count(room_id: str, count: int) -> None:
                self._memory.put_count(room_id, patterns, count)
                # Memory may not hold all rooms of the question.
                loaded.counts[room_id, patterns] = count

            return await self._memory.read(
                room_ids, lambda room_ids: self._count_members(patterns, room_ids), put_count
            )
        return set(room_ids)

    def _put_state(self, room_id: str, state: RoomState) -> None:
        self._memory.facts.put_state(
            room_id,
            state.encrypted,
            state.join_rule,
            state.history_visibility,
            state.presence_sharing,
        )

    async def _read_spaces(self, space_ids: list[str]) -> dict[str, list[str] | None]:
        return {space_id: await self._reader.children(space_id) for space_id in space_ids}

    async def _count_members(self, patterns: int, room_ids: list[str]) -> dict[str, int]:
        """Counts the members of rooms. Rooms with partial state have an unknown number."""
        # Before the members are read: the state of a room is marked as partial before it is
        # stored, so that a mark that comes later comes before a change.
        partial = await self._store.get_partial_rooms()
        known = [room_id for room_id in room_ids if room_id not in partial]
        if not known:
            return {}
        if patterns == 0:
            return await self._reader.member_counts(known)
        turn = Turn(self._reactor)
        counts = {}
        for room_id in known:
            members = await self._member_lists.of_room(room_id)
            count = 0
            for start in range(0, len(members), _SLICE):
                some = list(members[start : start + _SLICE])
                count += self._memory.facts.count_members(patterns, some)
                await turn.end_if_long()
            counts[room_id] = count
        return counts
