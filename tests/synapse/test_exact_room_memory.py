"""What the mode `exact` remembers about rooms: until when, how much, and how long it takes."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from daemon import SERVER
from fake_api import context, in_reactor
from presence_router.exact.member_lists import MemberLists
from presence_router.exact.room_facts import FactLoader
from presence_router.exact.room_memory import RoomMemory
from presence_router.exact.shared_rooms import UNKNOWN, UncertainRooms, cut_by_work
from room_questions import SENDER, RoomQuestions
from synapse.logging.context import make_deferred_yieldable, run_in_background
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

pytestmark = pytest.mark.smoke

# A user in many rooms, another one who is in all of these, and a user in a large room.
ME, BRIDGE, CROWDED = f"@me:{SERVER}", "@bridge:far", f"@crowded:{SERVER}"
ROOMS = [f"!room-{number}:{SERVER}" for number in range(5_000)]
LARGE = f"!large:{SERVER}"
CROWD = [f"@member-{number}:far" for number in range(100_000)]


def run(function: Callable[[], Any]) -> Any:
    return in_reactor(function, context())


def test_a_room_that_changes_is_read_again() -> None:
    memory = RoomMemory()
    read: list[list[str]] = []
    put: dict[str, int] = {}

    async def read_rooms(rooms: list[str]) -> dict[str, int]:
        read.append(rooms)
        if len(read) < 3:
            memory.forget("!b")
        return {room: len(read) for room in rooms if room != "!none"}

    async def fill() -> set[str]:
        return await memory.read(["!a", "!b", "!none"], read_rooms, put.__setitem__)

    assert run(fill) == {"!none"}
    assert read == [["!a", "!b", "!none"], ["!b"], ["!b"]] and put == {"!a": 1, "!b": 3}


@pytest.mark.parametrize("change", [lambda memory: memory.forget("!a"), RoomMemory.forget_all])
def test_a_room_that_never_rests_is_not_remembered(change: Callable[[RoomMemory], None]) -> None:
    memory = RoomMemory()
    reads = 0

    async def read_rooms(rooms: list[str]) -> dict[str, int]:
        nonlocal reads
        reads += 1
        change(memory)
        return dict.fromkeys(rooms, 1)

    async def fill() -> set[str]:
        return await memory.read(
            ["!a"], read_rooms, lambda room, count: memory.put_count(room, 0, count)
        )

    assert run(fill) == {"!a"} and memory.count_of("!a", 0) is None
    assert 1 < reads < 10


def test_memory_is_bounded() -> None:
    memory = RoomMemory(rooms=10, members=100)
    for number in range(1_000):
        memory.put_count(f"!{number}", number % 2, number)
        memory.put_members(f"!{number}", ["@a:b"] * 40)
    remembered = [n for n in range(1_000) if memory.count_of(f"!{n}", n % 2) is not None]
    assert remembered == [*range(990, 1_000)]
    lists = [memory.members_of(f"!{number}") for number in range(1_000)]
    held = sum(len(some) for some in lists if some is not None)
    assert held == 80 and memory._members_in_lists == held
    for number in range(1_000):
        memory.put_members(f"!{number}", [])
    assert sum(memory.members_of(f"!{number}") is not None for number in range(1_000)) == 10
    # A list that is larger than all memory, in place of one that is not.
    memory.put_members("!1", ["@a:b"])
    memory.put_members("!999", ["@a:b"] * 101)
    assert memory.members_of("!999") is None and memory.members_of("!1") == ["@a:b"]
    memory.forget("!1")
    memory.put_members("!999", ["@a:b"] * 50)
    memory.forget("!999")
    assert memory._members_in_lists == 0 and memory.members_of("!999") is None
    memory.put_members("!999", ["@a:b"])
    memory.forget_all()
    assert memory._members_in_lists == 0 and memory.members_of("!999") is None


def test_a_room_that_cannot_be_named_is_no_trouble_for_synapse() -> None:
    RoomMemory().forget("!half \ud800")


class SlowStore:
    """A store whose lists of members come when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[list[str]]] = []

    async def get_partial_rooms(self) -> set[str]:
        return set()

    async def get_users_in_room(self, _room_id: str) -> list[str]:
        self.waiting.append(Deferred())
        return await make_deferred_yieldable(self.waiting[-1])


def test_a_load_that_is_abandoned_is_taken_over() -> None:
    store, memory = SlowStore(), RoomMemory()
    loader = FactLoader(reactor, store, memory, MemberLists(store, memory))
    # The number of a list of patterns that is in no policy: all members count.
    fact = ("members", "!a", 7)

    def ask(known: Any) -> tuple[Any, Any]:
        count = known[1].get(("!a", 7))
        return count, [] if count is not None else [fact]

    async def abandon() -> Any:
        first = run_in_background(loader.decide, ask)
        second = run_in_background(loader.decide, ask)
        assert len(store.waiting) == 1
        second.addTimeout(10, reactor)  # type: ignore[arg-type]
        first.addErrback(lambda failure: failure.trap(CancelledError))
        first.cancel()
        # The second question now loads what the first one no longer waits for.
        assert len(store.waiting) == 2
        store.waiting[1].callback(["@a:b", "@c:d"])
        return await make_deferred_yieldable(second)

    assert run(abandon) == 2


def test_members_that_change_while_they_are_read_are_not_remembered() -> None:
    store, memory = SlowStore(), RoomMemory()
    lists = MemberLists(store, memory)

    async def read() -> Any:
        reading = run_in_background(lists.of_room, "!a")
        memory.forget("!a")
        store.waiting[0].callback(["@a:b"])
        return await make_deferred_yieldable(reading)

    assert run(read) == ["@a:b"] and memory.members_of("!a") is None


def test_parts_of_a_question() -> None:
    assert list(cut_by_work(None, 0)) == list(cut_by_work([], 0)) == []
    users = 4_500
    assert list(cut_by_work(None, users)) == [
        slice(0, 2_000), slice(2_000, 4_000), slice(4_000, 4_500)
    ]  # fmt: skip
    many = frozenset(map(str, range(3_000)))
    assert list(cut_by_work([many, None, many, UNKNOWN], 4)) == [slice(0, 2), slice(2, 4)]
    # One user with more rooms than a part may have.
    more = UncertainRooms(frozenset(map(str, range(6_000))))
    assert list(cut_by_work([None, more, None], 3)) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomQuestions]:
    questions = RoomQuestions(tmp_path_factory.mktemp("large"))
    questions.start(
        {
            "two": {"at_most": 2},
            "bots": {"at_least": 88_890, "not_counting": "@member-1*:far"},
            "fewer": {"at_least": 88_891, "not_counting": "@member-1*:far"},
            "public": {"join_rule": "public"},
        }
    )
    questions.synapse.write(
        "INSERT INTO current_state_events (event_id, room_id, type, state_key, membership) "
        "VALUES (?, ?, 'm.room.member', ?, 'join')",
        [
            *((f"${room}-{user}", room, user) for room in ROOMS for user in (ME, BRIDGE, "@c:far")),
            *((f"${user}", LARGE, user) for user in (CROWDED, *CROWD)),
        ],
    )
    yield questions
    questions.stop()


class Turns:
    """Measures the turns of the reactor, by the time of its thread: the machine has others."""

    def __init__(self) -> None:
        self.longest = self.total = 0.0

    async def measure(self, function: Callable[[], Awaitable[Any]]) -> Any:
        began = time.thread_time()
        ends = False

        async def tick() -> None:
            last = time.thread_time()
            while not ends:
                await make_deferred_yieldable(deferLater(reactor, 0))  # type: ignore[arg-type]
                now = time.thread_time()
                self.longest, last = max(self.longest, now - last), now

        ticking = run_in_background(tick)
        result = await function()
        self.total = time.thread_time() - began
        await make_deferred_yieldable(deferLater(reactor, 0))  # type: ignore[arg-type]
        ends = True
        await make_deferred_yieldable(ticking)
        return result


def test_a_user_in_5000_rooms(large: RoomQuestions) -> None:
    (shared,) = large.synapse.run(large.rooms.shared, ME, [BRIDGE])
    assert shared == set(ROOMS)
    # More users than take one turn.
    turns = Turns()
    others = [BRIDGE, "@stranger:far"] * 500
    got = large.synapse.run(turns.measure, lambda: large.rooms.shared(ME, others))
    assert got == [shared, None] * 500
    assert turns.longest < turns.total / 4
    assert large.meets("two", shared) is False
    assert large.synapse.run(large.rooms.room_mates, ME) == {ME, BRIDGE, "@c:far"}
    assert len(large.synapse.run(large.rooms.members_of_rooms, ME)) == len(ROOMS)


def test_more_rooms_than_memory_holds(large: RoomQuestions) -> None:
    memory = RoomMemory(rooms=50)
    lists = MemberLists(large.store, memory)
    loader = FactLoader(reactor, large.store, memory, lists)

    def meets(name: str, rooms: list[str]) -> bool:
        answer = large.answer(f"@denied-{name}:{SERVER}")

        def ask(known: Any) -> Any:
            return answer.recipients(None, [SENDER], [rooms], known)

        return large.synapse.run(loader.decide, ask) == []

    assert not meets("two", ROOMS[:1_000])
    # Memory is full of rooms in use, and takes half as many others nevertheless.
    for _ in range(3):
        assert not meets("public", ROOMS[:50])
    assert not meets("public", ROOMS[50:75])


def test_a_room_with_100000_members(large: RoomQuestions) -> None:
    assert large.meets("two", LARGE) is False
    assert large.meets("bots", LARGE) is True and large.meets("fewer", LARGE) is False
    turns = Turns()
    rooms = large.new_rooms()
    mates = large.synapse.run(turns.measure, lambda: rooms.room_mates(CROWDED))
    assert mates == {CROWDED, *CROWD}
    # Synapse does not remember such a list, and would read it at each question.
    members = large.synapse.run(rooms.members_of_rooms, CROWDED)[LARGE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large.store, "get_users_in_room", None)
        assert large.synapse.run(rooms.members_of_rooms, CROWDED)[LARGE] is members
