"""The module against a real daemon, in a reactor of our own: what it answers to
whatever Synapse may hand in, and that it never raises."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import SERVER, Daemon
from fake_api import NEVER, Loaded, in_reactor, state
from policies import allow
from presence_router.condition import Condition
from presence_router.synapse import PresenceRouterModule
from prometheus_client import REGISTRY
from synapse.module_api import ModuleApi
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.logger import LogEvent, globalLogPublisher

ANN, BOB = "@ann:here", "@bob:here"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("module"))
    daemon.start()
    yield daemon
    daemon.stop()


def count(callback: str, outcome: str) -> float:
    labels = {"callback": callback, "outcome": outcome}
    return REGISTRY.get_sample_value("presence_router_requests_total", labels) or 0


def test_states_come_back_as_the_very_objects_and_from_any_iterable(daemon: Daemon) -> None:
    daemon.apply([allow(ANN, [BOB, "@joe:here"])])
    loaded = Loaded("here", address=daemon.address)
    states = [state(ANN, "one"), state("@else:here"), state(ANN, "two")]
    answer = loaded.route(iter(states))
    assert answer == {BOB: {states[0], states[2]}, "@joe:here": {states[0], states[2]}}
    assert {id(one) for one in answer[BOB]} == {id(states[0]), id(states[2])}
    assert loaded.route(iter([])) == {}


def test_malformed_ids_cost_only_their_own_states(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded("here", address=daemon.address)
    bad = ["", "ann", "@ann", "@:", "@" + "a" * 300 + ":here", "@nul\0:here", "@\ud800:there"]
    states = [state(user) for user in [*bad, ANN, *bad, "@far:there"]]
    loaded.interest(BOB)
    answer = loaded.route(states)
    assert {one.user_id for one in answer[BOB]} == {ANN, "@far:there"}
    for user in bad:
        assert loaded.interest(user) == set()


def test_everyone_is_the_known_senders_and_never_all(daemon: Daemon) -> None:
    daemon.apply([allow({"any": "everyone", "except": "@hidden:here"}, BOB)])
    stored = [f"@stored{number}:here" for number in range(25_000)]
    loaded = Loaded("here", [*stored, BOB, "@hidden:here"], address=daemon.address)
    assert loaded.interest(BOB) == set(stored)
    loaded.route([state("@new:there"), state("@hidden:here")])
    assert loaded.interest(BOB) == {*stored, "@new:there"}


def test_a_slow_database_costs_a_deadline_at_most(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded("here", NEVER, address=daemon.address, deadline_ms=100)
    loaded.route([state(ANN)])
    began = time.monotonic()
    assert loaded.interest(BOB) == {ANN}
    assert 0.09 <= time.monotonic() - began < 5


def test_open_audiences_reach_named_servers_and_the_rest_is_said_once(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.apply([allow(ANN, {"any": "everyone", "except": {"server": "foe.example"}})])
    destinations = ["friend.example:8448", "foe.example"]
    loaded = Loaded("here", address=daemon.address, destinations=destinations)
    before = REGISTRY.get_sample_value("presence_router_unsent_states_total") or 0
    for _ in range(3):
        answer = loaded.route([state(ANN), state("@far:there")])
        # Nobody local asked, so nobody local needs waking. The policy names `SERVER`.
        assert {key.partition(":")[2] for key in answer} == {"friend.example:8448", SERVER}
        assert {one.user_id for states in answer.values() for one in states} == {ANN}
    assert (REGISTRY.get_sample_value("presence_router_unsent_states_total") or 0) == before + 3
    warnings = [one for one in caplog.records if "`destinations`" in one.getMessage()]
    assert len(warnings) == 1
    loaded.interest(BOB)
    assert BOB in loaded.route([state(ANN)])


def test_a_batch_over_the_daemons_limit_is_routed(daemon: Daemon) -> None:
    daemon.apply([allow({"match": "@u*:here"}, BOB)])
    loaded = Loaded("here", address=daemon.address, deadline_ms=10_000)
    states = [state(f"@u{number}:here") for number in range(10_500)]
    assert loaded.route(states) == {BOB: set(states)}


def test_without_a_daemon_there_is_nobody_and_no_exception(tmp_path: Path) -> None:
    loaded = Loaded("here", [ANN], address=f"unix:{tmp_path}/none")
    before = count("get_users_for_states", "unreachable")
    for _ in range(20):
        assert loaded.route([state(ANN)]) == {}
        assert loaded.interest(BOB) == set()
    assert count("get_users_for_states", "unreachable") == before + 20


def test_whatever_breaks_within_is_nobody(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded("here", address=daemon.address)

    class Broken:
        def __getattr__(self, name: str) -> None:
            raise RuntimeError("broken")

    monkeypatch.setattr(loaded.module, "_router", Broken())
    before = count("get_interested_users", "failed")
    assert loaded.interest(BOB) == set()
    assert loaded.route([state(ANN)]) == {}
    assert count("get_interested_users", "failed") == before + 1


def test_a_cancelled_call_says_so_and_its_late_answer_harms_nobody(daemon: Daemon) -> None:
    daemon.apply([allow(ANN, BOB)])
    loaded = Loaded("here", address=daemon.address)
    before = count("get_interested_users", "ok")
    errors: list[LogEvent] = []

    def watch(event: LogEvent) -> None:
        if event.get("log_failure"):
            errors.append(event)

    async def cancel() -> bool:
        waiting = ensureDeferred(loaded.api.callbacks.get_interested_users(BOB))
        waiting.cancel()
        try:
            await waiting
        except CancelledError:
            return True
        return False

    globalLogPublisher.addObserver(watch)
    try:
        assert in_reactor(cancel)
        # Several, so that the late answer of the first is there too.
        for _ in range(5):
            assert loaded.interest(BOB) == {ANN}
    finally:
        globalLogPublisher.removeObserver(watch)
    assert errors == []
    assert count("get_interested_users", "ok") == before + 5


def test_the_log_tells_changes_of_condition_only(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    condition = Condition("unix:/s", lambda: now[0])

    def report(*outcomes: str) -> list[str]:
        caplog.clear()
        for outcome in outcomes:
            condition.report(outcome, "because")
        return [record.getMessage() for record in caplog.records]

    with caplog.at_level(logging.DEBUG, "presence_router"):
        assert report("ok", "malformed", "ok") == []
        assert report("deadline", "unreachable", "deadline") == [
            "presence-router at unix:/s does not answer: because; "
            "extra presence is off until it is back"
        ]
        now[0] += 12
        assert report("ok", "ok") == [
            "presence-router at unix:/s is back after 12 s, 3 calls went unanswered"
        ]
        # Another trouble is another condition.
        assert len(report("unreachable", "refused", "refused")) == 2


def test_the_parts_of_synapse_that_we_use_are_there() -> None:
    for name in ("register_presence_router_callbacks", "run_db_interaction", "server_name"):
        assert hasattr(ModuleApi, name)
    assert hasattr(ModuleApi, "run_as_background_process")
    # See PresenceRouterModule: these names would be registered a second time.
    for name in ("get_users_for_states", "get_interested_users"):
        assert not hasattr(PresenceRouterModule, name)
