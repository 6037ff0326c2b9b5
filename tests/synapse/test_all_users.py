"""Users who may see everyone, by Synapse's PRESENCE_ALL_USERS: what the module
says when, and what it answers to the question that follows, whoever asks it."""

from collections.abc import Iterator
from typing import Any

import pytest
from daemon import SERVER, Daemon
from fake_api import Loaded, context, state
from policies import allow, deny
from presence_router.all_users import Promises
from prometheus_client import REGISTRY
from synapse.module_api import PRESENCE_ALL_USERS

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
        assert loaded.route(iter(states), one) == {BOB: set(states)}
        assert loaded.route(iter(states), other) == {EVE: set(states)}
    assert (steps("promised") - promised, steps("kept") - kept) == (6, 6)
    # That was it: the next question is an ordinary one.
    assert loaded.route(STATES, one)[BOB] == {STATES[0], STATES[2]}


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
    assert loaded.route(STATES, context()) == {BOB: set(STATES)}
    assert loaded.route([]) == {BOB: set()}
    daemon.apply([])
    assert loaded.route(STATES) == {BOB: {STATES[1]}}


def test_a_daemon_that_dies_between_the_questions_costs_nobody_their_sync(
    daemon: Daemon,
) -> None:
    daemon.apply([allow("everyone", [BOB, EVE])])
    loaded = Loaded(SERVER, [ANN], address=daemon.address, all_users="auto")
    ours, theirs = context(), context()
    assert loaded.interest(BOB, ours) == loaded.interest(EVE, theirs) == PRESENCE_ALL_USERS
    daemon.kill()
    try:
        assert loaded.route(STATES, ours) == {BOB: set(STATES)}
        assert loaded.route(STATES, context()) == {EVE: set()}
        # While it is away, nobody is told that there is more.
        assert loaded.interest(BOB, context()) == set()
    finally:
        daemon.start()


def test_a_state_that_no_set_can_hold_costs_nobody_their_sync(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", [BOB, EVE])])
    loaded = Loaded(SERVER, address=daemon.address, all_users="auto")
    # Synapse keeps what a remote server sends, even if its database refuses it.
    broken: Any = ["no text"]
    states = [*STATES, state("@foe:there", broken)]
    ours, theirs = context(), context()
    assert loaded.interest(BOB, ours) == loaded.interest(EVE, theirs) == PRESENCE_ALL_USERS
    assert loaded.route(states, ours) == {BOB: set(STATES)}
    assert loaded.route(states) == {BOB: {STATES[0], STATES[2]}, EVE: set(STATES)}


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
