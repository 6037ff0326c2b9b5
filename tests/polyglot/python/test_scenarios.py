"""Every scenario file, by unary calls and by the stream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from daemon import Daemon, channel
from given_rooms import GivenRooms
from presence_router.v1.capability_pb2 import Capability
from presence_router.v1.presence_pb2 import PresenceField, PresenceState
from presence_router.v1.presence_router_pb2 import GetInterestedUsersRequest as Interested
from presence_router.v1.presence_router_pb2 import GetUsersForStatesRequest as ForStates
from presence_router.v1.presence_router_pb2_grpc import PresenceRouterServiceStub
from router import Answer, Router
from sets import ROOM_CAPABILITIES, Hides, Sets, ShareRoom

FILES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))

# The other users of each user, without the users who have none.
Lists = dict[str, set[str]]

# The fields of an online sender that a recipient does not see.
Hidden = dict[tuple[str, str], frozenset[int]]


@dataclass
class Answers:
    """The answers to one caller, about some users."""

    users: list[str]
    audiences: Lists = field(default_factory=dict)
    interests: Lists = field(default_factory=dict)
    # By answers about senders, and by answers about recipients.
    hides: tuple[Hidden, Hidden] = field(default_factory=lambda: ({}, {}))

    def add_audience(self, sender: str, contains: Callable[[str], bool], hides: Hides) -> None:
        """Adds an answer, or a part of an answer, about a sender."""
        recipients = {user for user in self.users if user != sender and contains(user)}
        if recipients:
            self.audiences.setdefault(sender, set()).update(recipients)
        for recipient in recipients:
            if fields := hides.for_user(recipient, "online"):
                self.hides[0][sender, recipient] = fields

    def add_interest(self, recipient: str, contains: Callable[[str], bool], hides: Hides) -> None:
        """Adds the answer about a recipient."""
        senders = {user for user in self.users if user != recipient and contains(user)}
        if senders:
            self.interests[recipient] = senders
        for sender in senders:
            if fields := hides.for_user(sender, "online"):
                self.hides[1][sender, recipient] = fields


@dataclass
class Caller:
    """A caller of a scenario, and the right answers to it."""

    server_names: list[str]
    share_room: ShareRoom | None
    capabilities: list[int]
    expected: Answers
    destinations: Lists

    def sets(self) -> Sets:
        """Returns the sets of one unary answer: none that has an id."""
        return Sets(self.share_room)


def read_caller(scenario: dict[str, Any], caller: dict[str, Any]) -> Caller:
    names = caller.get("capabilities")
    capabilities = [capability(name) for name in names or []]
    if names is None and "rooms" in scenario:
        capabilities = list(ROOM_CAPABILITIES)
    hidden = {
        (sender, recipient): frozenset(field_number(name) for name in fields)
        for sender, recipients in caller.get("hides", {}).items()
        for recipient, fields in recipients.items()
    }
    lists = {
        what: {user: set(others) for user, others in caller.get(what, {}).items()}
        for what in ("audiences", "interests", "destinations")
    }
    expected = Answers(
        scenario["users"], lists["audiences"], lists["interests"], (hidden, hidden)
    )
    # An older client has no such function.
    share_room = GivenRooms(scenario.get("rooms", {})).share_room if capabilities else None
    return Caller(
        caller["server_names"], share_room, capabilities, expected, lists["destinations"]
    )


def capability(name: str) -> int:
    """Returns the capability with this name in the scenario files."""
    return Capability.Value("CAPABILITY_ROOM_" + name.removeprefix("room_").upper())


def field_number(name: str) -> int:
    """Returns the field of a presence with this name in the scenario files."""
    return PresenceField.Value("PRESENCE_FIELD_" + name.upper())


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def scenario(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


@pytest.fixture
def callers(scenario: dict[str, Any]) -> list[Caller]:
    return [read_caller(scenario, caller) for caller in scenario["callers"]]


def test_the_scenarios_are_where_they_were() -> None:
    assert len(FILES) >= 13


def test_unary(
    scenario: dict[str, Any], callers: list[Caller], start: Callable[[str], Daemon]
) -> None:
    with channel(start(scenario["policy"]).address) as to_daemon:
        for caller in callers:
            answers, destinations = ask(to_daemon, caller, scenario["users"])
            assert answers == caller.expected
            assert destinations == caller.destinations


def test_stream(
    scenario: dict[str, Any],
    callers: list[Caller],
    start: Callable[[str], Daemon],
    connect: Callable[..., Router],
) -> None:
    users, daemon = scenario["users"], start(scenario["policy"])
    for caller in callers:
        # Without the function, the router itself must state nothing.
        rooms = [caller.share_room, caller.capabilities] if caller.share_room else []
        router = connect(daemon, caller.server_names, *rooms)
        answers = Answers(users)
        for sender, answer in router.audiences(users).items():
            answers.add_audience(sender, answer.__contains__, answer.hides)
        for recipient in users:
            answer = router.interest(recipient)
            answers.add_interest(recipient, answer.__contains__, answer.hides)
        assert answers == caller.expected


def ask(to_daemon: grpc.Channel, caller: Caller, users: list[str]) -> tuple[Answers, Lists]:
    """Returns the answers by unary calls, and the destinations that the daemon names."""
    stub = PresenceRouterServiceStub(to_daemon)
    about = {"server_names": caller.server_names, "capabilities": caller.capabilities}
    answers, destinations = Answers(users), {}
    states = [PresenceState(user_id=user) for user in users]
    answer = stub.GetUsersForStates(ForStates(states=states, **about))
    for index, sender in enumerate(users):
        hides = [hide.hide for hide in answer.hides if index in hide.state_indexes]
        compiled = caller.sets().compile_hides(hides, sender)
        listed = {one.user_id for one in answer.recipients if index in one.state_indexes}
        assert sender not in listed, "spelled-out lists are without the user itself"
        answers.add_audience(sender, listed.__contains__, compiled)
        for one in (one for one in answer.open_recipients if index in one.state_indexes):
            open_answer = Answer(sender, caller.sets().compile(one.recipients))
            answers.add_audience(sender, open_answer.__contains__, compiled)
            if one.destinations:
                destinations.setdefault(sender, set()).update(one.destinations)
    for user in users:
        answer = stub.GetInterestedUsers(Interested(user_id=user, **about))
        assert user not in answer.user_ids, "spelled-out lists are without the user itself"
        hides = caller.sets().compile_hides(answer.hides, user)
        senders = set(answer.user_ids)
        if answer.HasField("open_senders"):
            open_answer = Answer(user, caller.sets().compile(answer.open_senders))
            senders |= {other for other in users if other in open_answer}
        answers.add_interest(user, senders.__contains__, hides)
    return answers, destinations
