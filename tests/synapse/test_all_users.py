"""Users who may see everyone, by Synapse's PRESENCE_ALL_USERS: what the module
says when, and what it answers to the question that follows, whoever asks it."""

from collections.abc import Iterator
from typing import Any

import pytest
from daemon import SERVER, Daemon
from fake_api import Loaded, context, in_reactor, state
from policies import allow, deny, hide
from presence_router.all_users import Promises
from presence_router.bell_names import bells_of
from presence_router.redact import redact
from prometheus_client import REGISTRY
from synapse.logging.context import current_context
from synapse.module_api import PRESENCE_ALL_USERS, UserPresenceState
from twisted.internet import reactor

pytestmark = [pytest.mark.usefixtures("interface"), pytest.mark.smoke]

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
STATES = [state(ANN), state(BOB), state("@far:there")]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("all"))
    daemon.start()
    yield daemon
    daemon.stop()


def steps(step: str) -> float:
    return REGISTRY.get_sample_value("presence_router_all_users_total", {"step": step}) or 0


def test_who_may_see_everyone_gets_all_and_then_every_state_and_nobody_else(
    daemon: Daemon,
) -> None:
    daemon.apply([allow("everyone", [BOB, EVE]), allow(ANN, BOB)])
    loaded = Loaded(SERVER, address=daemon.address, all_users="auto")
    promised, kept = steps("promised"), steps("kept")
    for states in (STATES, [], STATES[2:]):
        one, other = context("one"), context("other")
        assert loaded.interest(BOB, one) == PRESENCE_ALL_USERS
        assert loaded.interest(EVE, other) == PRESENCE_ALL_USERS
        # The own state is among them; without a state there is a key.
        assert loaded.route(iter(states), one, own=True) == {BOB: set(states)}
        assert loaded.route(iter(states), other, own=True) == {EVE: set(states)}
    assert (steps("promised") - promised, steps("kept") - kept) == (6, 6)
    # That was it: the next question is an ordinary one.
    assert loaded.route(STATES, one)[BOB] == {STATES[0], STATES[2]}


@pytest.mark.parametrize("all_users", ["auto", "never"])
def test_bells_of_another_mode_are_no_senders(daemon: Daemon, all_users: str) -> None:
    daemon.apply([allow("everyone", "everyone")])
    loaded = Loaded(SERVER, [ANN], address=daemon.address, all_users=all_users)
    one = context()
    loaded.interest(BOB, one)
    bells = [state(bell, "1 0 1 - r", "offline") for bell in bells_of(SERVER)]
    users = [state("@!presence-router-3:there"), state("@!presence-router-17:test")]
    shown = loaded.route([*bells, *users], one)
    assert shown == {BOB: set(users)}
    # Also not as states that change, and later.
    assert {key: shown for key, shown in loaded.route(bells, one).items() if shown} == {}
    assert not bells_of(SERVER) & set(loaded.interest(EVE))


def test_an_exception_of_any_kind_is_the_explicit_set(daemon: Daemon) -> None:
    loaded = Loaded(SERVER, [ANN, EVE], address=daemon.address, all_users="auto")
    everyone = allow("everyone", BOB)
    for name, rules, seen in (
        ("an exception", [allow({"any": "everyone", "except": EVE}, BOB)], {ANN}),
        ("a deny", [everyone, deny(EVE, BOB)], {ANN}),
        ("a deny of nobody known", [everyone, deny("@none:none", BOB)], {ANN, EVE}),
        ("a deny of a server", [everyone, deny({"server": "foe"}, BOB)], {ANN, EVE}),
        ("a pattern for all", [allow({"match": "@*:*"}, BOB)], {ANN, EVE}),
        ("a server for all", [allow({"server": "*"}, BOB)], {ANN, EVE}),
    ):
        daemon.apply(rules)
        assert loaded.interest(BOB, context()) == seen, name
    daemon.apply([everyone])
    assert loaded.interest(BOB, context()) == PRESENCE_ALL_USERS


def test_all_is_said_only_where_the_next_question_can_be_recognised(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", [BOB, "@far:there"])])
    loaded = Loaded(SERVER, [ANN, EVE], address=daemon.address, all_users="auto")
    assert loaded.interest(BOB) == {ANN, EVE}, "without a log context"
    # Of a remote user, Synapse would send it all to their server.
    assert loaded.interest("@far:there", context()) == {ANN, EVE}
    never = Loaded(SERVER, [ANN, EVE], address=daemon.address, all_users="never")
    assert never.interest(BOB, context()) == {ANN, EVE}


def test_a_question_that_is_not_recognised_has_a_key_for_everybody_waiting(
    daemon: Daemon,
) -> None:
    daemon.apply([allow("everyone", BOB)])
    loaded = Loaded(SERVER, address=daemon.address, all_users="auto")
    assert loaded.interest(BOB, context()) == PRESENCE_ALL_USERS
    # With what they may see, and what they set themselves.
    assert loaded.route(STATES, context(), own=True) == {BOB: set(STATES)}
    assert loaded.route([], own=True) == {BOB: set()}
    daemon.apply([])
    assert loaded.route(STATES, own=True) == {BOB: {STATES[1]}}


@pytest.mark.parametrize("stale_for", [0, 600])
def test_a_daemon_that_dies_between_the_questions_costs_nobody_their_sync(
    daemon: Daemon, stale_for: int
) -> None:
    daemon.apply([allow("everyone", [BOB, EVE])])
    loaded = Loaded(SERVER, [ANN], address=daemon.address, all_users="auto", stale_for=stale_for)
    ours, theirs = context(), context()
    assert loaded.interest(BOB, ours) == loaded.interest(EVE, theirs) == PRESENCE_ALL_USERS
    daemon.kill()
    try:
        loaded.wait_until_away()
        assert loaded.route(STATES, ours, own=True) == {BOB: set(STATES)}
        assert EVE in loaded.route(STATES, context(), own=True)
        # While it is away, nobody is told that there is more, whatever is in memory.
        assert loaded.interest(BOB, context()) != PRESENCE_ALL_USERS
    finally:
        daemon.start()


@pytest.mark.parametrize("count", [10_001, 35_000])
def test_many_states_are_shown_in_several_turns_of_the_reactor(daemon: Daemon, count: int) -> None:
    daemon.apply([allow("everyone", BOB), hide("@user9999:there", BOB)])
    loaded = Loaded(SERVER, address=daemon.address, all_users="auto")
    broken: Any = ["no text"]
    states = [
        state(f"@user{number}:there", "secret" if number == 9999 else None)
        for number in range(count)
    ]
    states.insert(count // 2, state("@foe:there", broken))
    sync = context()
    assert loaded.interest(BOB, sync) == PRESENCE_ALL_USERS

    async def count_turns() -> tuple[dict[str, set[UserPresenceState]], int]:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            assert not current_context(), "the reactor goes on in the context of the /sync"
            waiting[0] = reactor.callLater(0, turn)  # type: ignore[attr-defined]

        waiting: list[Any] = [reactor.callLater(0, turn)]  # type: ignore[attr-defined]
        answer = await loaded.api.callbacks.get_users_for_states(states)
        waiting[0].cancel()
        # What comes after it is of the /sync that asked.
        assert current_context() is sync
        return answer, turns

    answer, turns = in_reactor(count_turns, sync)
    expected = {redact(one, 2) for one in states if one.status_msg != broken}
    assert answer == {BOB: expected}
    # One between each two slices of ten thousand states, the last of which may be short.
    assert turns >= count // 10_000


def test_a_state_that_no_set_can_hold_costs_nobody_their_sync(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", [BOB, EVE])])
    loaded = Loaded(SERVER, address=daemon.address, all_users="auto")
    # Synapse keeps what a remote server sends, even if its database refuses it.
    broken: Any = ["no text"]
    states = [*STATES, state("@foe:there", broken)]
    ours, theirs = context(), context()
    assert loaded.interest(BOB, ours) == loaded.interest(EVE, theirs) == PRESENCE_ALL_USERS
    assert loaded.route(states, ours, own=True) == {BOB: set(STATES)}
    assert loaded.route(states, own=True)[EVE] == set(STATES)
    assert loaded.route(states)[BOB] == {STATES[0], STATES[2]}


def test_promises_are_kept_once_and_for_an_hour_at_most() -> None:
    now = [0.0]
    promises = Promises(lambda: now[0])
    one, other = object(), object()
    # What they hide is nothing to them.
    of_one: Any = object()
    of_other: Any = object()
    promises.add(one, ANN, of_one)
    now[0] = 1800
    promises.add(other, BOB, of_one)
    promises.add(other, EVE, of_other)
    assert promises.pending_users() == {ANN, EVE}
    now[0] = 3601
    assert promises.pending_users() == {EVE}
    assert promises.take(one) is None
    kept = promises.take(other)
    assert kept is not None and (kept.user_id, kept.everyone) == (EVE, of_other)
    assert promises.take(other) is None
    assert promises.pending_users() == set()
