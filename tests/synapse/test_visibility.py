"""The native half's answers about one user, evaluated over the rooms that users share: every
scenario file, with facts that are handed over when a question lacks them, as the module does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from daemon import Daemon, until
from fake_api import state
from native_client import NativeClient
from presence_router._native import RoomFacts, Router, Visibility
from presence_router.redact import redact

T = TypeVar("T")

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))

# The fields that hides name, by their bits.
FIELDS = {2: "status_msg", 4: "last_active_ts", 8: "currently_active"}


class GivenRooms:
    """The rooms of a scenario, and the memory of the native half that gets facts about them."""

    def __init__(self, rooms: dict[str, dict[str, Any]]) -> None:
        self.rooms = rooms
        self.facts = RoomFacts(100)
        self.loaded: list[tuple[str, str, int]] = []

    def shared(self, one: str, others: list[str]) -> list[list[str] | None]:
        """The rooms that a user shares with others."""
        return [self._shared_with(one, other) or None for other in others]

    def mates(self, user: str, server: str) -> dict[str, list[str]]:
        """The room-mates of a user on a server, with the rooms."""
        others = {
            other
            for room in self.rooms.values()
            for other in room["members"]
            if user in room["members"] and other.endswith(f":{server}")
        }
        return {other: self._shared_with(user, other) for other in others}

    def decide(self, ask: Callable[[Any], tuple[T, list[Any]]]) -> T:
        """Asks until no fact is missing."""
        counts: dict[tuple[str, int], int | None] = {}
        for _ in range(10):
            value, missing = ask((self.facts, counts))
            if not missing:
                return value
            for kind, room_id, patterns in missing:
                self.loaded.append((kind, room_id, patterns))
                self._load(kind, room_id, patterns, counts)
        raise AssertionError("facts are missing again and again")

    def _shared_with(self, one: str, other: str) -> list[str]:
        return [id for id, room in self.rooms.items() if {one, other} <= set(room["members"])]

    def _load(
        self, kind: str, room_id: str, patterns: int, counts: dict[tuple[str, int], int | None]
    ) -> None:
        room = self.rooms.get(room_id, {})
        if kind == "state":
            self.facts.put_state(
                room_id,
                room.get("encrypted", False),
                room.get("join_rule", "invite"),
                room.get("history_visibility", "shared"),
                room.get("presence_sharing"),
            )
        elif kind == "space":
            of_space = [id for id, one in self.rooms.items() if room_id in one.get("spaces", [])]
            self.facts.put_space(room_id, of_space)
        else:
            assert kind == "members"
            partial = room.get("partial", False)
            count = self.facts.count_members(patterns, room["members"])
            counts[room_id, patterns] = None if partial else count


class Client(NativeClient):
    """A native half that evaluates rooms."""

    def __init__(self, address: str, server: str, known: list[str]) -> None:
        self.router = Router(address, server, [], 5000, 0, 16, redact, decides_alone=True)
        self.router.add_known_users(known)
        self.router.finish_seeding()

    def visible_senders(self, user: str) -> Visibility:
        result = self.wait(lambda done: self.router.find_visible_senders(user, done))
        assert result.outcome == "ok", result
        (answer,) = result.value
        return answer

    def recipients_of(self, senders: list[str]) -> list[Visibility]:
        result = self.wait(lambda done: self.router.find_recipients_of(senders, done))
        assert result.outcome == "ok", result
        return result.value


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def scenario(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.stop()


def callers_of(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    """The callers of one server name that evaluate all that there is about rooms."""
    return [
        caller
        for caller in scenario["callers"]
        if len(caller["server_names"]) == 1 and "capabilities" not in caller
    ]


def test_nearly_all_scenarios_have_such_callers() -> None:
    scenarios = [yaml.safe_load(file.read_text()) for file in FILES]
    assert sum(bool(callers_of(scenario)) for scenario in scenarios) >= 19


def server_of(user: str) -> str:
    return user.partition(":")[2]


def test_a_scenario_holds(scenario: dict[str, Any], daemon: Daemon) -> None:
    daemon.write_text(scenario["policy"])
    daemon.start()
    users = scenario["users"]
    for caller in callers_of(scenario):
        (server,) = caller["server_names"]
        client = Client(daemon.address, server, users)
        rooms = GivenRooms(scenario.get("rooms", {}))
        hides = caller.get("hides", {})

        def hidden_of(bits: int) -> list[str]:
            return sorted(name for bit, name in FIELDS.items() if bits & bit)

        def expected_hidden(sender: str, recipient: str, hides: Any = hides) -> list[str]:
            return sorted(hides.get(sender, {}).get(recipient, []))

        try:
            for sender, answer in zip(users, client.recipients_of(users), strict=True):
                recipients = caller.get("audiences", {}).get(sender, [])
                shared = rooms.shared(sender, users)
                visible = rooms.decide(
                    lambda known, answer=answer, shared=shared: answer.recipients(
                        "online", users, shared, known
                    )
                )
                found = {users[position]: hidden_of(hidden) for position, hidden in visible}
                wanted = {one: expected_hidden(sender, one) for one in recipients}
                assert found == wanted, f"{scenario['about']} {server} {sender}"
                # A server gets what its recipients see, without what is hidden from any of them.
                for other in {server_of(user) for user in users} - {server}:
                    mates = rooms.mates(sender, other)
                    hidden = rooms.decide(
                        lambda known, answer=answer, other=other, mates=mates: answer.server_sees(
                            other, "online", mates, True, known
                        )
                    )
                    there = [one for one in recipients if server_of(one) == other]
                    if there:
                        assert hidden is not None
                        at_least = {name for one in there for name in wanted[one]}
                        assert at_least <= set(hidden_of(hidden))
                    # Without a recipient among the users, an open set may have others there.
            for recipient in users:
                answer = client.visible_senders(recipient)
                shared = rooms.shared(recipient, users)
                states = [state(user) for user in users]
                visible = rooms.decide(
                    lambda known, answer=answer, shared=shared, states=states: answer.shown_states(
                        states, shared, known
                    )
                )
                found = {users[position]: hidden_of(hidden) for position, hidden in visible}
                senders = caller.get("interests", {}).get(recipient, [])
                wanted = {sender: expected_hidden(sender, recipient) for sender in senders}
                assert found == wanted, f"{scenario['about']} {server} {recipient}"
                # Together with the room-mates, these hold all whom the recipient sees.
                result = client.wait(
                    lambda done, answer=answer: client.router.find_senders_without_rooms(
                        answer, done
                    )
                )
                mates = {other for other, rooms in zip(users, shared, strict=True) if rooms}
                assert set(senders) <= mates | set(result.value)
        finally:
            client.close()


SMALL = {"name": "small", "allow": {"share_room": {"at_most": 2}}}
DENY = {
    "name": "not in the clear",
    "deny": {"from": "@ann:test", "to": "everyone", "share_room": {"encrypted": False}},
}


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    daemon.write([SMALL, DENY])
    daemon.start()
    client = Client(daemon.address, "test", ["@ann:test", "@sue:test"])
    yield client
    client.close()


def test_missing_facts_are_named_and_show_nobody(client: Client) -> None:
    answer = client.visible_senders("@bob:test")
    assert answer.depends_on_rooms and not answer.is_open_to_strangers
    assert answer.user_id == "@bob:test" and not answer.is_stale
    states = [state("@ann:test"), state("@sue:test"), state("@bob:test")]
    shared = [["!r"], ["!r"], ["!r"]]
    facts = RoomFacts(10)
    missing = [("members", "!r", 0), ("state", "!r", 0)]
    assert answer.shown_states(states, shared, (facts, None)) == ([], missing)
    # A number that is not known is not missing.
    unknown = answer.shown_states(states, shared, (facts, {("!r", 0): None}))
    assert unknown == ([], [("state", "!r", 0)])
    # Ann's deny needs the state, and counts until it is there.
    counts: dict[tuple[str, int], int | None] = {("!r", 0): 2}
    lacking = answer.shown_states(states, shared, (facts, counts))
    assert lacking == ([(1, 0)], [("state", "!r", 0)])
    facts.put_state("!r", True, "invite", "shared", None)
    both = ([(0, 0), (1, 0)], [])
    assert answer.shown_states(states, shared, (facts, counts)) == both
    facts.put_state("!r", False, "invite", "shared", None)
    assert answer.shown_states(states, shared, (facts, counts)) == ([(1, 0)], [])
    facts.put_state("!r", None, None, None, None)
    assert answer.shown_states(states, shared, (facts, counts)) == ([(1, 0)], [])
    facts.put_state("!r", True, "invite", "shared", None)
    facts.forget(["!r"])
    assert answer.shown_states(states, shared, (facts, counts)) == lacking
    facts.put_state("!r", True, "invite", "shared", None)
    facts.forget_all()
    assert answer.shown_states(states, shared, (facts, counts)) == lacking


def test_nothing_shared_is_nothing_seen(client: Client) -> None:
    answer = client.visible_senders("@bob:test")
    states = [state("@ann:test"), state("@sue:test")]
    facts = RoomFacts(10)
    for shared in (None, [None, None], [[], []]):
        assert answer.shown_states(states, shared, (facts, None)) == ([], [])
    with pytest.raises(ValueError, match="fewer entries of shared rooms"):
        answer.shown_states(states, [None], (facts, None))


def test_a_server_with_unknown_room_mates_gets_nothing_because_of_them(client: Client) -> None:
    (answer,) = client.recipients_of(["@sue:test"])
    facts, counts = RoomFacts(10), {("!r", 0): 2}
    one = {"@pat:other": ["!r"]}
    assert answer.server_sees("other", "online", one, True, (facts, counts)) == (0, [])
    assert answer.server_sees("other", "online", {}, True, (facts, counts)) == (None, [])
    assert answer.server_sees("other", "online", {}, False, (facts, counts)) == (None, [])
    missing = (None, [("members", "!r", 0)])
    assert answer.server_sees("other", "online", one, True, (facts, None)) == missing


def test_members_who_do_not_count(client: Client, daemon: Daemon) -> None:
    rule = {"share_room": {"at_most": 1, "not_counting": ["@*-bot:test"]}}
    daemon.apply([{"name": "bots do not count", "allow": rule}])
    facts = RoomFacts(10)

    def ask(counts: Any) -> Any:
        answer = client.visible_senders("@bob:test")
        return answer.shown_states([state("@ann:test")], [["!r"]], (facts, counts))

    def asks_for_patterns() -> bool:
        return ask(None)[1][0][2] > 0

    until(asks_for_patterns, "the client hears of the new policy")
    ((kind, room_id, patterns),) = ask(None)[1]
    assert (kind, room_id) == ("members", "!r")
    members = ["@ann:test", "@irc-bot:test", "@bob:test"]
    assert facts.count_members(patterns, members) == 2
    assert facts.count_members(0, members) == 3
    assert ask({("!r", patterns): 1}) == ([(0, 0)], [])
    assert ask({("!r", patterns): 2}) == ([], [])


def test_memory_answers_after_the_daemon_did(client: Client) -> None:
    assert client.router.visible_senders("@bob:test") is None
    assert client.router.recipients_of(["@ann:test", "@sue:test"]) == [None, None]
    found = client.visible_senders("@bob:test")
    kept = client.router.visible_senders("@bob:test")
    assert kept is not None and kept.number == found.number
    client.recipients_of(["@ann:test"])
    ann, sue = client.router.recipients_of(["@ann:test", "@sue:test"])
    assert ann is not None and ann.user_id == "@ann:test" and sue is None
    assert not client.router.is_away()
