"""What the mode `exact` expects of Synapse's own objects, for each supported version: each failure
names what changed."""

import inspect
import json
import re
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_api import state
from homeserver import VERSION, Homeserver, module_of_tests
from presence_router.exact import shapes
from presence_router.exact.all_rooms import AllRooms
from synapse.handlers import presence
from synapse.storage.databases.main.roommember import RoomMemberWorkerStore

pytestmark = pytest.mark.smoke

excludes_rooms = VERSION >= (1, 157)
needs_excluded_rooms = pytest.mark.skipif(
    not excludes_rooms, reason="Synapse excludes rooms from presence since 1.157"
)


def test_synapse_has_the_shapes(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    finder = module_of_tests(tmp_path, "shape_finder.ShapeFinder", found=str(found))
    homeserver = Homeserver(tmp_path, modules=[finder])
    homeserver.start(ready=False)
    deviations = json.loads(found.read_text())
    assert deviations["local"] == []
    if excludes_rooms:
        assert deviations["federation"] == []
    else:
        assert (
            "PresenceHandler has no set `_rooms_to_exclude_from_presence`"
            in (deviations["federation"])
        )
        assert "get_interested_remotes does not take `excluded_rooms`" in deviations["federation"]


def test_this_version_is_named_in_the_message() -> None:
    first, last = re.findall(r"1\.(\d+)", shapes.KNOWN_VERSIONS)
    assert int(first) <= VERSION[1] <= int(last)
    first, last = re.findall(r"1\.(\d+)", shapes.KNOWN_VERSIONS_OF_FEDERATION)
    assert excludes_rooms == (int(first) <= VERSION[1] <= int(last))
    message = shapes.refusal(["a", "b"], with_federation=False)
    assert "`local: exact` in Synapse 1." in message and ": a; b." in message
    assert "with `local: add` and presence switched on, all room-mates see each" in message.lower()
    federation = shapes.refusal(["a"], with_federation=True)
    assert "the servers of all room-mates get presence, whatever the policy denies" in federation


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


class Store:
    """Ann shares a room with users of another server."""

    get_users_who_share_room_with_user = RoomMemberWorkerStore.get_users_who_share_room_with_user

    async def get_rooms_for_user(self, _user_id: str) -> frozenset[str]:
        return frozenset({"!room"})

    async def get_current_hosts_in_room(self, _room_id: str) -> set[str]:
        return {"there"}

    async def get_users_in_room(self, _room_id: str) -> list[str]:
        return ["@ann:test", "@eve:there"]


class NobodyMore:
    async def get_users_for_states(self, _states: Any) -> dict[str, Any]:
        return {}


@needs_excluded_rooms
def test_all_rooms_excludes_every_room_wherever_synapse_looks() -> None:
    ann = state("@ann:test")

    def asks(function: Any, rooms: Any) -> Any:
        return finished(function(Store(), NobodyMore(), [ann], rooms))

    for rooms, hosts, room_ids in ((frozenset(), {"there"}, ["!room"]), (AllRooms(), set(), [])):
        remotes = asks(presence.get_interested_remotes, rooms)
        assert [set(to) for to, _ in remotes] == [hosts]
        by_room, by_user = asks(presence.get_interested_parties, rooms)
        assert list(by_room) == room_ids and list(by_user) == [ann.user_id]
        mates = finished(Store().get_users_who_share_room_with_user(ann.user_id, rooms))
        assert mates == ({"@ann:test", "@eve:there"} if room_ids else set())


@needs_excluded_rooms
def test_all_rooms_ends_the_snapshot_for_joined_hosts() -> None:
    handler = SimpleNamespace(**{shapes.EXCLUDED_ROOMS: AllRooms()})
    snapshot = presence.PresenceHandler._handle_state_delta
    # Of the deltas, which are none, it would raise.
    assert finished(snapshot(handler, "!room", None)) is None  # type: ignore[arg-type]
    handler = SimpleNamespace(**{shapes.EXCLUDED_ROOMS: frozenset()})
    with pytest.raises(TypeError):
        finished(snapshot(handler, "!room", None))  # type: ignore[arg-type]


@needs_excluded_rooms
def test_all_rooms_is_what_synapse_subtracts_and_looks_into() -> None:
    # Another use than these might need another set.
    uses = {
        line.strip()
        for line in inspect.getsource(presence).splitlines()
        if re.search(r"\b(_rooms_to_exclude_from_presence|excluded_rooms)\b", line)
    }
    assert uses == {
        "self._rooms_to_exclude_from_presence = frozenset(",
        "self._rooms_to_exclude_from_presence,",
        ") - self._rooms_to_exclude_from_presence",
        "if room_id in self._rooms_to_exclude_from_presence:",
        "if self._rooms_to_exclude_from_presence:",
        "my_rooms = my_rooms - self._rooms_to_exclude_from_presence",
        "user_id, self._rooms_to_exclude_from_presence",
        "excluded_rooms: AbstractSet[str] = frozenset(),",
        "excluded_rooms: Rooms which should not, on their own, cause presence to",
        "if room_id in excluded_rooms:",
    }


def test_nothing_is_left_of_rooms_less_all_rooms() -> None:
    for rooms in ({"!a"}, frozenset({"!a"}), set()):
        assert rooms - AllRooms() == frozenset()
    assert AllRooms() and "!a" in AllRooms()
    for listed in (list, len, lambda all_rooms: {"!a"}.difference(all_rooms)):
        with pytest.raises(TypeError):
            listed(AllRooms())  # type: ignore[operator]


def test_the_functions_that_read_presence_are_called_where_they_were() -> None:
    # Another call might show presence to somebody else than the requester.
    root = Path(inspect.getfile(presence)).parents[1]
    called = r"\.(get_states?|is_visible|get_presence_for_all_users)\("
    calls = set()
    for file in root.rglob("*.py"):
        for line in file.read_text().splitlines():
            for name in re.findall(called, line):
                if "presence" in line or file.name == "presence.py":
                    calls.add((file.relative_to(root).as_posix(), name))
    assert calls == {
        ("rest/client/presence.py", "is_visible"),
        ("rest/client/presence.py", "get_state"),
        ("handlers/sync.py", "get_states"),
        ("handlers/events.py", "get_states"),
        ("handlers/initial_sync.py", "get_states"),
        ("handlers/presence.py", "get_state"),
        ("handlers/presence.py", "get_states"),
        ("handlers/presence.py", "get_presence_for_all_users"),
    }
