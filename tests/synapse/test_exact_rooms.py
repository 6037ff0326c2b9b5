"""Facts about rooms in the mode `exact`, from the database and the caches of a real Synapse."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from daemon import SERVER
from homeserver import VERSION
from presence_router.exact.rooms import Rooms
from presence_router.exact.room_shapes import find_deviations_of_rooms
from presence_router.exact.shared_rooms import are_known
from room_questions import SENDER, Queries, RoomQuestions
from synapse.logging.context import make_deferred_yieldable, run_in_background
from synapse.replication.tcp.streams.events import EventsStreamCurrentStateRow, EventsStreamRow
from synapse.types import UserID, create_requester
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

# Also beside the oldest Synapse: what the module calls is no public interface.
pytestmark = pytest.mark.smoke

ENCRYPTION = ("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
HINT = "m.room.presence_sharing"
FAR = "@far:elsewhere"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomQuestions]:
    questions = RoomQuestions(tmp_path_factory.mktemp("rooms"))
    questions.start(
        {
            "encrypted": {"encrypted": True},
            "public": {"join_rule": "public"},
            "invite": {"join_rule": "invite"},
            "shared-history": {"history_visibility": "shared"},
            "joined-history": {"history_visibility": "joined"},
            "suggest": {"presence_sharing": "suggest"},
            "forbid": {"presence_sharing": "forbid"},
            "two": {"at_most": 2},
            "two-people": {"at_most": 2, "not_counting": "@*-bot*:*"},
            "any": True,
            "space": {"space": questions.space},
        }
    )
    yield questions
    questions.stop()


@pytest.fixture
def queries(ask: RoomQuestions, monkeypatch: pytest.MonkeyPatch) -> Queries:
    queries = Queries(ask.store)
    monkeypatch.setattr(ask.store.db_pool, "runInteraction", queries.run)
    return queries


def test_facts_follow_the_state_of_a_room(ask: RoomQuestions) -> None:
    synapse = ask.synapse
    ann = synapse.register("ann")
    room = synapse.create_room(ann)
    assert ask.meets("encrypted", room) is False
    assert ask.meets("public", room) is True and ask.meets("invite", room) is False
    assert ask.meets("shared-history", room) is True
    assert ask.meets("suggest", room) is False and ask.meets("forbid", room) is False
    synapse.send_state(ann, room, *ENCRYPTION)
    assert ask.meets("encrypted", room) is True
    synapse.send_state(ann, room, "m.room.join_rules", {"join_rule": "invite"})
    assert ask.meets("public", room) is False and ask.meets("invite", room) is True
    synapse.send_state(ann, room, "m.room.history_visibility", {"history_visibility": "joined"})
    assert ask.meets("shared-history", room) is False
    assert ask.meets("joined-history", room) is True
    synapse.send_state(ann, room, HINT, {"presence_sharing": "forbid"})
    assert ask.meets("suggest", room) is False and ask.meets("forbid", room) is True
    synapse.send_state(ann, room, HINT, {"presence_sharing": "suggest"})
    assert ask.meets("suggest", room) is True and ask.meets("forbid", room) is False
    # A hint under another key is none.
    synapse.send_state(ann, room, HINT, {"presence_sharing": "forbid"}, key="other")
    assert ask.meets("forbid", room) is False


def test_a_room_without_events_has_defaults(ask: RoomQuestions) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)
    kinds = "('m.room.join_rules', 'm.room.history_visibility')"
    ask.synapse.write(
        f"DELETE FROM current_state_events WHERE type IN {kinds} AND room_id = ?", [(room,)]
    )
    assert ask.meets("invite", room) is True and ask.meets("public", room) is False
    assert ask.meets("shared-history", room) is True


@pytest.mark.parametrize("value", [None, 1, ["invite"], {"a": "b"}, "half \ud800"])
def test_content_that_is_no_text_is_unknown(ask: RoomQuestions, value: Any) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)

    def contents(event: Any) -> Any:
        keys = ("algorithm", "join_rule", "history_visibility", "presence_sharing")
        return SimpleNamespace(event_id=event.event_id, content=dict.fromkeys(keys, value))

    ask.synapse.send_state(ann, room, *ENCRYPTION)
    ask.synapse.send_state(ann, room, HINT, {"presence_sharing": "forbid"})
    get_events = ask.store.get_events

    async def changed_events(ids: Any) -> Any:
        return {id: contents(event) for id, event in (await get_events(ids)).items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ask.store, "get_events", changed_events)
        for name in ("encrypted", "public", "invite", "shared-history", "joined-history"):
            assert ask.meets(name, room) is None, name
        # What is no hint is none.
        assert ask.meets("forbid", room) is False
    # Unreadable events, for example of a room version that Synapse no longer knows.
    ask.synapse.send_state(ann, room, "m.room.topic", {"topic": "changed"})
    with pytest.MonkeyPatch.context() as patch:

        async def no_events(_ids: Any) -> Any:
            return {}

        patch.setattr(ask.store, "get_events", no_events)
        for name in ("encrypted", "public", "shared-history", "forbid"):
            assert ask.meets(name, room) is None, name
    assert ask.meets("forbid", room) is True


def test_a_redacted_encryption_is_unknown(ask: RoomQuestions) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)
    ask.synapse.redact(ann, room, ask.synapse.send_state(ann, room, *ENCRYPTION))
    assert ask.meets("encrypted", room) is None


def test_numbers_of_members_follow_joins_and_leaves(ask: RoomQuestions) -> None:
    synapse = ask.synapse
    ann, bob, eve, bot = (synapse.register(name) for name in ("ann", "bob", "eve", "a-bot"))
    room = synapse.create_room(ann, bob, bot)
    assert ask.meets("two", room) is False and ask.meets("two-people", room) is True
    synapse.change_membership(bot, room, "leave")
    assert ask.meets("two", room) is True and ask.meets("two-people", room) is True
    for _ in range(20):
        synapse.change_membership(eve, room, "join")
        assert ask.meets("two", room) is False and ask.meets("two-people", room) is False
        synapse.change_membership(eve, room, "leave")
        assert ask.meets("two", room) is True and ask.meets("two-people", room) is True


def test_the_members_of_a_room_with_partial_state_are_unknown(ask: RoomQuestions) -> None:
    synapse, store = ask.synapse, ask.store
    ann, bob, eve = (synapse.register(name) for name in ("ann", "bob", "eve"))
    partial, other = synapse.create_room(ann, bob), synapse.create_room(ann, eve)
    assert ask.meets("two", partial) is True
    synapse.run(store.store_partial_state_room, partial, {"elsewhere"}, 0, "elsewhere")
    # As Synapse stores the state after it has marked the room.
    synapse.send_state(ann, partial, "m.room.topic", {"topic": "partial"})
    assert ask.meets("two", partial) is None and ask.meets("two-people", partial) is None
    assert ask.meets("public", partial) is True
    assert synapse.run(ask.rooms.have_unknown_members, [other, partial])
    assert not synapse.run(ask.rooms.have_unknown_members, [other])
    # A user of another server may be in it; of its own users Synapse knows all.
    with_far, with_bob, with_eve = synapse.run(ask.rooms.shared, ann, [FAR, bob, eve])
    assert not are_known(with_far)
    assert ask.meets("any", with_far) is None and ask.meets("two", with_far) is None
    assert with_bob == {partial} and with_eve == {other}
    (with_ann, with_eve) = synapse.run(ask.rooms.shared, FAR, [ann, eve])
    assert ask.meets("any", with_ann) is None and with_eve is None
    # A user who is known to share one room shares a room, also if others are uncertain.
    ask.add_members(other, FAR)
    (with_far,) = synapse.run(ask.rooms.shared, ann, [FAR])
    assert are_known(with_far) and ask.meets("any", with_far) is True
    assert ask.meets("encrypted", with_far) is None
    assert ask.meets("public", with_far) is True
    # Nothing but the mark changes.
    synapse.run(store.clear_partial_state_room, partial)
    assert ask.meets("two", partial) is True
    assert synapse.run(ask.rooms.shared, ann, [FAR]) == [{other}]


def test_children_of_a_space(ask: RoomQuestions) -> None:
    synapse = ask.synapse
    owner, space = ask.owner, ask.space
    child, orphan = synapse.create_room(owner), synapse.create_room(owner)
    assert ask.meets("space", child) is False
    for room, via in ((child, [SERVER]), (orphan, []), ("!bad:x", "elsewhere"), ("!none:x", None)):
        synapse.send_state(owner, space, "m.space.child", {"via": via}, key=room)
    # What the child says counts nothing.
    synapse.send_state(owner, orphan, "m.space.parent", {"via": [SERVER]}, key=space)
    assert ask.meets("space", child) is True and ask.meets("space", orphan) is False
    assert ask.meets("space", "!bad:x") is False and ask.meets("space", "!none:x") is False
    synapse.send_state(owner, space, "m.space.child", {}, key=child)
    assert ask.meets("space", child) is False
    # Nobody here is in the space.
    synapse.change_membership(owner, space, "leave")
    assert ask.meets("space", child) is None and ask.meets("space", orphan) is None


def test_what_is_remembered_needs_no_query(ask: RoomQuestions, queries: Queries) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)
    names = ("encrypted", "public", "forbid", "two", "two-people")
    for name in names:
        ask.meets(name, room)
    before = queries.number
    assert before > 0
    for name in names:
        ask.meets(name, room)
    assert queries.number == before


def test_questions_that_lack_the_same_facts_load_them_once(
    ask: RoomQuestions, queries: Queries
) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)
    answer = ask.answer(f"@allowed-public:{SERVER}")

    async def ask_at_once() -> list[Any]:
        def recipients(known: Any) -> Any:
            return answer.recipients(None, [SENDER], [[room]], known)

        asked = [run_in_background(ask.rooms.decide, recipients) for _ in range(20)]
        gathered = gatherResults(asked).addTimeout(10, reactor)  # type: ignore[arg-type]
        return await make_deferred_yieldable(gathered)

    assert ask.synapse.run(ask_at_once) == [[(0, 0)]] * 20
    assert queries.number == 1


def test_a_database_error_makes_facts_unknown_and_is_not_remembered(
    ask: RoomQuestions, queries: Queries
) -> None:
    ann = ask.synapse.register("ann")
    room = ask.synapse.create_room(ann)
    queries.fail = True
    for name in ("encrypted", "public", "two"):
        assert ask.meets(name, room) is None
    assert ask.meets("space", room) is None
    queries.fail = False
    assert ask.meets("public", room) is True and ask.meets("two", room) is True


def test_rooms_that_cannot_be_found_are_unknown(ask: RoomQuestions) -> None:
    ann, bob = ask.synapse.register("ann"), ask.synapse.register("bob")
    room = ask.synapse.create_room(ann, bob)

    async def fails(*_arguments: Any) -> Any:
        raise RuntimeError("no such table")

    for broken in ("get_rooms_for_user", "get_partial_rooms"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ask.store, broken, fails)
            (shared,) = ask.synapse.run(ask.rooms.shared, ann, [bob])
            assert not are_known(shared) and ask.meets("any", shared) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ask.store, "get_rooms_for_users", fails)
        for shared in ask.synapse.run(ask.rooms.shared, ann, [bob] * 20):
            assert not are_known(shared) and ask.meets("public", shared) is None
    with pytest.MonkeyPatch.context() as patch:
        rooms = ask.new_rooms()
        patch.setattr(ask.store, "get_users_in_room", fails)
        assert ask.synapse.run(rooms.room_mates, ann) == set()
        with pytest.raises(RuntimeError):
            ask.synapse.run(rooms.members_of_rooms, ann)
    assert ask.synapse.run(ask.rooms.shared, ann, [bob]) == [{room}]


def test_rooms_that_users_share(ask: RoomQuestions) -> None:
    synapse = ask.synapse
    ann, bob, eve = (synapse.register(name) for name in ("ann", "bob", "eve"))
    both, only = synapse.create_room(ann, bob), synapse.create_room(ann)
    ask.add_members(only, FAR + "1")
    others = [bob, eve, FAR + "1", ann]
    expected = [{both}, None, {only}, {both, only}]
    assert synapse.run(ask.rooms.shared, ann, others) == expected
    # Many at a time.
    assert synapse.run(ask.rooms.shared, ann, others * 200) == expected * 200
    assert synapse.run(ask.rooms.shared, eve, others) == [None] * 4
    assert synapse.run(ask.rooms.shared, ann, []) == []
    assert synapse.run(ask.rooms.room_mates, ann) == {ann, bob, FAR + "1"}
    assert synapse.run(ask.rooms.room_mates, eve) == set()
    members = synapse.run(ask.rooms.members_of_rooms, ann)
    assert {room: set(some) for room, some in members.items()} == {
        both: {ann, bob}, only: {ann, FAR + "1"}
    }  # fmt: skip
    # An invite or a knock does not count.
    synapse.run(
        synapse.hs.get_room_member_handler().update_membership,
        create_requester(ann), UserID.from_string(eve), only, "invite",
    )  # fmt: skip
    assert synapse.run(ask.rooms.shared, ann, [eve]) == [None]
    synapse.change_membership(eve, only, "join")
    assert synapse.run(ask.rooms.shared, ann, [eve]) == [{only}]
    assert eve in synapse.run(ask.rooms.room_mates, ann)
    synapse.change_membership(eve, only, "leave")
    assert synapse.run(ask.rooms.shared, ann, [eve]) == [None]
    assert eve not in synapse.run(ask.rooms.room_mates, ann)


def test_excluded_rooms_are_not_shared(ask: RoomQuestions, monkeypatch: Any) -> None:
    synapse = ask.synapse
    ann, bob = synapse.register("ann"), synapse.register("bob")
    hall, room = synapse.create_room(ann, bob), synapse.create_room(ann)
    config = synapse.hs.config.server
    assert hasattr(config, "rooms_to_exclude_from_presence") == (VERSION >= (1, 157))
    monkeypatch.setattr(config, "rooms_to_exclude_from_presence", [hall], raising=False)
    rooms = ask.new_rooms()
    assert synapse.run(rooms.shared, ann, [bob, ann]) == [None, {room}]
    assert synapse.run(rooms.room_mates, bob) == set()
    assert synapse.run(rooms.members_of_rooms, bob) == {}


def test_senders_without_rooms(ask: RoomQuestions) -> None:
    answer = ask.answer(f"@denied-any:{SERVER}")

    class SomeRouter:
        def __init__(self, *result: Any) -> None:
            self._result = result

        def find_senders_without_rooms(self, asked: Any, done: Any) -> None:
            assert asked is answer
            done(*self._result)

    for result, expected in (
        (("memory", "", ["@a:b"]), ["@a:b"]),
        (("failed", "a bug", None), []),
    ):
        rooms = ask.new_rooms(SomeRouter(*result))
        assert ask.synapse.run(rooms.senders_without_rooms, answer) == expected


def test_a_position_of_another_stream_hides_no_change(ask: RoomQuestions, queries: Queries) -> None:
    synapse = ask.synapse
    ann = synapse.register("ann")
    room = synapse.create_room(ann)
    assert ask.meets("public", room) is True

    # A worker hears of a change by the stream of cache invalidations, which may be far ahead.
    async def hear() -> None:
        ask.store._curr_state_delta_stream_cache.entity_has_changed(room, 1_000_000)

    synapse.run(hear)
    before = queries.number
    for _ in range(3):
        assert ask.meets("public", room) is True
    assert queries.number == before + 1, "it is remembered all the same"
    synapse.send_state(ann, room, "m.room.join_rules", {"join_rule": "invite"})
    assert ask.meets("public", room) is False


def test_workers_hear_of_changes_by_replication(ask: RoomQuestions, queries: Queries) -> None:
    synapse, store = ask.synapse, ask.store
    ann = synapse.register("ann")
    room = synapse.create_room(ann)
    assert ask.meets("two", room) is True and ask.meets("public", room) is True
    # Written by another process.
    ask.add_members(room, FAR + "2", FAR + "3", forget=False)
    assert ask.meets("two", room) is True
    row = EventsStreamCurrentStateRow(room, "m.room.member", FAR + "2", "$new")
    token = store.get_room_max_stream_ordering() + 1

    async def replicate() -> None:
        rows = [EventsStreamRow("state", row)]
        store.process_replication_rows("events", "another", token, rows)

    synapse.run(replicate)
    assert ask.meets("two", room) is False
    before = queries.number
    assert ask.meets("public", room) is True and queries.number == before + 1
    assert synapse.run(ask.rooms.shared, ann, [FAR + "2"]) == [{room}]

    async def forget_all() -> None:
        store._curr_state_delta_stream_cache.all_entities_changed(token)

    synapse.run(forget_all)
    before = queries.number
    assert ask.meets("public", room) is True and ask.meets("two", room) is False
    assert queries.number == before + 2


def test_another_storage_is_refused_by_name(ask: RoomQuestions) -> None:
    assert find_deviations_of_rooms(ask.synapse.hs) == []

    async def other_parameters(_room: str) -> None:
        raise AssertionError

    cache = ask.store._curr_state_delta_stream_cache
    for owner, name, value, deviation in (
        (ask.store, "get_partial_rooms", None, "there is no DataStore.get_partial_rooms"),
        (
            ask.store, "get_users_in_room", other_parameters,
            "DataStore.get_users_in_room takes (_room), not (room_id)",
        ),
        (
            cache, "entity_has_changed", other_parameters,
            "StreamChangeCache.entity_has_changed takes (_room), not (entity, stream_pos)",
        ),
        (
            ask.store, "_curr_state_delta_stream_cache", None,
            "there is no DataStore._curr_state_delta_stream_cache",
        ),
    ):  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value)
            assert find_deviations_of_rooms(ask.synapse.hs) == [deviation]
            with pytest.raises(RuntimeError, match="cannot start with `local: exact`"):
                ask.new_rooms()
