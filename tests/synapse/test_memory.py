"""Answers from the module's memory, against a real daemon: no question, the same set for
everybody, and figures of it."""

from collections.abc import Iterator

import pytest
from daemon import Daemon
from fake_api import Loaded, in_reactor, state
from policies import allow
from presence_router import metrics
from prometheus_client import REGISTRY
from synapse.events.presence_router import PresenceRouter

pytestmark = [pytest.mark.usefixtures("interface"), pytest.mark.smoke]

ANN, BOB = "@ann:here", "@bob:here"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("memory"))
    daemon.start()
    yield daemon
    daemon.stop()


def count(callback: str, outcome: str) -> float:
    labels = {"callback": callback, "outcome": outcome}
    return REGISTRY.get_sample_value("presence_router_requests_total", labels) or 0


def hits(callback: str) -> float:
    return REGISTRY.get_sample_value("presence_router_hits_total", {"callback": callback}) or 0


def test_the_second_question_is_answered_from_memory(daemon: Daemon) -> None:
    daemon.apply([allow(ANN, [BOB, "@joe:here"])])
    loaded = Loaded("here", address=daemon.address)

    def counts() -> list[float]:
        callbacks = "get_users_for_states", "get_interested_users"
        seconds = "presence_router_request_seconds_count"
        return [
            *(count(callback, "ok") for callback in callbacks),
            *(hits(callback) for callback in callbacks),
            sum(REGISTRY.get_sample_value(seconds, {"callback": one}) or 0 for one in callbacks),
        ]

    def difference() -> list[float]:
        before = counts()
        states = [state(ANN)]
        assert loaded.route(states) == {BOB: set(states), "@joe:here": set(states)}
        assert loaded.interest(BOB) == {ANN}
        return [now - then for then, now in zip(before, counts(), strict=True)]

    assert difference() == [1, 1, 0, 0, 2]
    assert difference() == [0, 0, 1, 1, 0]
    # Until the answers end.
    daemon.apply([allow(ANN, "@joe:here")])
    assert loaded.route([state(ANN)]).keys() == {"@joe:here"}
    assert loaded.interest(BOB) == set()


def test_an_answer_that_takes_several_turns_is_no_question_to_the_daemon(daemon: Daemon) -> None:
    daemon.apply([allow({"any": "everyone", "except": "@hidden:here"}, BOB)])
    stored = [f"@stored{number}:here" for number in range(25_000)]
    # Too little to keep such a set, so that it must be made again.
    loaded = Loaded("here", stored, address=daemon.address, cache_mib=1)
    callback = "get_interested_users"
    assert loaded.interest(BOB) == set(stored)
    before = count(callback, "ok"), count(callback, "memory"), hits(callback)
    assert loaded.interest(BOB) == set(stored)
    after = count(callback, "ok"), count(callback, "memory"), hits(callback)
    assert after == (before[0], 0, before[2] + 1)


def test_answers_of_one_question_share_a_set_which_synapse_does_not_change(daemon: Daemon) -> None:
    daemon.apply([allow(ANN, BOB)])
    loaded = Loaded("here", address=daemon.address)
    synapse = PresenceRouter(None)  # type: ignore[arg-type]
    synapse.register_presence_router_callbacks(**vars(loaded.api.callbacks))
    assert loaded.interest(BOB) == {ANN}

    async def ask() -> list[set[str]]:
        ours = [await loaded.api.callbacks.get_interested_users(BOB) for _ in range(2)]
        got = await synapse.get_interested_users(BOB)
        assert isinstance(got, set)
        got.add("@eve:here")
        return [*ours, await loaded.api.callbacks.get_interested_users(BOB)]

    first, second, third = in_reactor(ask)
    assert first is second is third
    assert first - {BOB} == {ANN}


def test_the_figures_of_memory_are_sums_and_never_fail(daemon: Daemon) -> None:
    def figure(name: str) -> float:
        value = REGISTRY.get_sample_value(f"presence_router_cache_{name}")
        assert value is not None
        return value

    daemon.apply([allow(ANN, BOB)])
    names = ("hits_total", "misses_total", "stale_total", "ended_total", "errors_total",
             "evictions_total", "bytes", "entries")  # fmt: skip
    before = {name: figure(name) for name in names}
    several = [Loaded("here", address=daemon.address) for _ in range(2)]
    for loaded in several:
        for _ in range(3):
            assert loaded.interest(BOB) == {ANN}
    assert figure("hits_total") >= before["hits_total"] + 4
    assert figure("misses_total") >= before["misses_total"] + 2
    assert figure("entries") >= before["entries"] + 2
    assert figure("bytes") > before["bytes"]

    def broken() -> dict[str, int]:
        raise RuntimeError("broken")

    metrics.CACHES.add(broken)
    try:
        assert figure("hits_total") >= before["hits_total"] + 4
    finally:
        metrics.CACHES.remove(broken)
    sources = len(metrics.CACHES._sources)
    for loaded in several:
        loaded.close()
    # Reading them would start their threads again.
    assert len(metrics.CACHES._sources) == sources - 2
    assert figure("entries") == before["entries"]
