"""What application services get in the mode `exact`, on behalf of users."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_api import in_reactor, state
from policies import allow, hide
from routing_rig import Rig, Service
from synapse.module_api import UserPresenceState

ANN, BOB, CAT, DAN = (f"@{name}:test" for name in ("ann", "bob", "cat", "dan"))
PUPPET = "@irc-bob:test"

StartRig = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartRig]:
    rigs: list[Rig] = []

    def start(*rules: Any) -> Rig:
        rig = Rig(tmp_path)
        rigs.append(rig)
        rig.start(list(rules))
        return rig

    yield start
    for rig in rigs:
        rig.stop()


def shown(rig: Rig, user: str, *states: UserPresenceState) -> set[UserPresenceState]:
    got = in_reactor(lambda: rig.services.shown(user, list(states)))
    assert len({one.user_id for one in got}) == len(got), "two states of one sender"
    return set(got)


def test_a_service_gets_whom_its_user_or_its_own_sender_sees(start: StartRig) -> None:
    rig = start(allow(ANN, PUPPET), allow(CAT, "@irc:test"))
    rig.add_service(Service("irc", "@irc-"))
    states = [state(user) for user in (ANN, BOB, CAT)]
    assert shown(rig, PUPPET, *states) == {state(ANN), state(CAT)}


def test_it_gets_nothing_by_a_user_who_is_not_its_own(start: StartRig) -> None:
    rig = start(allow(ANN, BOB), allow(CAT, "@irc:test"))
    rig.add_service(Service("irc", "@irc-", rooms=("!its",)))
    rig.rooms.members = {"!its": [BOB]}
    # Synapse asks for the service, because Bob is in a room that concerns it.
    assert shown(rig, BOB, state(ANN), state(CAT)) == {state(CAT)}
    # Synapse does not ask for it.
    assert shown(rig, DAN, state(ANN), state(CAT)) == set()


def test_it_never_gets_the_own_presence_of_the_user(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    rig.add_service(Service("irc", "@irc-"))
    assert shown(rig, PUPPET, state(PUPPET), state(ANN)) == {state(ANN)}
    # Nor that of a user whom it only knows from a room, even if its own sender sees that user.
    rig.rooms.members = {"!a": [ANN, PUPPET]}
    assert shown(rig, ANN, state(ANN)) == set()


def test_every_service_for_which_synapse_may_ask_must_be_allowed(start: StartRig) -> None:
    rig = start(allow(ANN, PUPPET), allow(CAT, PUPPET), allow(CAT, "@logger:test"))
    rig.add_service(Service("irc", "@irc-"))
    logger = Service("logger", "@logger-", rooms=("!logged",))
    rig.add_service(logger)
    assert shown(rig, PUPPET, state(ANN), state(CAT)) == {state(ANN), state(CAT)}
    rig.rooms.members = {"!logged": [PUPPET]}
    assert shown(rig, PUPPET, state(ANN), state(CAT)) == {state(CAT)}
    rig.store.services.reverse()
    assert shown(rig, PUPPET, state(ANN), state(CAT)) == {state(CAT)}
    # A service that gets no presence does not count.
    logger.supports_ephemeral = False
    assert shown(rig, PUPPET, state(ANN), state(CAT)) == {state(ANN), state(CAT)}


def test_fields_are_hidden_that_are_hidden_from_any(start: StartRig) -> None:
    rig = start(
        allow("everyone", "everyone"),
        hide("everyone", PUPPET, "status_msg"),
        hide("everyone", "@irc:test", "last_active_ts"),
    )
    rig.add_service(Service("irc", "@irc-"))
    (got,) = shown(rig, PUPPET, state(ANN, "secret"))
    assert (got.status_msg, got.last_active_ts, got.state) == (None, 0, "online")


def test_only_the_last_state_of_a_sender_counts(start: StartRig) -> None:
    rig = start(allow(ANN, PUPPET))
    rig.add_service(Service("irc", "@irc-"))
    assert shown(rig, PUPPET, state(ANN, "1"), state(ANN, "2")) == {state(ANN, "2")}
