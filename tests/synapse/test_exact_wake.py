"""Which local users the mode `exact` wakes because of new states."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import until
from fake_api import state
from policies import allow, allow_room_mates, deny, hide
from routing_rig import Rig, Service

ANN, BOB, CAT, DAN = (f"@{name}:test" for name in ("ann", "bob", "cat", "dan"))
FAR = "@far:elsewhere"

StartRig = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartRig]:
    rigs: list[Rig] = []

    def start(*rules: Any, **options: Any) -> Rig:
        rig = Rig(tmp_path, **options)
        rigs.append(rig)
        rig.start(list(rules))
        return rig

    yield start
    for rig in rigs:
        rig.stop()


def test_only_users_who_asked_lately_are_woken(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    assert rig.woken(state(ANN)) == set()
    rig.ask(BOB)
    assert rig.woken(state(ANN)) == {BOB}
    rig.ask(CAT)
    assert rig.woken(state(ANN)) == {BOB, CAT}
    # An hour later, only those who asked since count; after two hours, nobody.
    rig.now = 3600
    rig.ask(CAT)
    assert rig.woken(state(ANN)) == {BOB, CAT}
    rig.now = 7200
    assert rig.woken(state(ANN)) == {CAT}
    rig.now = 14400
    assert rig.woken(state(ANN)) == set()


def test_senders_with_the_same_recipients_wake_each_other(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    rig.ask(ANN, BOB)
    # The first answer does not hold Ann, but stands for the second as well.
    rig.woken(state(ANN))
    assert ANN in rig.woken(state(BOB))
    assert BOB in rig.woken(state(ANN))


def test_the_policy_decides_among_room_mates(start: StartRig) -> None:
    rig = start(allow_room_mates(), deny(ANN, CAT))
    rig.rooms.members = {"!a": [ANN, BOB, CAT], "!b": [BOB, DAN]}
    rig.ask(ANN, BOB, CAT, DAN)
    assert rig.woken(state(ANN)) == {BOB}
    assert rig.woken(state(BOB)) == {ANN, CAT, DAN}


def test_facts_about_rooms_decide(start: StartRig) -> None:
    rig = start(allow_room_mates(at_most=2))
    rig.rooms.members = {"!large": [ANN, BOB, CAT], "!small": [ANN, CAT]}
    rig.ask(BOB, CAT, DAN)
    assert rig.woken(state(ANN)) == {CAT}


def test_a_shared_room_also_takes_away(start: StartRig) -> None:
    rules: list[Any] = [
        allow("everyone", "everyone"),
        {"name": "not in rooms", "deny": {"share_room": True}},
    ]
    rig = start(*rules)
    rig.rooms.members = {"!a": [ANN, BOB]}
    rig.ask(BOB, CAT)
    assert rig.woken(state(ANN)) == {CAT}


def test_a_room_is_looked_at_again_when_its_members_change(start: StartRig) -> None:
    rig = start(allow_room_mates())
    rig.rooms.members = {"!a": [ANN, BOB]}
    rig.ask(BOB, CAT)
    assert rig.woken(state(ANN)) == {BOB}
    # Synapse's cache returns another list.
    rig.rooms.members = {"!a": [ANN, CAT]}
    assert rig.woken(state(ANN)) == {CAT}
    rig.ask(DAN)
    rig.rooms.members = {"!a": [ANN, DAN]}
    assert rig.woken(state(ANN)) == {DAN}


def test_a_user_who_asks_later_is_woken_in_a_known_room(start: StartRig) -> None:
    rig = start(allow_room_mates())
    rig.rooms.members = {"!a": [ANN, BOB, CAT]}
    rig.ask(BOB)
    assert rig.woken(state(ANN)) == {BOB}
    rig.ask(CAT)
    assert rig.woken(state(ANN)) == {BOB, CAT}
    rig.now = 7200
    rig.ask(CAT)
    assert rig.woken(state(ANN)) == {CAT}


def test_users_of_other_servers_wake_local_users(start: StartRig) -> None:
    rig = start(allow_room_mates())
    rig.rooms.members = {"!a": [FAR, BOB, "@x:third"]}
    rig.ask(BOB, CAT)
    # But their presence is never sent on.
    assert set(rig.keys(state(FAR))) == {BOB}


def test_hidden_fields_do_not_matter(start: StartRig) -> None:
    rig = start(allow(ANN, BOB), hide(ANN, BOB))
    rig.ask(BOB)
    assert rig.woken(state(ANN, "secret")) == {BOB}


def test_bells_wake_nobody_by_themselves(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    rig.ask(BOB)
    assert rig.keys(state("@!presence-router-3:test")) == {}


def test_an_error_about_one_sender_concerns_no_other(start: StartRig) -> None:
    rig = start(allow_room_mates(), allow(DAN, CAT))
    rig.rooms.members = {"!a": [ANN, BOB]}
    rig.ask(BOB, CAT)
    rig.rooms.broken_for = {ANN}
    missed: list[None] = []
    rig.routing.wake.on_unanswered = lambda: missed.append(None)
    assert rig.keys(state(ANN)) == {}
    assert len(missed) == 1
    assert rig.woken(state(ANN), state(DAN)) == {CAT}
    rig.rooms.broken_for = set()
    assert rig.woken(state(ANN), state(DAN)) == {BOB, CAT}


@pytest.mark.parametrize("sender", ["foo:evil.org", f"@{'a' * 400}:evil", "@a:evil:99999999"])
def test_a_malformed_sender_is_nobody(start: StartRig, sender: str) -> None:
    rig = start(allow("everyone", "everyone"))
    rig.ask(BOB)
    missed: list[None] = []
    rig.routing.wake.on_unanswered = lambda: missed.append(None)
    assert rig.keys(state(sender)) == {}
    assert rig.woken(state(sender), state(ANN)) == {BOB}
    assert missed == []
    rig.daemon.kill()
    until(rig.router.is_away, "the daemon is away")
    rig.keys(state(DAN))
    assert len(missed) == 1


def test_nobody_is_woken_while_the_daemon_is_away(start: StartRig) -> None:
    rig = start(allow_room_mates())
    rig.rooms.members = {"!a": [ANN, BOB, FAR]}
    rig.ask(BOB)
    assert rig.woken(state(ANN)) == {BOB}
    rig.daemon.kill()
    until(rig.router.is_away, "the daemon is away")
    assert rig.keys(state(ANN)) == {}


def test_room_mates_are_woken_while_the_daemon_is_away_if_wanted(start: StartRig) -> None:
    rig = start(deny("everyone", "everyone"), when_away="rooms")
    rig.rooms.members = {"!a": [ANN, BOB, FAR], "!b": [CAT, DAN]}
    rig.ask(BOB, CAT)
    assert rig.keys(state(ANN)) == {}
    rig.daemon.kill()
    until(rig.router.is_away, "the daemon is away")
    assert rig.woken(state(ANN)) == {BOB}
    assert rig.sent_to(state(ANN)) == {"elsewhere": {state(ANN)}}
    # The presence of other servers' users is never sent on.
    assert set(rig.keys(state(FAR))) == {BOB}


def test_users_of_services_are_always_woken(start: StartRig) -> None:
    puppet, listed = "@irc-bob:test", "@irc-dan:test"
    rig = start(allow_room_mates(), allow(CAT, listed), allow(DAN, "@irc:test"))
    rig.rooms.members = {"!a": [ANN, puppet]}
    assert rig.woken(state(ANN)) == set()
    rig.add_service(Service("irc", "@irc-"))
    # Synapse's lists of services and of members do not change; a new list is looked at.
    rig.rooms.members = {"!a": [ANN, puppet]}
    assert rig.woken(state(ANN)) == {puppet}
    # A user whom the policy names, and the service's own sender.
    assert rig.woken(state(CAT)) == {listed}
    assert rig.woken(state(DAN)) == {"@irc:test"}


def test_users_of_services_are_woken_by_a_policy_without_rooms(start: StartRig) -> None:
    rig = start(allow("everyone", "everyone"))
    rig.add_service(Service("irc", "@irc-"))
    assert rig.woken(state(ANN)) == {"@irc:test"}
    # Synapse asks for no others whom nothing names.
    rig.rooms.members = {"!a": [ANN, "@irc-bob:test"]}
    assert rig.woken(state(ANN)) == {"@irc:test", "@irc-bob:test"}
