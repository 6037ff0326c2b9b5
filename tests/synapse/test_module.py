"""The module against a real daemon, in a reactor of our own: what it answers to
whatever Synapse may hand in, and that it never raises."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import SERVER, Daemon, until
from fake_api import NEVER, Loaded, in_reactor, state
from policies import allow
from presence_router._native import is_server_name
from presence_router.synapse import PresenceRouterModule
from prometheus_client import REGISTRY
from synapse.module_api import ModuleApi
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.logger import LogEvent, globalLogPublisher

pytestmark = [pytest.mark.usefixtures("interface"), pytest.mark.smoke]

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


def test_many_malformed_ids_cost_no_more_than_that(daemon: Daemon) -> None:
    # More than one refusal lists, within one part and over several.
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded("here", address=daemon.address)
    loaded.interest(BOB)
    bad = [state(f"bad{number}") for number in range(40)]
    good = [state(f"@good{number}:here") for number in range(2500)]
    before = count("get_users_for_states", "ok")
    assert loaded.route([*bad, *good, *bad]) == {BOB: set(good)}
    assert loaded.route(bad) == {}
    assert count("get_users_for_states", "ok") == before + 2


def test_an_answer_that_is_too_large_is_got_in_parts(daemon: Daemon) -> None:
    # As an answer for a thousand states it would exceed the 4 MiB of the daemon.
    recipients = [f"@recipient{number}:here" for number in range(2500)]
    daemon.apply([allow({"match": "@u*:here"}, recipients)])
    loaded = Loaded("here", address=daemon.address, deadline_ms=10_000)
    states = {state(f"@u{number}:here") for number in range(1200)}
    before = count("get_users_for_states", "ok")
    answer = loaded.route(states)
    assert answer.keys() == set(recipients)
    assert all(got == states for got in answer.values())
    assert count("get_users_for_states", "ok") == before + 1


@pytest.fixture
def small_daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, response_bytes=2000, batch_states=50)
    daemon.start()
    yield daemon
    daemon.stop()


def test_an_answer_over_the_limit_of_a_call_comes_over_the_stream(small_daemon: Daemon) -> None:
    many = [f"@recipient{number}:here" for number in range(200)]
    large = ["@large1:here", "@large2:here"]
    small_daemon.apply([allow({"match": "@u*:here"}, BOB), allow(large, many)])
    loaded = Loaded("here", address=small_daemon.address, deadline_ms=10_000)
    states = [state(f"@u{number}:here") for number in range(3000)]
    before = count("get_users_for_states", "ok")
    of_large = [state(user_id) for user_id in large]
    answer = loaded.route([*states[:1500], of_large[0], *states[1500:], of_large[1]])
    assert answer == {BOB: set(states)} | dict.fromkeys(many, set(of_large))
    assert count("get_users_for_states", "ok") == before + 1


def test_what_was_answered_before_the_deadline_is_delivered(small_daemon: Daemon) -> None:
    small_daemon.apply([allow({"match": "@u*:here"}, BOB)])
    loaded = Loaded("here", address=small_daemon.address, deadline_ms=1000)
    # In parts of thirty: many thousand calls.
    states = [state(f"@u{number}:here") for number in range(400_000)]
    before = count("get_users_for_states", "deadline")
    answer = loaded.route(states)
    assert answer.keys() == {BOB}
    assert 0 < len(answer[BOB]) < len(states)
    assert count("get_users_for_states", "deadline") == before + 1


IDS = [
    "", "@", ":", "@:", "a", "@a", "@a:", "a:b", "#a:b", "@:b", "@a:b", "@@a:b", "@a b:c", "@a\n:b",
    "@a\0:b", "@a:b\0", "@a:b\n", "@é:b", "@a:é", "@a:b_c", "@a:-.", "@a:b:1", "@a:b:12345",
    "@a:b:123456", "@a:b:", "@a:b:x", "@a:b:1:2", "@a::1", "@a:1.2.3.4:80", "@a:999.1.1.1",
    "@a:[::1]", "@a:[::1]:8448", "@a:[::1]8448", "@a:[::1", "@a:[]", "@a:[::g]", "@a:[::1%eth0]",
    "@a:[1.2.3.4]", "@a:[::1.2.3.4]", "@a:[:::]", "@a:b]", "@a:*.b", "@a:b:\u0661", "@a:\uff41",
    "@" + "a" * 252 + ":b", "@" + "a" * 253 + ":b", "@" + "é" * 126 + ":b",
    "@:" + "b" * 253, "@:" + "b" * 254, "@a:" + "b" * 252, "@a:" + "b" * 253,
]  # fmt: skip


def test_an_id_is_one_to_us_if_it_is_one_to_the_daemon(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded("here", address=daemon.address)
    for user_id in IDS:
        before = count("get_interested_users", "malformed")
        loaded.interest(user_id)
        valid = count("get_interested_users", "malformed") == before
        fresh = Loaded("here", [user_id], address=daemon.address)
        assert fresh.interest(BOB) == ({user_id} if valid else set()), user_id
        if user_id.startswith("@:"):
            assert is_server_name(user_id[2:]) == valid, user_id
    for value in ("b" * 254, "[::1%eth0]", "[1.2.3.4]", "b\n", "b:123456", "\ud800", "", None, 5):
        assert not is_server_name(value), value
    for value in ("b" * 253, "[::1]", "[::1.2.3.4]:1", "b:12345"):
        assert is_server_name(value), value


def test_who_is_no_user_is_never_known(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", BOB)])
    bad = ["", "ann", "@ann", "@:", "@" + "a" * 300 + ":here", "@nul\0:here", "@a:un_der"]
    loaded = Loaded("here", [ANN, *bad], address=daemon.address)
    loaded.route([state("@far:there"), *map(state, bad), state("@\ud800:there")])
    assert loaded.interest(BOB) == {ANN, "@far:there"}


def test_a_database_that_fails_is_read_later(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded("here", [ANN], broken=20, address=daemon.address)
    until(lambda: loaded.interest(BOB) == {ANN}, "the senders are read")
    slept = loaded.api.slept
    assert len(slept) == 20
    assert slept == sorted(slept) and slept[0] <= 1 and slept[-1] == slept[-2] == 300
    (failed, read) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert "database is locked" in failed and "at attempt 21" in read


def test_everyone_but_some_is_a_list_of_the_known_senders(daemon: Daemon) -> None:
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
    # Each of the others is asked about once: memory has no answer.
    others = [f"@other{number}:here" for number in range(5)]
    daemon.apply([allow(ANN, [BOB, *others])])
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
        for other in others:
            assert loaded.interest(other) == {ANN}
        assert loaded.interest(BOB) == {ANN}
    finally:
        globalLogPublisher.removeObserver(watch)
    assert errors == []
    assert count("get_interested_users", "ok") == before + 5


def test_the_parts_of_synapse_that_we_use_are_there() -> None:
    for name in ("register_presence_router_callbacks", "run_db_interaction", "server_name"):
        assert hasattr(ModuleApi, name)
    assert hasattr(ModuleApi, "run_as_background_process")
    # See PresenceRouterModule: these names would be registered a second time.
    for name in ("get_users_for_states", "get_interested_users"):
        assert not hasattr(PresenceRouterModule, name)
