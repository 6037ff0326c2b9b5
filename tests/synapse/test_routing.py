"""Who sees whose presence in a real Synapse, by policy, where no room is shared.

That something does not arrive is shown by something later that does.
"""

import pytest
from conftest import World
from policies import allow, deny, within

pytestmark = pytest.mark.smoke


def test_presence_status_and_going_offline_arrive_within_one_long_poll(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])

    poll = bob.poll()
    ann.set_presence("online", "at lunch")
    came = poll.result()
    assert (came[ann.id]["presence"], came[ann.id]["status_msg"]) == ("online", "at lunch")

    poll = bob.poll()
    ann.set_presence("offline")
    assert poll.result()[ann.id]["presence"] == "offline"


def test_who_is_not_named_sees_nothing(world: World) -> None:
    ann, bob, control = world.users("ann", "bob", "control")
    world.daemon.apply([allow(ann, control), allow(control, bob)])
    bob.sync()
    ann.set_presence("online", "secret")
    control.set_presence("online", "later")
    bob.sync_until_status(control, "later")
    assert bob.senders() == {control.id}
    # Nor at an initial sync, though the presence is there for who is named.
    bob.sync_again()
    assert bob.senders() == {control.id}
    control.sync_until_status(ann, "secret")


def test_a_deny_takes_away_what_an_allow_gave(world: World) -> None:
    ann, bob, control = world.users("ann", "bob", "control")
    rules = [allow([ann.id, control.id], bob)]
    world.daemon.apply(rules)
    bob.sync()
    ann.set_presence("online", "seen")
    bob.sync_until_status(ann, "seen")

    world.daemon.apply([*rules, deny(ann, "everyone")])
    ann.set_presence("unavailable", "secret")
    control.set_presence("online", "later")
    bob.sync_until_status(control, "later")
    assert (ann.id, "secret") not in bob.statuses()
    bob.sync_again()
    assert bob.senders() == {control.id}


def test_within_a_group_both_directions_work_and_nobody_else_sees_it(world: World) -> None:
    ann, bob, eve, control = world.users("ann", "bob", "eve", "control")
    world.daemon.apply([within("team/*"), allow(control, eve)], {"team/a": [ann.id, bob.id]})
    for user in (ann, bob, eve):
        user.sync()

    poll = bob.poll()
    ann.set_presence("online", "from ann")
    assert poll.result()[ann.id]["status_msg"] == "from ann"

    poll = ann.poll()
    bob.set_presence("online", "from bob")
    assert poll.result()[bob.id]["status_msg"] == "from bob"

    control.set_presence("online", "later")
    eve.sync_until_status(control, "later")
    assert eve.senders() == {control.id}


def test_a_reload_gives_sight_to_one_and_takes_it_from_another(world: World) -> None:
    ann, before, after, control = world.users("ann", "before", "after", "control")
    always = [allow(control, [before.id, after.id])]
    world.daemon.apply([*always, allow(ann, before)])
    before.sync(), after.sync()
    ann.set_presence("online", "one")
    control.set_presence("online", "one")
    for user in (before, after):
        user.sync_until_status(control, "one")
    assert (ann.id, "one") in before.statuses()
    assert ann.id not in after.senders()

    world.daemon.apply([*always, allow(ann, after)])
    poll = after.poll()
    ann.set_presence("online", "two")
    assert poll.result()[ann.id]["status_msg"] == "two"
    control.set_presence("online", "two")
    before.sync_until_status(control, "two")
    assert (ann.id, "two") not in before.statuses()


def test_a_broken_policy_changes_nothing(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    bob.sync()
    world.daemon.reload_text("rules: {")
    ann.set_presence("online", "still seen")
    bob.sync_until_status(ann, "still seen")
