"""The log of rooms reads a Synapse's own database, and says if it cannot."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from embedded import EmbeddedSynapse
from presence_router.exact.bell_shapes import find_deviations_of_bells
from presence_router.exact.hang_bells import hang_bells
from presence_router.exact.room_changes import RoomLog

# Also beside the oldest Synapse: what the module calls is no public interface.
pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def synapse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSynapse]:
    yield EmbeddedSynapse(tmp_path_factory.mktemp("synapse"))


def read(synapse: EmbeddedSynapse, log: RoomLog) -> list[tuple[str, str | None]]:
    """The rooms that changed since the last time, and who joined or left."""
    before = log.position
    assert synapse.run(log.read_until, log.newest_position())
    assert not synapse.run(log.read_until, log.newest_position() + 1), "not there yet"
    changes = log.missed_since(before)
    assert changes is not None
    return [(change.room_id, change.user_id) for change in changes]


def test_joins_and_leaves_and_facts_are_changes_and_nothing_else_is(
    synapse: EmbeddedSynapse,
) -> None:
    ann, bob = (synapse.register(name) for name in ("ann", "bob"))
    log = RoomLog(synapse.hs)
    room = synapse.create_room(ann)
    assert (room, ann) in read(synapse, log)
    synapse.change_membership(bob, room, "join")
    assert read(synapse, log) == [(room, bob)]
    # A join of one who is in the room already, as for a new name.
    synapse.send_state(ann, room, "m.room.name", {"name": "a room"})
    synapse.send_state(ann, room, "m.room.topic", {"topic": "a topic"})
    assert read(synapse, log) == []
    synapse.send_state(ann, room, "m.room.join_rules", {"join_rule": "invite"})
    assert read(synapse, log) == [(room, None)]
    synapse.change_membership(bob, room, "leave")
    assert read(synapse, log) == [(room, bob)]
    space = synapse.create_room(ann)
    read(synapse, log)
    synapse.send_state(ann, space, "m.space.child", {"via": ["test"]}, key=room)
    assert read(synapse, log) == [(room, None)]


def test_a_room_that_passes_a_limit_changes_as_a_whole(synapse: EmbeddedSynapse) -> None:
    ann, bob, eve = (synapse.register(name) for name in ("ann", "bob", "eve"))
    log = RoomLog(synapse.hs)
    log._limits = {0: [2]}
    room = synapse.create_room(ann)
    read(synapse, log)
    synapse.change_membership(bob, room, "join")
    assert read(synapse, log) == [(room, bob)]
    synapse.change_membership(eve, room, "join")
    assert read(synapse, log) == [(room, eve), (room, None)]
    synapse.change_membership(eve, room, "leave")
    assert read(synapse, log) == [(room, eve), (room, None)]


def test_another_synapse_is_refused_by_name(
    synapse: EmbeddedSynapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_deviations_of_bells(synapse.hs) == []

    async def other(_something: Any) -> None:
        raise AssertionError

    handler = synapse.hs.get_presence_handler()
    for owner, name, deviation in (
        (synapse.store, "get_membership_from_event_ids", "DataStore.get_membership_from_event_ids"),
        (handler, "set_state", "PresenceHandler.set_state"),
        (
            synapse.store._curr_state_delta_stream_cache,
            "has_entity_changed",
            "StreamChangeCache.has_entity_changed",
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, other)
            (found,) = find_deviations_of_bells(synapse.hs)
            assert found.startswith(f"{deviation} takes (_something), not (")
            api: Any = SimpleNamespace(_hs=synapse.hs, server_name="test")
            unused: Any = None
            with pytest.raises(RuntimeError, match="cannot start with `local: exact`"):
                hang_bells(unused, api, unused, unused, unused, list, 1.0)
