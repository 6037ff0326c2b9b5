"""What the module hides, against a real daemon: what other servers get of a state, and
who is answered PRESENCE_ALL_USERS; and that ordinary local recipients get nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from daemon import SERVER, Daemon
from fake_api import Loaded, context, state
from policies import allow, deny, hide
from presence_router.redact import redact
from synapse.handlers.presence import format_user_presence_state
from synapse.module_api import PRESENCE_ALL_USERS, UserPresenceState

pytestmark = [pytest.mark.usefixtures("interface"), pytest.mark.smoke]

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
FAR, FRIEND, AWAY = "@far:there", "@friend:there", "@away:elsewhere"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("hidden"))
    daemon.start()
    yield daemon
    daemon.stop()


def sent(one: UserPresenceState) -> dict[str, Any]:
    """What Synapse makes of a state when it sends it, 100 ms after the activity."""
    return format_user_presence_state(one, 101, include_user_id=False)


def test_of_what_is_hidden_synapse_says_nothing_or_the_least() -> None:
    whole = {
        "presence": "online",
        "last_active_ago": 100,
        "status_msg": "hello",
        "currently_active": True,
    }
    one = state(ANN, "hello")
    assert sent(one) == whole
    for hidden, missing, changed in (
        (2, {"status_msg"}, {}),
        (4, {"last_active_ago"}, {}),
        (8, set(), {"currently_active": False}),
        (6, {"status_msg", "last_active_ago"}, {}),
        (15, {*whole} - {"presence"}, {"presence": "offline"}),
    ):
        expected = {key: value for key, value in whole.items() if key not in missing}
        assert sent(redact(one, hidden)) == expected | changed, hidden
        assert redact(one, hidden).user_id == ANN
    assert sent(redact(state(ANN, "bye", "offline"), 15)) == {"presence": "offline"}


def test_a_server_gets_one_version_and_everybody_else_the_very_object(daemon: Daemon) -> None:
    rules = [allow(ANN, [BOB, EVE, FAR, FRIEND, AWAY]), allow(EVE, FAR)]
    daemon.apply([*rules, hide(ANN, [FAR, BOB]), hide(ANN, FRIEND, "currently_active")])
    loaded = Loaded(SERVER, address=daemon.address)
    ann, eve = state(ANN, "hello"), state(EVE, "hi")
    answer = loaded.route([ann, eve])
    assert answer.keys() == {EVE, FAR, FRIEND, AWAY}
    less = ann.copy_and_replace(status_msg=None, currently_active=False)
    assert (answer[FAR], answer[FRIEND]) == ({less, eve}, {less})
    assert {id(one) for one in answer[FAR]} == {id(eve), *map(id, answer[FRIEND])}
    assert [id(one) for one in answer[EVE] | answer[AWAY]] == [id(ann)]

    # By a pattern and an exception: only where somebody is from whom it is hidden.
    everybody = allow(ANN, {"any": "everyone", "except": AWAY})
    daemon.apply([everybody, hide(ANN, {"server": "there"}), hide(ANN, AWAY)])
    loaded = Loaded(SERVER, address=daemon.address, destinations=["there", "third"])
    by_server = {key.partition(":")[2]: got for key, got in loaded.route([ann]).items()}
    # That the policy names somebody of elsewhere makes it a server to send to; but they
    # are no recipient, so nothing is hidden from it.
    less = ann.copy_and_replace(status_msg=None)
    assert by_server == {"there": {less}, "third": {ann}, "elsewhere": {ann}}


def test_unless_looks_at_the_presence_and_nothing_leaves_a_ghost(daemon: Daemon) -> None:
    hidden = hide(ANN, FAR, "presence", unless=("online", "busy"))
    daemon.apply([allow(ANN, [FAR, BOB]), hidden, hide(ANN, BOB, unless=("online",))])
    loaded = Loaded(SERVER, address=daemon.address)
    for presence, shown in (
        ("online", "online"),
        ("busy", "busy"),
        ("unavailable", "offline"),
        ("x.later", "offline"),
        ("offline", "offline"),
    ):
        answer = loaded.route([state(ANN, "hello", presence)])
        # Here nothing, whatever it is: they would miss what comes next.
        assert answer.keys() == {FAR}
        (got,) = answer[FAR]
        assert (got.state, got.status_msg) == (shown, None if shown == "offline" else "hello")
    assert loaded.interest(BOB) == set()


def test_who_may_see_everyone_gets_all_without_what_is_hidden(daemon: Daemon) -> None:
    rules = [
        allow("everyone", BOB),
        hide(ANN, BOB, unless=("busy",)),
        hide({"server": "there"}, BOB, "presence"),
        # Of their own nothing is hidden.
        hide("everyone", BOB, "last_active_ts"),
    ]
    daemon.apply(rules)
    loaded = Loaded(SERVER, [ANN, EVE, FAR], address=daemon.address, all_users="auto")
    states = [
        state(ANN, "secret"),
        state(BOB, "mine"),
        state(EVE, "hi"),
        state(FAR, "far"),
        state("no user", "nobody's"),
    ]
    expected = {
        states[0].copy_and_replace(status_msg=None, last_active_ts=0),
        states[1],
        states[2].copy_and_replace(last_active_ts=0),
        redact(states[3], 15),
        states[4].copy_and_replace(last_active_ts=0),
    }
    sync = context()
    assert loaded.interest(BOB, sync) == PRESENCE_ALL_USERS
    # As was decided when it was answered, whatever is decided now.
    daemon.apply([allow("everyone", BOB)])
    assert loaded.route(iter(states), sync, own=True) == {BOB: expected}
    daemon.apply(rules)
    assert loaded.interest(BOB, sync) == PRESENCE_ALL_USERS
    busy = state(ANN, "not secret", "busy")
    between = [states[2], busy, state("@far:here")]
    expected = {one.copy_and_replace(last_active_ts=0) for one in between}
    assert loaded.route(between, sync, own=True) == {BOB: expected}

    # One exception, and it is the list of those of whom nothing is hidden.
    daemon.apply([allow("everyone", BOB), hide(ANN, BOB), deny("@none:none", BOB)])
    assert loaded.interest(BOB, sync) == {EVE, FAR}


def test_who_was_answered_all_is_woken_and_nobody_else_is(daemon: Daemon) -> None:
    daemon.apply([allow("everyone", [BOB, EVE]), hide(ANN, [BOB, EVE])])
    auto = Loaded(SERVER, [ANN], address=daemon.address, all_users="auto")
    states, less = [state(ANN, "secret")], {state(ANN)}
    assert auto.interest(BOB, context()) == PRESENCE_ALL_USERS
    assert auto.interest(EVE) == set()
    # Also where it is their /sync that asks and was not recognised: that takes it from here.
    assert auto.route(states, context()) == {BOB: less}
    # Then by the list, which leaves her out: nor may she wake him.
    assert auto.interest(BOB) == set()
    never = Loaded(SERVER, [ANN], address=daemon.address, all_users="never")
    assert never.interest(BOB, context()) == set()
    assert never.route(states) == {}
