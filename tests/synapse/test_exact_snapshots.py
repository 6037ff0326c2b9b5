"""Snapshots of presence for servers that join a room, and of users who join one, with the rooms of
a real Synapse. The test sees what would be queued for each server."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from daemon import until
from embedded import EmbeddedSynapse
from fake_api import in_reactor
from policies import allow_room_mates, deny, hide
from presence_router.exact.rooms import Rooms
from presence_router.exact.snapshots import JoinSnapshots
from routing_rig import Rig
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.module_api import UserPresenceState
from synapse.types import UserID, create_requester

# Also beside the oldest Synapse: what the module calls is no public interface.
pytestmark = pytest.mark.smoke

WEEK_MS = 7 * 24 * 60 * 60 * 1000

Sent = dict[str, dict[str, str | None]]


class Queue:
    """The queue of a Synapse for presence that is not due to a new state."""

    def __init__(self) -> None:
        # For each server the status texts that it got, by user.
        self.sent: Sent = {}

    async def send_presence_to_destinations(
        self, states: list[UserPresenceState], destinations: list[str]
    ) -> None:
        for server in destinations:
            got = self.sent.setdefault(server, {})
            assert got.keys().isdisjoint(state.user_id for state in states)
            got.update((state.user_id, state.status_msg) for state in states)


class Joins:
    """A Synapse whose joins the module follows."""

    def __init__(self, directory: Path) -> None:
        self.synapse = EmbeddedSynapse(
            directory / "synapse", exclude_rooms_from_presence=[], presence={"enabled": True}
        )
        hs = self.synapse.hs
        self.queue = Queue()
        self.states: dict[str, UserPresenceState] = {}
        self.now = int(hs.get_clock().time_msec())
        self.rig = Rig(directory)
        # Presence itself, and what happens to what is sent, is not Synapse's here.
        self._hs: Any = SimpleNamespace(
            **{
                name: getattr(hs, name)
                for name in (
                    "config", "get_clock", "get_datastores", "get_instance_name", "get_notifier",
                    "is_mine_id",
                )
            },
            get_presence_handler=lambda: SimpleNamespace(
                get_federation_queue=lambda: self.queue, current_state_for_users=self._current
            ),
        )  # fmt: skip

        async def start() -> None:
            rooms = Rooms(hs, self.rig.router)
            for part in ("_views", "_servers"):
                setattr(getattr(self.rig.routing.sends, part), "_rooms", rooms)
            self.snapshots = JoinSnapshots(hs.get_module_api(), self._hs, self.rig.routing.sends)
            self.snapshots.start()

        self.synapse.run(start)

    async def _current(self, users: list[str]) -> dict[str, UserPresenceState]:
        return {user: self.states.get(user, UserPresenceState.default(user)) for user in users}

    def user(self, name: str, status: str) -> str:
        """A local user with a status text."""
        user_id = self.synapse.register(name)
        self.states[user_id] = UserPresenceState.default(user_id).copy_and_replace(
            state="online", status_msg=status, last_active_ts=self.now
        )
        return user_id

    def join_from_afar(self, user_id: str, room_id: str, **content: Any) -> None:
        """Lets a user of another server join a room, or change their profile there."""
        hs = self.synapse.hs

        async def join() -> None:
            version = await self.synapse.store.get_room_version_id(room_id)
            event = {
                "type": "m.room.member", "sender": user_id, "state_key": user_id,
                "room_id": room_id, "content": {"membership": "join"} | content,
            }  # fmt: skip
            builder = hs.get_event_builder_factory().for_room_version(
                KNOWN_ROOM_VERSIONS[version], event
            )
            handler = hs.get_event_creation_handler()
            made, unpersisted = await handler.create_new_client_event(builder)
            context = await unpersisted.persist(made)
            persistence = hs.get_storage_controllers().persistence
            await persistence.persist_event(made, context)
            hs.get_notifier().notify_replication()

        self.synapse.run(join)

    def take(self) -> Sent:
        """What was sent since the last call, once the module has followed all joins."""

        async def notify() -> None:
            # As any change does.
            self.synapse.hs.get_notifier().notify_replication()

        self.synapse.run(notify)
        store = self.synapse.store
        until(
            lambda: (
                not self.snapshots._is_following
                and self.snapshots._position >= store.get_room_max_stream_ordering()
            ),
            "all joins are followed",
        )
        sent, self.queue.sent = self.queue.sent, {}
        return sent


@pytest.fixture(scope="module")
def joins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joins]:
    joins = Joins(tmp_path_factory.mktemp("joins"))
    viewers = {"match": "@viewer*:*"}
    joins.rig.start(
        [
            allow_room_mates(),
            deny({"match": "@denied*:*"}, viewers),
            hide({"match": "@hidden*:*"}, viewers),
        ]
    )
    yield joins
    joins.rig.stop()


def room_of(joins: Joins) -> tuple[str, str, str, str]:
    """A room with a visible user, one whose status text is hidden from viewers, and one whom
    viewers may not see."""
    visible, hidden, denied = (
        joins.user(name, f"of {name}") for name in ("visible", "hidden", "denied")
    )
    room_id = joins.synapse.create_room(visible, hidden, denied)
    assert joins.take() == {}
    return room_id, visible, hidden, denied


def test_a_server_that_joins_gets_whom_it_may_see(joins: Joins) -> None:
    room_id, visible, hidden, denied = room_of(joins)
    joins.join_from_afar("@viewer:far.example", room_id)
    assert joins.take() == {"far.example": {visible: "of visible", hidden: None}}
    # Another user of the same server is nothing new to it.
    joins.join_from_afar("@second:far.example", room_id)
    assert joins.take() == {}
    joins.join_from_afar("@third:near.example", room_id)
    everybody = {visible: "of visible", hidden: "of hidden", denied: "of denied"}
    assert joins.take() == {"near.example": everybody}


def test_servers_get_local_users_who_join(joins: Joins) -> None:
    room_id, *_ = room_of(joins)
    joins.join_from_afar("@viewer:far.example", room_id)
    joins.join_from_afar("@third:near.example", room_id)
    joins.take()
    newcomer, denied = joins.user("newcomer", "new"), joins.user("denied", "secret")
    for user in (newcomer, denied):
        joins.synapse.change_membership(user, room_id, "join")
    assert joins.take() == {
        "far.example": {newcomer: "new"},
        "near.example": {newcomer: "new", denied: "secret"},
    }


def test_other_changes_of_members_send_nothing(joins: Joins) -> None:
    room_id, visible, hidden, _ = room_of(joins)
    other_room = joins.synapse.create_room(visible, hidden)
    for room in (room_id, other_room):
        joins.join_from_afar("@third:near.example", room)
    joins.take()
    joins.join_from_afar("@third:near.example", room_id, displayname="Third")
    # In the other room the server sees the user.
    invited = joins.user("invited", "x")
    joins.synapse.change_membership(invited, other_room, "join")
    assert joins.take() == {"near.example": {invited: "x"}}
    joins.synapse.run(
        joins.synapse.hs.get_room_member_handler().update_membership,
        create_requester(visible), UserID.from_string(invited), room_id, "invite",
    )  # fmt: skip
    # In the other room the server still sees the user.
    joins.synapse.change_membership(hidden, room_id, "leave")
    joins.synapse.send_state(visible, room_id, "test", {"membership": "join"}, visible)
    assert joins.take() == {}


def test_many_changes_at_once_are_followed(joins: Joins) -> None:
    room_id, visible, *_ = room_of(joins)
    joins.snapshots._is_following = True
    # Each has about six changes of state, and Synapse reads a hundred at a time.
    for _ in range(25):
        joins.synapse.create_room(visible)
    joins.join_from_afar("@viewer:far.example", room_id)
    joins.snapshots._is_following = False
    assert visible in joins.take()["far.example"]


def test_users_who_have_long_been_offline_are_left_out(joins: Joins) -> None:
    old, lately, silent = (joins.user(name, "x") for name in ("old", "lately", "silent"))
    for user, ago, status in ((old, 2 * WEEK_MS, None), (lately, 1000, None)):
        joins.states[user] = joins.states[user].copy_and_replace(
            state="offline", last_active_ts=joins.now - ago, status_msg=status
        )
    del joins.states[silent]
    room_id = joins.synapse.create_room(old, lately, silent)
    joins.join_from_afar("@third:near.example", room_id)
    assert joins.take() == {"near.example": {lately: None}}


def test_rooms_that_synapse_excludes_from_presence_send_nothing(
    joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    visible = joins.user("visible", "x")
    room_id = joins.synapse.create_room(visible)
    monkeypatch.setattr(joins.snapshots, "_excluded", [room_id])
    asked: list[Any] = []
    monkeypatch.setattr(joins.snapshots._sends, "versions", lambda *pairs: asked.append(pairs))
    joins.join_from_afar("@third:near.example", room_id)
    assert joins.take() == {}
    assert asked == []


def test_an_error_about_one_room_concerns_no_other(
    joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = room_of(joins), room_of(joins)
    store = joins.synapse.store

    class Store:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def get_users_in_room(self, room_id: str) -> Any:
            if room_id == broken[0]:
                raise OSError("no database")
            return await store.get_users_in_room(room_id)

    monkeypatch.setattr(joins.snapshots, "_store", Store())
    for room in (broken, whole):
        joins.join_from_afar("@viewer:far.example", room[0])
    assert joins.take() == {"far.example": {whole[1]: "of visible", whole[2]: None}}


def test_after_a_failure_the_module_pauses_and_logs_once(
    joins: Joins, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room_id, visible, *_ = room_of(joins)
    store, snapshots = joins.synapse.store, joins.snapshots
    queries: list[int] = []
    pauses: list[float] = []

    class Store:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def get_partial_current_state_deltas(self, since: int, until: int) -> Any:
            queries.append(since)
            if len(queries) <= 2:
                raise OSError("no database")
            return await store.get_partial_current_state_deltas(since, until)

    class Api:
        def __getattr__(self, name: str) -> Any:
            return getattr(joins.synapse.hs.get_module_api(), name)

        async def sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            # What happens meanwhile asks no question.
            for _ in range(10):
                snapshots._on_change()
            assert len(queries) == len(pauses)

    monkeypatch.setattr(snapshots, "_store", Store())
    monkeypatch.setattr(snapshots, "_api", Api())
    with caplog.at_level(logging.WARNING, "presence_router"):
        joins.join_from_afar("@viewer:far.example", room_id)
        assert visible in joins.take()["far.example"]
    assert pauses == [5.0, 5.0]
    assert set(queries[:3]) == {queries[0]}
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Cannot follow the joins of rooms",
        "The module follows the joins of rooms again",
    ]


def test_only_the_process_that_writes_presence_follows_joins(joins: Joins) -> None:
    class NoNotifier:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError

    hs = SimpleNamespace(
        **vars(joins._hs) | {"get_instance_name": lambda: "worker1", "get_notifier": NoNotifier}
    )

    async def start() -> None:
        JoinSnapshots(joins.synapse.hs.get_module_api(), hs, joins.rig.routing.sends).start()

    in_reactor(start)
