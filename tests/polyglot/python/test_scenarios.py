"""Every scenario file, by unary calls and by the stream."""

from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemon import Daemon, channel
from presence_router.v1.presence_pb2 import PresenceState
from presence_router.v1.presence_router_pb2 import GetInterestedUsersRequest as Interested
from presence_router.v1.presence_router_pb2 import GetUsersForStatesRequest as ForStates
from presence_router.v1.presence_router_pb2_grpc import PresenceRouterServiceStub
from router import Router
from sets import Sets

FILES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))

# The other users of each user, without the users who have none.
Lists = dict[str, set[str]]


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def scenario(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


def test_the_scenarios_are_where_they_were() -> None:
    assert len(FILES) >= 13


def test_unary(scenario: dict[str, Any], start: Callable[[str], Daemon]) -> None:
    users = scenario["users"]
    with channel(start(scenario["policy"]).address) as to_daemon:
        stub = PresenceRouterServiceStub(to_daemon)
        for caller in scenario["callers"]:
            names = caller["server_names"]
            audiences, destinations = by_states(stub, names, users)
            assert audiences == expected(caller, "audiences")
            assert destinations == expected(caller, "destinations")
            interests = by_interest(stub, names, users)
            assert interests == expected(caller, "interests")


def test_stream(
    scenario: dict[str, Any],
    start: Callable[[str], Daemon],
    connect: Callable[[Daemon, list[str]], Router],
) -> None:
    users, daemon = scenario["users"], start(scenario["policy"])
    for caller in scenario["callers"]:
        router = connect(daemon, caller["server_names"])
        assert among(users, router.audiences(users)) == expected(caller, "audiences")
        interests = {user: router.interest(user) for user in users}
        assert among(users, interests) == expected(caller, "interests")


def expected(caller: dict[str, Any], what: str) -> Lists:
    return {user: set(others) for user, others in caller.get(what, {}).items()}


def among(users: Iterable[str], answers: dict[str, Container[str]]) -> Lists:
    """Returns the users that each answer contains."""
    lists = {one: {user for user in users if user in answer} for one, answer in answers.items()}
    return {user: others for user, others in lists.items() if others}


def by_states(
    stub: PresenceRouterServiceStub, names: list[str], users: list[str]
) -> tuple[Lists, Lists]:
    states = [PresenceState(user_id=user) for user in users]
    answer = stub.GetUsersForStates(ForStates(server_names=names, states=states))
    audiences: Lists = {}
    destinations: Lists = {}
    for entry in answer.recipients:
        for index in entry.state_indexes:
            assert entry.user_id != users[index], "spelled-out lists are without the user itself"
            audiences.setdefault(users[index], set()).add(entry.user_id)
    for entry in answer.open_recipients:
        contains = Sets().compile(entry.recipients)
        for sender in (users[index] for index in entry.state_indexes):
            found = {user for user in users if user != sender and contains(user)}
            if found:
                audiences.setdefault(sender, set()).update(found)
            if entry.destinations:
                destinations.setdefault(sender, set()).update(entry.destinations)
    return audiences, destinations


def by_interest(stub: PresenceRouterServiceStub, names: list[str], users: list[str]) -> Lists:
    interests = {}
    for user in users:
        answer = stub.GetInterestedUsers(Interested(server_names=names, user_id=user))
        assert user not in answer.user_ids, "spelled-out lists are without the user itself"
        interests[user] = set(answer.user_ids)
        if answer.HasField("open_senders"):
            contains = Sets().compile(answer.open_senders)
            interests[user] |= {other for other in users if other != user and contains(other)}
    return {user: others for user, others in interests.items() if others}
