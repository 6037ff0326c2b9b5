"""The page for those who come from a module of their own: each block of YAML on it
is loaded, each policy made active and asked as Synapse would ask. The expected answers
are those of the modules that the policies replace."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemon import Daemon
from fake_api import Loaded, state
from homeserver import MODULE
from presence_router.synapse import PresenceRouterModule

PAGE = Path(__file__).parents[2] / "client/python/docs/porting.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
POLICIES = [block for block in BLOCKS if "rules:" in block]
CONFIGS = [block for block in BLOCKS if "rules:" not in block]

USERS = [
    "@alice:example.org", "@bob:example.com", "@charlie:somewhere.org", "@dora:example.org",
    "@presence_gobbler:example.org", "@alice:example.com", "@carol:example.org",
    "@ann:example.org", "@joe:example.org", "@sam:example.org", "@sue:example.org",
    "@build-bot:example.org",
]  # fmt: skip
OURS = {user for user in USERS if user.endswith(":example.org")}

# Who sees whom of them, on example.org, by the names of the policies' rules.
Sees = dict[str, set[str]]


def each_other(*users: str) -> Sees:
    return {user: set(users) - {user} for user in users}


EXPECTED: dict[str, Sees] = {
    "alice follows bob and charlie": {
        "@alice:example.org": {"@bob:example.com", "@charlie:somewhere.org"}
    },
    "some get everything, except of some": {
        "@presence_gobbler:example.org": set(USERS)
        - {"@alice:example.com", "@bob:example.com", "@presence_gobbler:example.org"}
    },
    "colleagues": each_other(*OURS),
    "teams see each other": each_other("@ann:example.org", "@joe:example.org")
    | each_other("@sam:example.org", "@sue:example.org"),
    "colleagues, without the bots": {
        user: OURS - {user, "@build-bot:example.org"} for user in OURS
    },
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("porting"))
    daemon.start()
    yield daemon
    daemon.stop()


def rules(policy: str) -> str:
    (rule,) = yaml.safe_load(policy)["rules"]
    return str(rule["name"])


def test_every_policy_of_the_page_has_its_answers_here() -> None:
    assert {rules(policy) for policy in POLICIES} == EXPECTED.keys()


@pytest.mark.parametrize("policy", POLICIES, ids=rules)
def test_a_policy_of_the_page_answers_as_the_module_did(policy: str, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write_text(policy)
    daemon.start()
    try:
        expected = EXPECTED[rules(policy)]
        loaded = Loaded("example.org", USERS, address=daemon.address)
        for user in OURS:
            assert loaded.interest(user) == expected.get(user, set()), user
        answer = loaded.route([state(user) for user in USERS])
        got = {key: {one.user_id for one in states} for key, states in answer.items()}
        assert got == {user: seen for user, seen in expected.items() if seen}
    finally:
        daemon.stop()


def test_both_entries_of_the_page_load() -> None:
    new, old = (yaml.safe_load(block) for block in CONFIGS)
    entries: list[Any] = [*new["modules"], old["presence"]["presence_router"]]
    assert [entry["module"] for entry in entries] == [MODULE, MODULE]
    one, other = (PresenceRouterModule.parse_config(entry["config"]) for entry in entries)
    assert one == other
