"""Random policies, edits, senders and recipients: the two answers of one module agree with
each other, whatever is in memory by then, and with those of a module that remembers nothing.

For each local recipient who has asked, and each known sender: the recipient gets the sender's
states if and only if the sender is in the recipient's interest.
"""

import itertools
import random
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import LONG, SERVER, Daemon, until
from fake_api import state
from policies import allow, deny, hide, within
from presence_router._native import Everyone, Router
from presence_router.redact import redact

WORLDS = 60

LOCAL = [f"@u{number}:test" for number in range(8)]
REMOTE = ["@r0:far", "@r1:far", "@r2:near"]
USERS = [*LOCAL, *REMOTE]
# In every policy, with a recipient of its own each time.
WITNESS = "@witness:test"

_numbers = itertools.count()

# Of the last two, no policy tells.
SENDERS = [*USERS, "@stranger:test", "@stranger:far"]


class Asking:
    """A router, asked without a reactor."""

    def __init__(self, address: str) -> None:
        self._router = Router(address, "test", ["named"], 5000, 60_000, 8, redact)
        self._router.finish_seeding()

    def routes(self, states: list[Any]) -> dict[str, frozenset[Any]]:
        """Returns the states of each recipient."""
        found = self._router.routes_in_memory(states)
        if found is None:
            found = self._wait(lambda done: self._router.find_routes(states, done))
        users_to_states, _, unanswered = found
        assert unanswered == []
        return {user_id: frozenset(shown) for user_id, shown in users_to_states.items()}

    def interest(self, user_id: str, may_be_everyone: bool) -> frozenset[str] | None:
        """Returns the senders of a user. None: everyone."""
        found = self._router.interest_in_memory(user_id, may_be_everyone)
        if found is None:
            found = self._wait(
                lambda done: self._router.find_interest(user_id, may_be_everyone, done)
            )
        return None if isinstance(found, Everyone) else frozenset(found)

    def _wait(self, start: Any) -> Any:
        result: list[Any] = []
        start(lambda *answer: result.append(answer))
        while not result:
            assert select.select([self._router.completion_fd()], [], [], LONG)[0], "no answer"
            assert self._router.deliver_completions() == []
        ((outcome, detail, value),) = result
        assert outcome in ("ok", "memory"), detail
        return value

    def close(self) -> None:
        self._router.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("mirror"))
    daemon.start()
    yield daemon
    daemon.stop()


def random_policy(world: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Returns rules and groups."""

    def some_users() -> list[str]:
        return world.sample(USERS, world.randint(1, 4))

    def some_recipients() -> Any:
        # Without the user by whom tests see that a policy is active.
        return world.choice([
            some_users(), {"server": "*ar"}, {"match": "@u?:*"}, {"group": "one"}, {"group": "two"},
        ])  # fmt: skip

    def some_set() -> Any:
        everyone_but = {"any": "everyone", "except": some_users()}
        return world.choice([some_recipients(), "everyone", {"server": "test"}, everyone_but])

    groups = {"one": some_users(), "two": some_users()}
    rules = [within(world.choice(list(groups)))]
    rules += [allow(some_set(), some_set()) for _ in range(world.randint(0, 3))]
    rules += [deny(some_set(), some_recipients()) for _ in range(world.randint(0, 2))]
    if world.random() < 0.5:
        unless = ("busy",) if world.random() < 0.5 else ()
        rules += [hide(some_set(), some_recipients(), unless=unless)]
    return rules, groups


def apply_random_policy(daemon: Daemon, world: random.Random) -> str:
    """Makes a policy active. Returns a recipient of `@witness` that no policy had before."""
    recipient = f"@policy-{next(_numbers)}:witness"
    rules, groups = random_policy(world)
    daemon.apply([*rules, allow(WITNESS, recipient)], groups)
    return recipient


@pytest.mark.parametrize("seed", range(WORLDS))
def test_both_answers_agree_whatever_is_in_memory(daemon: Daemon, seed: int) -> None:
    world = random.Random(seed)
    recipient = apply_random_policy(daemon, world)
    asking = Asking(daemon.address)
    known: set[str] = set()
    # If the last answer to them was everyone.
    askers: dict[str, bool] = {}
    try:
        for _ in range(4):
            for sender in world.sample(SENDERS, 3):
                asking.routes([state(sender)])
                known.add(sender)
            for user_id in world.sample(LOCAL, 2):
                may_be_everyone = world.random() < 0.3
                askers[user_id] = asking.interest(user_id, may_be_everyone) is None
            until(
                lambda: recipient in asking.routes([state(WITNESS)]),
                "the module has heard of the policy",
            )
            check(daemon, asking, known, askers, world)
            if world.random() < 0.5:
                recipient = apply_random_policy(daemon, world)
    finally:
        asking.close()


def check(
    daemon: Daemon,
    asking: Asking,
    known: set[str],
    askers: dict[str, bool],
    world: random.Random,
) -> None:
    fresh = Asking(daemon.address)
    try:
        states = [state(user, presence=world.choice(["online", "busy"])) for user in sorted(known)]
        for one in states:
            answer = asking.routes([one])
            for user_id, sees_everyone in askers.items():
                if user_id != one.user_id and not sees_everyone:
                    interest = asking.interest(user_id, False)
                    assert interest is not None
                    assert (user_id in answer) == (one.user_id in interest), (one, user_id)
            # A module without memory, and without anybody who asked, names the others.
            listed = fresh.routes([one])
            assert listed.keys() <= answer.keys(), one
            for key in answer.keys() - listed.keys():
                assert key in askers, (one, key)

        twice = [state(user, "again", "unavailable") for user in known if world.random() < 0.3]
        batch = [*states, *twice]
        last = {one.user_id: one.state for one in batch}
        expected: dict[str, set[tuple[str, str]]] = {}
        for one in batch:
            for key in asking.routes([one]):
                if key.endswith(f":{SERVER}") or last[one.user_id] == one.state:
                    expected.setdefault(key, set()).add((one.user_id, one.state))
        found = {
            key: {(one.user_id, one.state) for one in shown}
            for key, shown in asking.routes(batch).items()
        }
        assert found == expected
    finally:
        fresh.close()
