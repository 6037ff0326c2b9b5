"""The scenario files, through the Synapse module and a real daemon.

Synapse takes no open sets: what is compared is what they become, see *How an
open set becomes dict keys*. Everybody local asks first, so that everybody is
woken; everybody's state passes once, so that everybody is known.

The module evaluates no rooms, so it runs the callers that evaluate none. Hidden fields
are for `test_redact.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemon import Daemon
from fake_api import Loaded, state

pytestmark = pytest.mark.usefixtures("interface")

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))


def test_there_are_scenarios() -> None:
    assert FILES


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def scenario(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


@pytest.fixture
def daemon(scenario: dict[str, Any], tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.write_text(scenario["policy"])
    daemon.start()
    yield daemon
    daemon.stop()


def is_for_synapse(scenario: dict[str, Any], caller: dict[str, Any]) -> bool:
    evaluates_rooms = caller.get("capabilities", "rooms" in scenario)
    return len(caller["server_names"]) == 1 and not evaluates_rooms and "hides" not in caller


def host(user_id: str) -> str:
    return user_id.partition(":")[2]


def test_a_scenario_holds_in_the_module(scenario: dict[str, Any], daemon: Daemon) -> None:
    callers = [caller for caller in scenario["callers"] if is_for_synapse(scenario, caller)]
    if not callers:
        pytest.skip("Synapse has one server name, and evaluates no rooms")
    users = scenario["users"]
    for caller in callers:
        (server,) = caller["server_names"]
        loaded = Loaded(server, address=daemon.address)
        for user in users:
            if host(user) == server:
                loaded.interest(user)
        # Twice each: both states of one user must go wherever one goes; but a server is
        # sent one state of a user, which must be the last.
        states = [state(user, status) for user in users for status in ("one", "two")]
        answer = loaded.route(states)
        assert all(type(values) is set for values in answer.values())
        for key, values in answer.items():
            if host(key) == server:
                assert len(values) % 2 == 0
            else:
                assert {one.status_msg for one in values} == {"two"}

        audiences = caller.get("audiences", {})
        for sender in users:
            where = f"{scenario['about']} {server} {sender}"
            keys = {k for k, v in answer.items() if any(s.user_id == sender for s in v)}
            recipients = set(audiences.get(sender, []))
            local = {user for user in recipients if host(user) == server}
            assert {key for key in keys if host(key) == server} == local, where

            hosts = {host(key) for key in keys} - {server}
            # A remote member of an open set is reached only if the server is named.
            named = {user for user in recipients - local if f'"{user}"' in scenario["policy"]}
            expected = {host(user) for user in named}
            expected.update(caller.get("destinations", {}).get(sender, []))
            assert hosts == expected, where

        for user in users:
            expected = set(caller.get("interests", {}).get(user, []))
            interest = loaded.interest(user)
            assert type(interest) is set
            assert interest == expected, f"{scenario['about']} {server} {user}"
