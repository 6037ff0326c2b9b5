"""A real Synapse of several processes: two of them send to other servers, and users create
rooms at each of them.

Nobody shares a room with anybody. The test that ends the daemon is the last one.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import until
from federation import Authority, NoteTaker
from homeserver import Process
from logs import shown
from matrix import User
from policies import allow, hide
from synapse.config._base import ShardedWorkerHandlingConfig
from workers import Cluster

SENDERS = ("federation_sender1", "federation_sender2")
HINT = "m.room.presence_sharing"
ROOMS = [
    {
        "name": "private rooms share no presence",
        "when": {"preset": "private_chat"},
        "add": [{"type": HINT, "content": {"presence_sharing": "forbid"}}],
    },
    {
        "name": "no boards",
        "when": {"name": "Board*"},
        "deny": {"errcode": "ORG.EXAMPLE_BOARD", "message": "no boards here", "status": 400},
    },
]


class World:
    """The processes of one homeserver, and two other servers for each federation sender."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.cluster = Cluster(
            directory,
            authority,
            workers=("presence1", *SENDERS),
            modules=("short_pings.ShortPings",),
            # Nothing is sent again: tests count what is sent.
            follow_changes=False,
            rooms=True,
            rooms_when_away="deny",
        )
        self.daemon = self.cluster.daemon
        self.parts = self.cluster.parts
        self._all_servers: list[NoteTaker] = []
        self.servers_of: dict[str, list[NoteTaker]] = {name: [] for name in SENDERS}
        # Their ports are random, and so their names and the senders that Synapse chooses.
        while any(len(servers) < 2 for servers in self.servers_of.values()):
            server = NoteTaker(authority)
            self._all_servers.append(server)
            self.servers_of[sender_for(server)].append(server)
        self._numbers = itertools.count()

    def user(self, name: str, process: Process) -> User:
        """A user that no other test has, who calls one process."""
        user = self.cluster.main.register(f"{name}-{next(self._numbers)}")
        return user.at(process.url)

    def stop(self) -> None:
        """Ends all of it."""
        self.cluster.stop()
        for server in self._all_servers:
            server.stop()


def sender_for(server: NoteTaker) -> str:
    """The process that sends to a server, by Synapse's own choice."""
    shards = ShardedWorkerHandlingConfig(list(SENDERS))
    (name,) = (name for name in SENDERS if shards.should_handle(name, server.server_name))
    return name


def somebody(server: NoteTaker) -> str:
    """A user of another server."""
    return f"@somebody:{server.server_name}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("roles"))
    try:
        with shown(world.parts):
            world.cluster.start()
        yield world
        for process in world.cluster.processes:
            assert process.complaints() == [], process.name
    finally:
        world.stop()


def test_each_of_two_federation_senders_sends_once_and_to_its_own_servers(world: World) -> None:
    processes = world.cluster.processes
    ann = world.user("ann", world.cluster.writer)
    servers = [server for name in SENDERS for server in world.servers_of[name]]
    world.daemon.apply([allow(ann, [somebody(server) for server in servers])])
    before = [Counter(process.transactions()) for process in processes]
    updates = [f"update {number}" for number in range(4)]
    for update in updates:
        ann.set_presence("online", update)
        for server in servers:
            server.wait_for(ann.id, update)

    def sent() -> dict[str, dict[str, int]]:
        counts = (Counter(process.transactions()) for process in processes)
        return {
            process.name: dict(now - then)
            for process, now, then in zip(processes, counts, before, strict=True)
        }

    # A process logs a transaction when the other server has answered it.
    want = {
        process.name: {
            server.server_name: len(updates) for server in world.servers_of.get(process.name, [])
        }
        for process in processes
    }
    until(lambda: sent() == want, f"each sends to its own servers: {want}")
    for server in servers:
        assert server.statuses(ann.id) == updates, server.server_name


def test_a_ping_has_every_field_and_reaches_the_servers_that_the_policy_names(world: World) -> None:
    ann, control = (world.user(name, world.cluster.writer) for name in ("ann", "control"))
    offline, plain = world.servers_of[SENDERS[0]][:2]
    no_status, unnamed = world.servers_of[SENDERS[1]][:2]
    named = [offline, plain, no_status]
    world.daemon.apply(
        [
            allow(ann, [somebody(server) for server in named]),
            hide(ann, somebody(offline), "presence"),
            hide(ann, somebody(no_status), "status_msg"),
            allow(control, [somebody(server) for server in [*named, unnamed]]),
        ]
    )
    everything = {
        "user_id": ann.id,
        "presence": "online",
        "status_msg": "at lunch",
        "currently_active": True,
    }
    ann.set_presence("online", "at lunch")
    until(lambda: all(pushes(server, ann) for server in named), "the update arrives")
    assert pushes(plain, ann) == [everything]
    assert pushes(no_status, ann) == [without(everything, "status_msg")]
    assert pushes(offline, ann) == [{"user_id": ann.id, "presence": "offline"}]

    # To Synapse, this is no change but a sign of life: it pings. The writer asks the module
    # for the servers only; each sender sends what it knows of the user itself.
    ann.set_presence("online", "at lunch")
    until(lambda: all(len(pushes(server, ann)) > 1 for server in named), "the ping arrives")
    control.set_presence("online", "after the ping")
    for server in [*named, unnamed]:
        server.wait_for(control.id, "after the ping")
    for server in named:
        assert pushes(server, ann)[1:] == [everything], server.server_name
    assert pushes(unnamed, ann) == []


def pushes(server: NoteTaker, user: User) -> list[dict[str, Any]]:
    """What came of a user, without the time since the last activity, which every presence
    that shows an activity must have."""
    came = [dict(push) for _, push in server.came if push["user_id"] == user.id]
    for push in came:
        assert ("last_active_ago" in push) == ("currently_active" in push)
        push.pop("last_active_ago", None)
    return came


def without(push: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in push.items() if name != field}


def rooms(world: World, what: str) -> list[float]:
    """How many rooms became that, by each process."""
    name = f'presence_router_rooms_total{{what="{what}"}}'
    return [process.metrics().get(name, 0) for process in world.cluster.processes]


def test_the_policy_decides_about_rooms_at_the_process_where_they_are_created(
    world: World,
) -> None:
    world.daemon.apply([], rooms=ROOMS)
    for number, process in enumerate(world.cluster.processes):
        ann = world.user("ann", process)
        before = {what: rooms(world, what) for what in ("added", "denied")}
        answer = ann.ask_for_room(preset="private_chat")
        assert answer.status_code == 200, (process.name, answer.text)
        hint = ann.room_state(answer.json()["room_id"], HINT)
        assert hint.json() == {"presence_sharing": "forbid"}, process.name
        answer = ann.ask_for_room(name="Board 7")
        want = {"errcode": "ORG.EXAMPLE_BOARD", "error": "no boards here"}
        assert (answer.status_code, answer.json()) == (400, want), process.name
        for what, counts in before.items():
            counts[number] += 1
            assert rooms(world, what) == counts, (what, process.name)


def test_without_the_daemon_each_process_denies_rooms_as_configured(world: World) -> None:
    world.daemon.apply([], rooms=ROOMS)
    users = [world.user("ann", process) for process in world.cluster.processes]
    before = rooms(world, "denied_without_verdict")
    world.daemon.kill()
    for process, ann in zip(world.cluster.processes, users, strict=True):
        answer = ann.ask_for_room(preset="private_chat")
        assert answer.status_code == 503, (process.name, answer.text)
        assert answer.json()["errcode"] == "M_UNKNOWN"
    assert rooms(world, "denied_without_verdict") == [count + 1 for count in before]
    world.daemon.start()
    for process, ann in zip(world.cluster.processes, users, strict=True):
        until(lambda ann=ann: has_hint(ann), f"{process.name} asks the daemon again")


def has_hint(user: User) -> bool:
    """Whether a user can create a room, with the state that the policy adds."""
    answer = user.ask_for_room(preset="private_chat")
    return answer.ok and user.room_state(answer.json()["room_id"], HINT).ok
