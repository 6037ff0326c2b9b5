"""When the seal of `local: exact` and `federation: exact` refuses to close, how it notices that
something else opened it, and what it does to the queue for other servers."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from homeserver import VERSION
from presence_router import metrics
from presence_router.exact import seal
from prometheus_client import REGISTRY
from sealed_synapse import ANN, CALLBACKS, EVE, SealedSynapse, run

pytestmark = pytest.mark.smoke

needs_excluded_rooms = pytest.mark.skipif(
    VERSION < (1, 157), reason="Synapse excludes rooms from presence since 1.157"
)


@pytest.fixture
def synapse() -> SealedSynapse:
    made = SealedSynapse()
    made.close()
    return made


def untouched(synapse: SealedSynapse) -> bool:
    owners = synapse.handler, synapse.store, synapse.handler.get_federation_queue(), synapse.router
    return not any(callable(value) for owner in owners for value in vars(owner).values())


def test_another_shape_is_refused_before_anything_is_replaced() -> None:
    synapse = SealedSynapse()

    class Changed(type(synapse.handler)):  # type: ignore[misc]
        async def get_states(self, target_user_ids: Any, requester: Any) -> Any:
            raise AssertionError

        def is_visible(self, observed_user: Any, observer_user: Any) -> bool:
            raise AssertionError

    synapse.handler.__class__ = Changed
    with pytest.raises(RuntimeError) as refused:
        synapse.seal.close()
    message = str(refused.value)
    assert "cannot start with `local: exact` in Synapse 1." in message
    assert (
        "Changed.get_states takes (target_user_ids, requester), not (target_user_ids); "
        "Changed.is_visible is no coroutine function. It is known to work with Synapse 1.138 to "
        in message
    )
    assert message.endswith("all room-mates see each other, whatever the policy denies")
    assert untouched(synapse)


def test_other_objects_than_expected_are_refused() -> None:
    for name, value, said in (
        ("store", object(), "/sync reads presence from another store"),
        ("get_presence_handler", lambda: None, "/sync reads presence from another handler"),
        ("get_presence_router", lambda: None, "/sync asks another presence router"),
    ):
        synapse = SealedSynapse()
        setattr(synapse.source, name, value)
        with pytest.raises(RuntimeError, match=said):
            synapse.seal.close()
    synapse = SealedSynapse()
    del synapse.router._get_users_for_states_callbacks
    with pytest.raises(RuntimeError, match="PresenceRouter has no list `_get_users_for_states_"):
        synapse.seal.close()
    synapse = SealedSynapse()
    synapse.hs.get_event_sources = None
    with pytest.raises(RuntimeError, match="the look at its objects failed: TypeError"):
        synapse.seal.close()


def test_a_router_that_came_first_is_refused() -> None:
    synapse = SealedSynapse()
    synapse.register(*CALLBACKS)
    with pytest.raises(RuntimeError, match="beside another presence router") as refused:
        synapse.seal.close()
    assert "its callback is sealed_synapse.route_states" in str(refused.value)
    assert untouched(synapse)


def test_a_router_that_comes_later_is_refused(synapse: SealedSynapse) -> None:
    # The legacy setting registers what it found: nothing.
    synapse.register(None, None)
    with pytest.raises(RuntimeError, match="Remove the other one from `modules`, or switch"):
        synapse.register(*CALLBACKS)
    assert synapse.seal.is_sealed()


@pytest.fixture
def sealed(synapse: SealedSynapse) -> Iterator[SealedSynapse]:
    """With its metric."""
    metrics.SEALS.add(synapse.seal.parts)
    yield synapse
    metrics.SEALS.remove(synapse.seal.parts)


def metric(part: str) -> float | None:
    return REGISTRY.get_sample_value("presence_router_sealed", {"part": part})


WATCHED = {
    "_filter_all_presence_updates_for_user",
    "all_entities_changed",
    "current_state_for_users",
    "entity_has_changed",
    "get_interested_users",
    "get_new_events",
    "get_users_for_states",
}

LOCAL_PARTS = WATCHED | {
    "callbacks",
    "get_presence_for_all_users",
    "get_state",
    "get_states",
    "is_visible",
    "register_presence_router_callbacks",
    "send_full_presence_to_users",
}


def test_a_part_that_is_replaced_again_shows_in_the_metric_and_once_in_the_log(
    sealed: SealedSynapse, caplog: pytest.LogCaptureFixture
) -> None:
    assert sealed.seal.parts() == dict.fromkeys(LOCAL_PARTS, True)
    assert sealed.seal.is_sealed() and {metric(part) for part in LOCAL_PARTS} == {1}
    del sealed.handler.get_states  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, "presence_router"):
        assert metric("get_states") == 0 and metric("is_visible") == 1
        assert not sealed.seal.is_sealed()
    (line,) = caplog.messages
    assert "changed `get_states` of this Synapse" in line
    assert line.endswith("all room-mates see each other, whatever the policy denies")
    # A new object in the place of Synapse's.
    sealed.handler = type(sealed.handler)(sealed.hs)
    assert metric("is_visible") == 0 and metric("get_presence_for_all_users") == 1


async def other(*_arguments: Any) -> Any:
    raise AssertionError


def owner_of(synapse: SealedSynapse, name: str) -> Any:
    """The object with a function that the seal watches."""
    cache = synapse.store._curr_state_delta_stream_cache
    owners: list[Any] = [synapse.router, synapse.source, synapse.handler, cache]
    return next(owner for owner in owners if hasattr(owner, name))


@pytest.mark.parametrize("name", sorted(WATCHED))
def test_a_function_that_stays_as_it_is_is_watched(sealed: SealedSynapse, name: str) -> None:
    owner = owner_of(sealed, name)
    setattr(owner, name, other)
    assert [part for part, holds in sealed.seal.parts().items() if not holds] == [name]
    assert metric(name) == 0
    delattr(owner, name)
    assert sealed.seal.is_sealed()


def test_a_watched_function_is_also_that_of_the_class(
    sealed: SealedSynapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(sealed.source), "get_new_events", other)
        assert metric("get_new_events") == 0
    assert metric("get_new_events") == 1


def test_a_watched_function_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    synapse = SealedSynapse()
    monkeypatch.delattr(type(synapse.source), "get_new_events")
    with pytest.raises(RuntimeError, match="there is no Source.get_new_events"):
        synapse.seal.close()
    assert untouched(synapse)


def test_a_process_whose_seal_is_broken_at_the_first_look_ends(
    synapse: SealedSynapse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(seal.logging, "shutdown", lambda: ended.append("logs"))
    monkeypatch.setattr(seal.os, "_exit", lambda code: ended.append(f"code {code}"))
    synapse.seal.end_if_broken()
    assert ended == []
    del synapse.handler.is_visible  # type: ignore[method-assign]
    synapse.seal.end_if_broken()
    assert ended == ["logs", "code 1"]
    assert "a patch changed `is_visible` of this Synapse" in capfd.readouterr().err


def test_callbacks_beside_ours_or_none_of_ours_break_the_seal(sealed: SealedSynapse) -> None:
    router = sealed.router
    for callbacks in (
        router._get_users_for_states_callbacks,
        router._get_interested_users_callbacks,
    ):
        callbacks.append(callbacks[0])  # type: ignore[arg-type]
        assert metric("callbacks") == 0
        callbacks.pop()
        assert metric("callbacks") == 1
    router._get_users_for_states_callbacks.clear()
    router._get_interested_users_callbacks.clear()
    assert metric("callbacks") == 0
    del router._get_users_for_states_callbacks
    assert metric("callbacks") == 0


def test_a_seal_without_callbacks_does_not_hold() -> None:
    synapse = SealedSynapse()
    synapse.seal.close()
    assert not synapse.seal.is_sealed()


def test_there_is_no_metric_without_a_seal(sealed: SealedSynapse) -> None:
    def names() -> set[str]:
        return {family.name for family in REGISTRY.collect()}

    assert "presence_router_sealed" in names()
    metrics.SEALS.remove(sealed.seal.parts)
    assert "presence_router_sealed" not in names()
    # Of two homeservers in one process, the worse counts; a failure is no seal.
    metrics.SEALS.add(sealed.seal.parts)
    other = {"get_states": False}

    def fail() -> dict[str, bool]:
        raise RuntimeError("no")

    metrics.SEALS._sources = [lambda: other, sealed.seal.parts]
    metrics.SEALS.add(fail)
    assert metric("get_states") == 0 and metric("is_visible") == 1 and metric("unknown") == 0
    metrics.SEALS._sources = [sealed.seal.parts]


@needs_excluded_rooms
def test_all_rooms_are_excluded_for_federation(synapse: SealedSynapse) -> None:
    left_out = frozenset({"!left-out"})
    assert synapse.handler._rooms_to_exclude_from_presence == left_out
    assert synapse.source._rooms_to_exclude_from_presence == left_out

    both, _ = federating()
    for owner in (both.handler, both.source):
        rooms: Any = owner._rooms_to_exclude_from_presence
        assert "!any" in rooms and {"!any"} - rooms == set()
    of_federation = {
        "excluded_rooms",
        "excluded_rooms_of_sync",
        "process_replication_rows",
        "send_presence_to_destinations",
    }
    assert both.seal.parts() == dict.fromkeys(LOCAL_PARTS | of_federation, True)
    queue: Any = both.handler.get_federation_queue()
    queue.send_presence_to_destinations = other
    assert not both.seal.parts()["send_presence_to_destinations"]
    both.source._rooms_to_exclude_from_presence = left_out
    assert not both.seal.parts()["excluded_rooms_of_sync"]


def federating() -> tuple[SealedSynapse, list[dict[str, set[str]]]]:
    """A process with `federation: exact`, and what it hands to the module to send."""
    handed: list[dict[str, set[str]]] = []

    async def send_rows(servers: dict[str, set[str]]) -> None:
        handed.append(servers)
        if "broken" in servers:
            raise RuntimeError("no")

    synapse = SealedSynapse(send_rows)
    synapse.close()
    return synapse, handed


def row(destination: str, user_id: str) -> SimpleNamespace:
    return SimpleNamespace(destination=destination, user_id=user_id)


@needs_excluded_rooms
def test_queued_presence_is_sent_by_the_module_alone() -> None:
    synapse, handed = federating()
    queue = synapse.handler.get_federation_queue()

    def process(stream: str, token: int, *rows: Any) -> None:
        run(lambda: queue.process_replication_rows(stream, "main", token, list(rows)), None)

    queued = "presence_federation"
    process(queued, 7, row("there", ANN), row("there", EVE), row("else", ANN))
    assert handed == [{"there": {ANN, EVE}, "else": {ANN}}]
    # Nothing by Synapse itself, which notes the position.
    assert queue.sent == [] and queue.positions == [(queued, 7)]
    # A failure, and rows of another shape, send nothing and raise nothing.
    process(queued, 8, row("broken", ANN))
    process(queued, 9, object())
    process(queued, 10)
    assert len(handed) == 2 and queue.sent == [] and queue.positions[-1] == (queued, 10)
    # Other streams are none of the module's.
    process("presence", 3, "a row")
    assert queue.sent == ["a row"] and len(handed) == 2
    # Nor is a process that does not send to other servers.
    queue._federation = None
    process(queued, 11, row("there", ANN))
    assert len(handed) == 2 and queue.sent == ["a row"] and queue.positions[-1] == (queued, 11)


def test_federation_is_refused_where_synapse_excludes_no_rooms() -> None:
    async def send_rows(_servers: dict[str, set[str]]) -> None:
        raise AssertionError

    synapse = SealedSynapse(send_rows)
    del synapse.handler._rooms_to_exclude_from_presence
    with pytest.raises(RuntimeError) as refused:
        synapse.seal.close()
    message = str(refused.value)
    assert "cannot start with `federation: exact` in Synapse 1." in message
    assert "Handler has no set `_rooms_to_exclude_from_presence`" in message
    assert "It is known to work with Synapse 1.157 to " in message
    assert message.endswith(
        "the servers of all room-mates get presence, whatever the policy denies"
    )
    assert untouched(synapse)
