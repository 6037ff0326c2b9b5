"""Two real Synapses that ask one daemon, and a server of the federation without the module.

Nobody shares a room with anybody. That something does not arrive is shown by
something later that does, on the same way.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from daemon import Daemon, until
from federation import Authority, Federated, NoteTaker, free_name
from homeserver import Homeserver, module_of_tests
from logs import shown
from matrix import User
from page import block
from policies import allow, deny, hide

PAGE = "federation.md"


class Federation:
    """The servers `one` and `two` with the module, `three` without, and their daemon."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        names = [free_name(), free_name()]
        self.three = NoteTaker(authority)
        self.daemon = Daemon(directory, "presence-router")
        self.daemon.settling = 0.1
        self._names = dict(zip(("one_example", "two_example"), names, strict=True))
        text = block(PAGE, "homeserver.yaml of one.example and of two.example", **self._names)
        config = yaml.safe_load(text.replace("/run/presence-router", str(directory)))
        # For slow machines.
        config["modules"][0]["config"]["deadline_ms"] = 2000
        self.two = Federated(directory / "two", authority, names[1], **config)
        # Only this one sends what tests of pings look at.
        (directory / "one").mkdir()
        config["modules"].append(module_of_tests(directory / "one", "short_pings.ShortPings"))
        self.one = Federated(directory / "one", authority, names[0], **config)
        self.parts = (self.daemon, self.one, self.two)
        self._numbers = itertools.count()

    def policy(self) -> tuple[list[object], dict[str, object]]:
        """The policy of the page, with the names that the servers have here."""
        names = self._names | {"three_example": self.three.server_name}
        text = block(PAGE, "policy.yaml of one.example and two.example", **names)
        policy = yaml.safe_load(text)
        return policy["rules"], policy["groups"]

    def user(self, homeserver: Homeserver, name: str) -> User:
        """A user that no other test has."""
        return homeserver.register(f"{name}-{next(self._numbers)}")

    def somebody(self) -> str:
        """A user of the server without the module."""
        return f"@somebody:{self.three.server_name}"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    federation = Federation(tmp_path_factory.mktemp("federation"))
    try:
        with shown(federation.parts):
            for part in federation.parts:
                part.start()
        yield federation
        for homeserver in (federation.one, federation.two):
            homeserver.stop()
            assert homeserver.code == 0
            assert homeserver.complaints() == []
    finally:
        federation.three.stop()
        for part in reversed(federation.parts):
            part.stop()


def test_the_policy_of_the_page_holds_across_servers(federation: Federation) -> None:
    federation.daemon.apply(*federation.policy())
    one, two = federation.one, federation.two
    ann, desk, eve = (one.register(name) for name in ("ann", "desk", "eve"))
    bob, dan = (two.register(name) for name in ("bob", "dan"))
    for user in (ann, bob, dan):
        user.sync()

    poll = bob.poll()
    ann.set_presence("online", "from ann")
    assert poll.result()[ann.id]["status_msg"] == "from ann"
    poll = ann.poll()
    bob.set_presence("unavailable", "from bob")
    came = poll.result()[bob.id]
    assert (came["presence"], came["status_msg"]) == ("unavailable", "from bob")
    # To a server that nobody asks the daemon for.
    federation.three.wait_for(ann.id, "from ann")
    federation.three.wait_for(bob.id, "from bob")
    assert {origin for origin, _ in federation.three.came} == {one.server_name, two.server_name}

    # The server of dan has the presence of ann. He is shown it no more than that of eve.
    eve.set_presence("online", "from eve")
    desk.set_presence("online", "from the help desk")
    dan.sync_until_status(desk, "from the help desk")
    bob.sync_until_status(desk, "from the help desk")
    assert dan.senders() == {desk.id}
    assert bob.senders() - {bob.id} == {ann.id, desk.id}
    assert federation.three.statuses(eve.id) == federation.three.statuses(desk.id) == []
    # Nor at an initial sync, at which those who may are shown what is there.
    dan.sync_again(), bob.sync_again()
    assert dan.senders() == {desk.id}
    assert {(ann.id, "from ann"), (desk.id, "from the help desk")} <= set(bob.statuses())


def test_update_after_update_arrives_until_they_are_offline(federation: Federation) -> None:
    ann, bob = federation.user(federation.one, "ann"), federation.user(federation.two, "bob")
    federation.daemon.apply([allow(ann, [bob.id, federation.somebody()])])
    bob.sync()
    for number in range(10):
        ann.set_presence(("online", "unavailable")[number % 2], f"update {number}")
        bob.sync_until_status(ann, f"update {number}")
        federation.three.wait_for(ann.id, f"update {number}")
    poll = bob.poll()
    ann.set_presence("offline")
    assert poll.result()[ann.id]["presence"] == "offline"


def test_what_a_deny_covers_is_not_sent(federation: Federation) -> None:
    one, two = federation.one, federation.two
    ann, control = federation.user(one, "ann"), federation.user(one, "control")
    bob, friend = federation.user(two, "bob"), federation.user(two, "friend")
    everybody = {"server": [two.server_name, federation.three.server_name]}
    rules = [allow({"server": one.server_name}, everybody)]
    federation.daemon.apply([*rules, deny(ann, everybody)])
    bob.sync()
    ann.set_presence("online", "secret")
    control.set_presence("online", "after the secret")
    bob.sync_until_status(control, "after the secret")
    federation.three.wait_for(control.id, "after the secret")
    assert ann.id not in bob.senders()
    assert federation.three.statuses(ann.id) == []

    # To one of two who live on one server: it is sent there, and shown to the other only.
    federation.daemon.apply([*rules, deny(ann, bob)])
    friend.sync()
    ann.set_presence("online", "for friends")
    control.set_presence("online", "after that")
    friend.sync_until_status(ann, "for friends")
    bob.sync_until_status(control, "after that")
    bob.sync_again()
    assert ann.id not in bob.senders()
    assert control.id in bob.senders()


def test_what_is_hidden_from_one_is_not_sent_to_their_server(federation: Federation) -> None:
    ann, control = (federation.user(federation.one, name) for name in ("ann", "control"))
    bob, friend = (federation.user(federation.two, name) for name in ("bob", "friend"))
    three = federation.three
    rules = [allow([ann.id, control.id], [bob.id, friend.id, federation.somebody()])]
    federation.daemon.apply([*rules, hide(ann, bob)])
    bob.sync()
    friend.sync()
    ann.set_presence("online", "secret")
    # Not by one poll: presence of others may be sent again at any time, after a change of the
    # policy.
    friend.sync_until(lambda user: ann.id in user.sees)
    came = friend.sees[ann.id]
    assert (came["presence"], came["currently_active"]) == ("online", True)
    assert "last_active_ago" in came and "status_msg" not in came
    # Where it is hidden from nobody, it is there.
    three.wait_for(ann.id, "secret")
    # Their own server has nothing else to show them, and shows nothing.
    control.set_presence("online", "after that")
    bob.sync_until_status(control, "after that")
    assert ann.id not in bob.senders()

    # Whoever saw them online sees them go.
    hidden = hide(ann, [bob.id, federation.somebody()], "presence", unless=("busy",))
    federation.daemon.apply([*rules, hidden])
    ann.set_presence("unavailable", "more secret")
    friend.sync_until(lambda user: user.sees[ann.id]["presence"] != "online")
    came = friend.sees[ann.id]
    assert came["presence"] == "offline" and "status_msg" not in came
    ann.set_presence("online", "most secret")
    control.set_presence("online", "in the end")
    friend.sync_until_status(control, "in the end")
    three.wait_for(control.id, "in the end")
    assert friend.sees[ann.id]["presence"] == "offline"
    friend.sync_again()
    assert friend.sees.get(ann.id, came)["presence"] == "offline"
    pushes = [push for _, push in three.came if push["user_id"] == ann.id]
    # The module may send the first presence of a user once more.
    shown = [push for push in pushes if push["presence"] != "offline"]
    assert shown == pushes[: len(shown)] and len(pushes) > len(shown)
    assert {push["status_msg"] for push in shown} == {"secret"}
    assert all(push == {"user_id": ann.id, "presence": "offline"} for push in pushes[len(shown) :])


def test_a_ping_lacks_what_is_hidden_if_the_process_that_writes_presence_sends_it(
    federation: Federation,
) -> None:
    ann, bob = federation.user(federation.one, "ann"), federation.user(federation.two, "bob")
    rules = [allow(ann, [bob.id, federation.somebody()]), hide(ann, federation.somebody())]
    federation.daemon.apply(rules)
    bob.sync()
    ann.set_presence("online", "secret")
    bob.sync_until_status(ann, "secret")

    def pushes() -> list[dict[str, object]]:
        return [push for _, push in federation.three.came if push["user_id"] == ann.id]

    until(lambda: len(pushes()) > 0, "the update arrives")
    # To Synapse, this is no change but a sign of life: it pings. Twice, because the module
    # may send the first presence of a user once more.
    for _ in range(2):
        count = len(pushes())
        ann.set_presence("online", "secret")
        until(lambda count=count: len(pushes()) > count, "the ping arrives")
    fields = {"user_id", "presence", "last_active_ago", "currently_active"}
    assert all(push.keys() == fields for push in pushes()), pushes()


def test_who_may_see_everyone_sees_those_of_other_servers(federation: Federation) -> None:
    ann, bob = federation.user(federation.one, "ann"), federation.user(federation.two, "bob")
    # Servers that only `destinations` names.
    federation.daemon.apply([allow({"match": "@ann-*:*"}, "everyone")])
    bob.sync()
    ann.set_presence("online", "to everyone")
    bob.sync_until_status(ann, "to everyone")

    # Those whom it heard of are known after a restart, too.
    federation.two.stop()
    federation.two.start()
    bob.sync_again()
    assert (ann.id, "to everyone") in bob.statuses()


def test_without_the_daemon_memory_answers_and_the_rest_is_sent_afterwards(
    federation: Federation,
) -> None:
    one, two, three = federation.one, federation.two, federation.three
    ann, late = federation.user(one, "ann"), federation.user(one, "late")
    bob = federation.user(two, "bob")
    federation.daemon.apply([allow([ann.id, late.id], [bob.id, federation.somebody()])])
    bob.sync()
    ann.set_presence("online", "before")
    bob.sync_until_status(ann, "before")
    three.wait_for(ann.id, "before")
    federation.daemon.kill()
    for homeserver in (one, two):
        until(
            lambda at=homeserver: at.metrics()["presence_router_reachable"] == 0,  # type: ignore[misc]
            "the end is noticed",
        )
    # Nobody asked for the recipients of this one before.
    late.set_presence("online", "unheard")
    ann.set_presence("online", "from memory")
    bob.sync_until_status(ann, "from memory")
    three.wait_for(ann.id, "from memory")
    assert late.id not in bob.senders() and three.statuses(late.id) == []

    federation.daemon.start()
    bob.sync_until_status(late, "unheard")
    three.wait_for(late.id, "unheard")
