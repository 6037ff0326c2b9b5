"""Large answers: which turn of the reactor does what, without a reactor."""

import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import LONG, Daemon
from fake_api import state
from policies import allow, hide
from presence_router._native import Everyone, Router
from presence_router.redact import redact

KNOWN = [f"@known{number}:test" for number in range(25_000)]


class Turns:
    """A router, and the turns of the reactor that its results take."""

    def __init__(self, address: str, seeded: bool = True, deadline_ms: int = 20_000) -> None:
        self.router = Router(address, "test", [], deadline_ms, 60_000, 64, redact)
        if seeded:
            self.router.finish_seeding()
        self.turns = 0

    def ask_interest(self, user_id: str, results: list[Any], may_be_everyone: bool = False) -> None:
        """Asks, and adds user id, outcome and value to the results later."""

        def done(outcome: str, _detail: str, value: Any) -> None:
            results.append((user_id, outcome, value))

        self.router.find_interest(user_id, may_be_everyone, done)

    def deliver_until(self, condition: Callable[[], bool]) -> int:
        """Delivers until it is so. Returns the number of turns."""
        before = self.turns
        while not condition():
            assert select.select([self.router.completion_fd()], [], [], LONG)[0], "no result"
            assert self.router.deliver_completions() == []
            self.turns += 1
        return self.turns - before

    def interest(self, user_id: str, may_be_everyone: bool = False) -> Any:
        results: list[Any] = []
        self.ask_interest(user_id, results, may_be_everyone)
        self.deliver_until(lambda: results != [])
        ((_, outcome, value),) = results
        assert outcome in ("ok", "memory")
        return value

    def routes(self, *states: Any) -> tuple[str, dict[str, Any]]:
        results: list[Any] = []
        self.router.find_routes(list(states), lambda *result: results.append(result))
        self.deliver_until(lambda: results != [])
        ((outcome, _, (users_to_states, _, unanswered)),) = results
        assert unanswered == []
        return outcome, users_to_states


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def turns(daemon: Daemon) -> Iterator[Turns]:
    turns = Turns(daemon.address)
    yield turns
    turns.router.close()


def everyone_but(*users: str) -> dict[str, Any]:
    return {"any": "everyone", "except": list(users)}


def test_each_look_up_counts_once(daemon: Daemon, turns: Turns) -> None:
    daemon.apply([allow("@ann:test", "@bob:test")])

    def counted() -> tuple[int, int]:
        stats = turns.router.cache_stats()
        return stats["hits"], stats["misses"]

    assert turns.router.routes_in_memory([state("@ann:test")]) is None
    assert turns.routes(state("@ann:test"))[0] == "ok"
    assert counted() == (0, 1)
    assert turns.router.routes_in_memory([state("@ann:test")]) is not None
    assert turns.router.interest_in_memory("@bob:test", False) is None
    assert turns.interest("@bob:test") == {"@ann:test"}
    assert counted() == (1, 2)
    assert turns.interest("@bob:test") == {"@ann:test"}
    assert counted() == (1, 2)


def test_a_set_that_grows_by_more_than_a_turn_stays_the_same_set(
    daemon: Daemon, turns: Turns
) -> None:
    daemon.apply([allow(everyone_but("@eve:test"), "@bob:test")])
    turns.router.add_known_users(KNOWN[:2000])
    senders = turns.interest("@bob:test")
    turns.router.add_known_users(KNOWN)
    assert turns.router.interest_in_memory("@bob:test", False) is None
    results: list[Any] = []
    turns.ask_interest("@bob:test", results)
    # 23,000 more: a slice by the look into memory, and two.
    assert turns.deliver_until(lambda: results != []) == 2
    ((_, outcome, value),) = results
    assert outcome == "memory" and value is senders and len(senders) == len(KNOWN)


def test_large_answers_come_one_after_another_and_small_ones_before(
    daemon: Daemon, turns: Turns
) -> None:
    users = [f"@watcher{number}:test" for number in range(5)]
    rules = [allow(everyone_but(f"@not{number}:test"), user) for number, user in enumerate(users)]
    daemon.apply([*rules, allow("@ann:test", "@small:test")])
    turns.router.add_known_users(KNOWN)
    results: list[Any] = []
    # The daemon's answers, without sets of them.
    for user in [*users, "@small:test"]:
        assert turns.router.interest_in_memory(user, False) is None
        turns.ask_interest(user, results)
    wait_until(lambda: turns.router.cache_stats()["entries"] == 6)
    # Ten of thirteen turns pass before the first one comes if all are built at the same time.
    assert turns.deliver_until(lambda: len(results) >= 2) <= 6
    turns.deliver_until(lambda: len(results) == 6)
    # It may have come during the first one.
    assert results.index(("@small:test", "ok", {"@ann:test"})) <= 1
    assert all(len(value) == len(KNOWN) for user, _, value in results if user in users)
    assert 13 <= turns.turns <= 25, turns.turns


def test_coverage_of_many_servers_is_not_evaluated_in_the_reactor(daemon: Daemon) -> None:
    servers = [f"s{number}.example" for number in range(60)]
    pattern = [{"match": f"@nobody:{server}"} for server in servers]
    few, many = ([f"@no{number}:test" for number in range(size)] for size in (10, 4000))
    named = [allow("@else:test", one) for one in pattern]
    rules = [allow("@few:test", everyone_but(*few)), allow("@many:test", everyone_but(*many))]
    daemon.apply([*named, *rules])
    for sender, at_once in (("@few:test", True), ("@many:test", False)):
        fresh = Turns(daemon.address)
        try:
            assert fresh.routes(state(sender))[1].keys() >= {f"@presence-router:{servers[0]}"}
            assert fresh.router.routes_in_memory([state(sender)]) is not None
            # Two states of one sender: a kind without a template so far.
            found = fresh.router.routes_in_memory([state(sender), state(sender, "later")])
            assert (found is not None) == at_once, sender
            assert len(fresh.routes(state(sender), state(sender, "later"))[1]) == 60
        finally:
            fresh.router.close()


def test_a_large_template_is_completed_whatever_changes_meanwhile(
    daemon: Daemon, turns: Turns
) -> None:
    recipients = [f"@to{number}:test" for number in range(20_000)]
    seers = [f"@watch{number}:test" for number in range(40)]
    watchers = list(seers)
    daemon.apply([
        allow("@ann:test", recipients), hide("@ann:test", recipients[0]),
        allow("everyone", watchers),
    ])  # fmt: skip
    for watcher in watchers:
        turns.interest(watcher)
    results: list[Any] = []
    turns.router.find_routes([state("@ann:test")], lambda *result: results.append(result))

    def changes() -> bool:
        # In each turn somebody else begins to see everyone.
        if watchers:
            answer = turns.router.interest_in_memory(watchers.pop(), True)
            assert isinstance(answer, Everyone)
        return results != []

    assert turns.deliver_until(changes) < 20
    assert results[0][2][0].keys() - set(seers) == set(recipients[1:])


def test_an_answer_that_waited_for_the_senders_is_the_present_one(daemon: Daemon) -> None:
    daemon.apply([allow(everyone_but("@eve:test"), "@bob:test")])
    turns = Turns(daemon.address, seeded=False)
    turns.router.add_known_users(["@ann:test"])
    results: list[Any] = []
    try:
        turns.ask_interest("@bob:test", results)
        # Until its answer is in memory, and then until memory has heard of another policy.
        stats = turns.router.cache_stats
        wait_until(lambda: stats()["entries"] == 1)
        daemon.apply([allow("@cyd:test", "@bob:test")])
        wait_until(lambda: stats()["ended"] >= 1)
        turns.router.finish_seeding()
        turns.deliver_until(lambda: results != [])
        assert results == [("@bob:test", "ok", {"@cyd:test"})]
    finally:
        turns.router.close()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
