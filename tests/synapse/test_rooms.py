"""New rooms, under a real Synapse by both interfaces, and whatever a client may send."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import World
from daemon import Daemon, until
from fake_api import Loaded, in_reactor
from homeserver import MODULE, Homeserver
from presence_router.rooms import Rooms, room_request
from synapse.module_api.errors import SynapseError

README = Path(__file__).parents[2] / "client/python/README.md"
HINT = "m.room.presence_sharing"
NOWHERE = "unix:/nowhere/presence-router.sock"

# What the tests ask for beside the rules of the page for operators.
MORE = """
  - name: strangers
    when: { invites: { any: everyone, except: { server: test } } }
    deny: { errcode: ORG.EXAMPLE_STRANGERS, message: no strangers here, status: 400 }
  - name: names
    when: { name: "Board*", admin: false }
    deny: { message: not a name for you }
"""


def policy() -> str:
    """The policy of the page, and more."""
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "rooms:\n" in block and "modules:" not in block]
    return block + MORE


@pytest.fixture(scope="module", params=["modules", "legacy"])
def world(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("rooms")
    daemon = Daemon(directory)
    daemon.write_text(policy())
    entry = {"module": MODULE, "config": {"address": daemon.address, "deadline_ms": 5000}}
    entry["config"]["rooms"] = True
    both = {
        "modules": {"modules": [entry]},
        "legacy": {"presence": {"enabled": True, "presence_router": entry}},
    }
    homeserver = Homeserver(directory, **both[request.param])
    try:
        daemon.start()
        homeserver.start()
        yield World(daemon, homeserver)
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()
        daemon.stop()


def rooms(world: World, what: str) -> float:
    """How many rooms became that."""
    return world.homeserver.metrics().get(f'presence_router_rooms_total{{what="{what}"}}', 0)


def test_clients_see_the_event_in_the_new_room(world: World) -> None:
    (ann,) = world.users("ann")
    before = rooms(world, "added"), rooms(world, "unchanged")
    answer = ann.ask_for_room(preset="private_chat", name="Team")
    assert answer.status_code == 200, answer.text
    assert ann.room_state(answer.json()["room_id"], HINT).json() == {"presence_sharing": "forbid"}
    # A preset that Synapse would choose by itself counts.
    room_id = ann.ask_for_room().json()["room_id"]
    assert ann.room_state(room_id, HINT).status_code == 200
    room_id = ann.ask_for_room(visibility="public").json()["room_id"]
    assert ann.room_state(room_id, HINT).status_code == 404
    assert (rooms(world, "added"), rooms(world, "unchanged")) == (before[0] + 2, before[1] + 1)


def test_what_the_creator_sets_stays(world: World) -> None:
    (ann,) = world.users("ann")
    own = {"type": HINT, "state_key": "", "content": {"presence_sharing": "suggest"}}
    topic = {"type": "m.room.topic", "content": {"topic": "mine"}}
    room_id = ann.ask_for_room(initial_state=[topic, own]).json()["room_id"]
    assert ann.room_state(room_id, HINT).json() == own["content"]
    room_id = ann.ask_for_room(initial_state=[topic]).json()["room_id"]
    assert ann.room_state(room_id, HINT).json() == {"presence_sharing": "forbid"}
    assert ann.room_state(room_id, "m.room.topic").json() == topic["content"]


def test_a_denial_reaches_the_client(world: World) -> None:
    ann, guest = world.users("ann", "guest")
    lines, denied = len(world.homeserver.our_log()), rooms(world, "denied")
    answer = guest.ask_for_room(preset="public_chat")
    want = {"errcode": "M_FORBIDDEN", "error": "Guests cannot create public rooms"}
    assert (answer.status_code, answer.json()) == (403, want)
    assert guest.ask_for_room().status_code == 200
    answer = ann.ask_for_room(invite=["@mallory:evil.example"])
    want = {"errcode": "ORG.EXAMPLE_STRANGERS", "error": "no strangers here"}
    assert (answer.status_code, answer.json()) == (400, want)
    # By whichever way the room would get its name.
    named = {"type": "m.room.name", "content": {"name": "Board 7"}}
    for content in ({"name": "Board 7"}, {"initial_state": [named]}):
        answer = ann.ask_for_room(**content)
        assert answer.status_code == 403 and answer.json()["error"] == "not a name for you"
    assert ann.ask_for_room(name="Team", initial_state=[named]).status_code == 200
    assert rooms(world, "denied") == denied + 4
    log = world.homeserver.our_log()[lines:]
    assert any(guest.id in line and "`guests create no public rooms`" in line for line in log), log


def test_a_client_that_sends_anything_gets_no_500_of_ours(world: World) -> None:
    (ann,) = world.users("ann")
    for content, codes in (
        ({"initial_state": {"a": 1}}, {400}),
        ({"initial_state": None}, {400}),
        ({"preset": "secret_chat"}, {400}),
        ({"preset": 7}, {400}),
        ({"name": "x" * 1_000_000}, {413}),
        ({"topic": "x" * 1_000_000}, {200, 400, 413}),
    ):
        answer = ann.ask_for_room(**content)
        assert answer.status_code in codes, (str(content)[:80], answer.text[:200])
    assert ann.ask_for_room().status_code == 200


def test_the_daemon_away_costs_nothing_but_its_rules(world: World) -> None:
    (ann,) = world.users("ann")
    let, lines = rooms(world, "let"), len(world.homeserver.our_log())
    world.daemon.kill()
    try:
        ids = [ann.ask_for_room(name="Board 7").json()["room_id"] for _ in range(2)]
        assert [ann.room_state(room_id, HINT).status_code for room_id in ids] == [404, 404]
    finally:
        world.daemon.start()
    assert rooms(world, "let") == let + 2
    log = world.homeserver.our_log()[lines:]
    assert sum("presence-router gives no verdict on new rooms" in line for line in log) == 1, log
    until(lambda: ann.ask_for_room(name="Board 7").status_code == 403, "the daemon is asked again")


def test_without_being_asked_for_it_is_not_there(tmp_path: Path) -> None:
    assert vars(Loaded("here", address=NOWHERE).api.third_party_rules) == {}


def test_rooms_can_be_denied_while_the_daemon_is_away() -> None:
    loaded = Loaded("here", address=NOWHERE, rooms=True, rooms_when_away="deny")
    content = {"name": "x"}
    with pytest.raises(SynapseError) as denied:
        call(loaded, content)
    assert (denied.value.code, denied.value.errcode) == (503, "M_UNKNOWN")
    assert content == {"name": "x"}


def requester(user_id: str) -> Any:
    return SimpleNamespace(user=SimpleNamespace(to_string=lambda: user_id))


def call(loaded: Loaded, content: dict[str, Any], user_id: str = "@ann:here") -> None:
    callback = loaded.api.third_party_rules.on_create_room
    in_reactor(lambda: callback(requester(user_id), content, False))


ODD: list[Any] = [
    None, True, 0, -1.5, 1 << 80, "", "x", "\ud800", "\0", "x" * 1_000_000, [], [None], [[]], [{}],
    ["\udfff"], {}, {"@a:b": 1}, {"type": 1}, [{"type": "t", "state_key": 7}], [{"type": []}],
    [{"type": "\ud800", "content": None}], ["@a:b"] * 20_000, [{"type": "t"}] * 20_000,
]  # fmt: skip
FIELDS = ("preset", "visibility", "invite", "name", "initial_state", "room_alias_name", "other")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("odd"))
    daemon.write_text(policy())
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("away", [False, True])
def test_nothing_but_synapses_own_error_is_raised(asked: Daemon, away: bool) -> None:
    address = NOWHERE if away else asked.address
    loaded = Loaded("here", address=address, rooms=True)
    for field in FIELDS:
        for value in ODD:
            content = {field: value}
            try:
                call(loaded, content)
            except SynapseError as why:
                assert 400 <= why.code <= 413, (field, str(value)[:50], why)
                assert content == {field: value}
    for user_id in ("", "@ann", "@ann:elsewhere"):
        content = {}
        call(loaded, content, user_id)
        assert content == {}


def test_what_is_too_large_to_ask_about_is_denied(asked: Daemon) -> None:
    loaded = Loaded("here", address=asked.address, rooms=True)
    for content in (
        {"name": "x" * 70_000},
        {"invite": ["@a:b"] * 10_001},
        {"invite": ["@" + "a" * 200 + ":b"] * 9_000},
        {"initial_state": [{"type": "t", "content": {}}] * 10_001},
    ):
        with pytest.raises(SynapseError) as denied:
            call(loaded, content)
        assert (denied.value.code, denied.value.errcode) == (413, "M_TOO_LARGE")


def test_a_request_is_read_as_synapse_reads_it() -> None:
    named = {"type": "m.room.name", "content": {"name": "two"}}
    other = {"type": "m.room.name", "state_key": "x", "content": {"name": "three"}}
    for content, field, want in (
        ({}, "preset", None),
        ({"preset": None}, "preset", ""),
        ({"visibility": 7}, "visibility", ""),
        ({"invite": {"@a:b": 1}}, "invites", ["@a:b"]),
        ({"invite": ["@a:b", 7, "\ud800"]}, "invites", ["@a:b", "?"]),
        ({"name": "one", "initial_state": [named]}, "name", "one"),
        ({"initial_state": [named, other]}, "name", "two"),
        (
            {"initial_state": [named, other]},
            "initial_state",
            [("m.room.name", ""), ("m.room.name", "x")],
        ),
        ({"initial_state": [{"type": 7}, None, {"type": "t"}]}, "initial_state", [("t", "")]),
    ):  # fmt: skip
        asked = dict(room_request("@ann:here", content, False))
        assert asked[field] == want, content


@pytest.mark.parametrize(
    "verdict", [(None, [("t", "", "not JSON", "r")]), (None, 7), 7, ((1, "E_E", "m", "r"), [])]
)
def test_a_daemon_that_says_nonsense_is_one_without_a_verdict(verdict: Any) -> None:
    async def ask(_room: Any) -> Any:
        return verdict

    content: dict[str, Any] = {}
    rooms = Rooms(ask, deny_when_away=True)
    callback = rooms.on_create_room(requester("@ann:here"), content, False)
    with pytest.raises(SynapseError) as denied:
        callback.send(None)
    assert denied.value.code in (403, 503)
    assert content == {}
