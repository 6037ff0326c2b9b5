"""What Synapse's requests read of presence with `local: exact`, by the functions that the seal puts
in the place of Synapse's own."""

from typing import Any

import pytest
from fake_api import in_reactor, state
from presence_router.exact import guarded_reads
from sealed_synapse import ANN, EVE, JOE, SealedSynapse, request_of, run
from synapse.module_api import UserPresenceState
from synapse.types import UserID
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater

pytestmark = pytest.mark.smoke


@pytest.fixture
def synapse() -> SealedSynapse:
    made = SealedSynapse()
    made.handler.states = {name: state(name, "hello") for name in (ANN, EVE, JOE)}
    made.close()
    return made


def ids(states: list[UserPresenceState]) -> list[str]:
    return sorted(one.user_id for one in states)


def test_a_requester_reads_visible_states_and_the_own_one(synapse: SealedSynapse) -> None:
    synapse.sight.visible = {EVE}
    assert ids(synapse.states_for(ANN, ANN, EVE, JOE)) == [ANN, EVE]
    assert ids(synapse.states_for(ANN, EVE, JOE)) == [EVE]
    synapse.sight.visible = set()
    assert synapse.states_for(ANN, EVE, JOE) == []


def test_without_a_requester_nothing_is_read(synapse: SealedSynapse) -> None:
    synapse.sight.visible = {EVE}
    assert synapse.states_for(None, EVE) == []
    # The log context was lost.
    assert in_reactor(lambda: synapse.handler.get_states([EVE])) == []


def test_a_failure_shows_the_own_state_only(
    synapse: SealedSynapse, caplog: pytest.LogCaptureFixture
) -> None:
    synapse.sight.visible, synapse.sight.raises = {EVE}, RuntimeError("no")
    assert ids(synapse.states_for(ANN, ANN, EVE)) == [ANN]
    assert not run(lambda: visible(synapse, EVE, ANN), ANN)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    synapse.handler.states = None  # type: ignore[assignment]
    assert synapse.states_for(ANN, ANN, EVE) == []


def visible(synapse: SealedSynapse, observed: str, observer: str) -> Any:
    # By name, as Synapse does.
    return synapse.handler.is_visible(
        observed_user=UserID.from_string(observed), observer_user=UserID.from_string(observer)
    )


def test_a_cancellation_ends_the_request(synapse: SealedSynapse) -> None:
    synapse.sight.raises = CancelledError()
    for ask in (
        lambda: synapse.handler.get_states([EVE]),
        lambda: visible(synapse, EVE, ANN),
        lambda: all_users(synapse),
    ):
        with pytest.raises(CancelledError):
            run(ask, ANN)


def test_the_status_of_somebody_who_is_not_visible_any_more_is_offline(
    synapse: SealedSynapse,
) -> None:
    def status(user_id: str) -> UserPresenceState:
        user = UserID.from_string(user_id)
        got = run(lambda: synapse.handler.get_state(target_user=user), ANN)
        assert isinstance(got, UserPresenceState)
        return got

    synapse.sight.visible = {EVE}
    assert status(EVE) == synapse.handler.states[EVE]
    assert status(ANN) == synapse.handler.states[ANN]
    assert status(JOE) == UserPresenceState.default(JOE)


def test_visible_is_whom_the_policy_shows(synapse: SealedSynapse) -> None:
    synapse.sight.visible = {EVE}
    assert run(lambda: visible(synapse, EVE, ANN), ANN)
    assert not run(lambda: visible(synapse, JOE, ANN), ANN)
    assert run(lambda: visible(synapse, JOE, JOE), JOE)
    # Nor does it depend on the log context.
    assert in_reactor(lambda: visible(synapse, EVE, ANN))


def test_what_synapse_stores_again_is_what_was_stored(synapse: SealedSynapse) -> None:
    run(lambda: synapse.handler.send_full_presence_to_users([EVE]), ANN)
    assert synapse.handler.stored == [synapse.handler.states[EVE]]
    # It is over with the call, also in the same coroutine.

    async def send_and_read() -> Any:
        await synapse.handler.send_full_presence_to_users([EVE])
        return await synapse.handler.get_states([EVE])

    assert run(send_and_read, ANN) == []


def test_only_the_state_that_is_stored_again_is_read_unguarded(synapse: SealedSynapse) -> None:
    read: list[Any] = []

    async def read_another() -> None:
        read.append(await synapse.handler.get_state(UserID.from_string(JOE)))

    async def read_while_it_stores() -> None:
        for user_id in (EVE, JOE):
            read.append(await synapse.handler.get_state(UserID.from_string(user_id)))
        read.extend(await synapse.handler.get_states([EVE, JOE]))

    synapse.handler.before_stored = read_another
    synapse.handler.on_stored = read_while_it_stores
    run(lambda: synapse.handler.send_full_presence_to_users([EVE]), ANN)
    assert synapse.handler.stored == [synapse.handler.states[EVE]]
    assert read == [UserPresenceState.default(user_id) for user_id in (JOE, EVE, JOE)]


def test_what_synapse_started_meanwhile_is_guarded(synapse: SealedSynapse) -> None:
    started: list[Deferred[UserPresenceState]] = []

    async def read_later() -> UserPresenceState:
        await deferLater(reactor, 0.01)  # type: ignore[arg-type]
        return await synapse.handler.get_state(UserID.from_string(EVE))

    async def start() -> None:
        # It has a copy of the context variables.
        started.append(ensureDeferred(read_later()))

    async def finish() -> UserPresenceState:
        return await started[0]

    synapse.handler.on_stored = start
    in_reactor(lambda: synapse.handler.send_full_presence_to_users([EVE]))
    assert synapse.handler.stored == [synapse.handler.states[EVE]]
    assert in_reactor(finish) == UserPresenceState.default(EVE)


async def all_users(
    synapse: SealedSynapse, user_id: str = ANN, include_offline: bool = True
) -> dict[str, UserPresenceState]:
    synapse.questions.note(user_id)
    return await synapse.store.get_presence_for_all_users(include_offline=include_offline)


def test_everybody_is_the_asking_user_and_the_candidates(synapse: SealedSynapse) -> None:
    synapse.sight.visible = {EVE}
    assert run(lambda: all_users(synapse), ANN) == {
        ANN: synapse.handler.states[ANN],
        EVE: synapse.handler.states[EVE],
    }
    # The own state is read once.
    synapse.sight.visible = {ANN, EVE}
    del synapse.handler.asked[:]
    run(lambda: all_users(synapse), ANN)
    assert synapse.handler.asked == [[ANN], [EVE]]
    synapse.sight.visible = {EVE}
    # Of the user of the question, not of the request.
    assert set(run(lambda: all_users(synapse, JOE), ANN)) == {JOE, EVE}


def test_without_a_question_there_is_nobody(
    synapse: SealedSynapse, caplog: pytest.LogCaptureFixture
) -> None:
    synapse.sight.visible = {EVE}
    get = synapse.store.get_presence_for_all_users
    for _ in range(2):
        assert run(lambda: get(include_offline=True), ANN) == {}
    (line,) = caplog.messages
    assert line.startswith("Something asked Synapse for the presence of all users")


def test_who_is_offline_is_left_out_on_request(synapse: SealedSynapse) -> None:
    never = "@never:test"
    synapse.sight.visible = {EVE, JOE, never}
    synapse.handler.states[JOE] = state(JOE, presence="offline")
    # Who never had a presence is in no table of Synapse.
    assert set(run(lambda: all_users(synapse), ANN)) == {ANN, EVE, JOE}
    assert set(run(lambda: all_users(synapse, include_offline=False), ANN)) == {ANN, EVE}


@pytest.mark.parametrize("include_offline", [True, False])
def test_the_question_notes_that_it_reads_everybody(
    synapse: SealedSynapse, include_offline: bool
) -> None:
    async def ask() -> Any:
        synapse.questions.note(ANN)
        assert not synapse.questions.peek().reads_all  # type: ignore[union-attr]
        await synapse.store.get_presence_for_all_users(include_offline=include_offline)
        return synapse.questions.take()

    asked = run(ask, ANN)
    assert asked.reads_all and asked.reads_offline == include_offline


def test_a_failure_finds_nobody_else(synapse: SealedSynapse) -> None:
    synapse.sight.raises = RuntimeError("no")
    assert set(run(lambda: all_users(synapse), ANN)) == {ANN}
    synapse.handler.states = None  # type: ignore[assignment]
    assert run(lambda: all_users(synapse), ANN) == {}


def test_many_are_read_in_several_turns(
    synapse: SealedSynapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []
    later = guarded_reads.deferLater
    monkeypatch.setattr(
        guarded_reads, "deferLater", lambda *arguments: turns.append(1) or later(*arguments)
    )
    synapse.sight.visible = {f"@user{number}:test" for number in range(4_500)}
    within = request_of(ANN)
    in_reactor(lambda: all_users(synapse), within)
    sizes = [len(some) for some in synapse.handler.asked]
    assert sizes == [1, 2000, 2000, 500] and len(turns) == 2
