"""A real Synapse of several processes, each of which loads the module and asks for itself.

Nobody shares a room with anybody; who syncs does so at the worker `sync1`. The
tests that end something are behind those that end nothing.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import SERVER, until
from federation import Authority, NoteTaker
from homeserver import Process
from logs import shown
from matrix import User, set_until_seen
from policies import allow, deny
from workers import Cluster, Launcher

STATES, INTEREST = "get_users_for_states", "get_interested_users"


class World:
    """The processes of one homeserver, and a server of the federation that takes note."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.three = NoteTaker(authority)
        self.cluster = Cluster(directory, authority)
        self.daemon = self.cluster.daemon
        self.parts = self.cluster.parts
        self._numbers = itertools.count()

    def user(self, name: str, process: Process) -> User:
        """A user that no other test has, who calls one process."""
        user = self.cluster.main.register(f"{name}-{next(self._numbers)}")
        return user.at(process.url)

    def pair(self) -> tuple[User, User]:
        """One at the presence writer, whom another sees at the worker for /sync."""
        ann, bob = self.user("ann", self.cluster.writer), self.user("bob", self.cluster.sync)
        self.daemon.apply([allow(ann, bob)])
        bob.sync()
        ann.set_presence("online", "before")
        bob.sync_until_status(ann, "before")
        return ann, bob

    def asked(self, callback: str) -> list[float]:
        """The questions of Synapse in each process that were answered, from memory or not."""
        return [self.cluster.asked(process, callback) for process in self.cluster.processes]

    def sent_again(self) -> float:
        """How many presences the writer sent again."""
        name = 'presence_router_followed_total{what="senders"}'
        return self.cluster.writer.metrics().get(name, 0.0)

    def went_to_the_daemon(self) -> list[float]:
        """The questions of each process that memory could not answer."""
        return [
            sum(
                value
                for name, value in process.metrics().items()
                if name.startswith("presence_router_requests_total{")
            )
            for process in self.cluster.processes
        ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("workers"))
    try:
        with shown(world.parts):
            world.cluster.start()
        yield world
    finally:
        world.cluster.stop()
        world.three.stop()


def test_each_process_asks_for_itself_and_one_sends(world: World) -> None:
    cluster = world.cluster
    ann, bob = world.user("ann", cluster.writer), world.user("bob", cluster.sync)
    world.daemon.apply([allow(ann, [bob.id, f"@somebody:{world.three.server_name}"])])
    bob.sync()
    # Her first presence is sent again, once, which no worker passes on.
    ann.set_presence("online", "first")
    world.three.wait_for(ann.id, "first")
    until(lambda: world.sent_again() == 1, "the writer sends it again")
    bob.sync_until_status(ann, "first")
    states, interest = world.asked(STATES), world.asked(INTEREST)
    poll = bob.poll()
    ann.set_presence("online", "at lunch")
    assert poll.result()[ann.id]["status_msg"] == "at lunch"
    world.three.wait_for(ann.id, "at lunch")

    # As the table of the page says it: main process, /sync, presence writer, federation sender.
    def more() -> list[float]:
        return [now - then for then, now in zip(states, world.asked(STATES), strict=True)]

    until(lambda: more() == [1, 1, 1, 2], f"each asked; main, sync, writer, sender: {more()}")
    main, sync, writer, sender = (
        now - then for then, now in zip(interest, world.asked(INTEREST), strict=True)
    )
    assert sync >= 1 and (main, writer, sender) == (0, 0, 0)

    # Wherever a presence is set, the writer stores it, and the sender sends it, once.
    for number, process in enumerate(2 * [cluster.writer, cluster.sync, cluster.main]):
        ann.at(process.url).set_presence("online", f"update {number}")
        bob.sync_until_status(ann, f"update {number}")
        world.three.wait_for(ann.id, f"update {number}")
    updates = [f"update {n}" for n in range(6)]
    assert world.three.statuses(ann.id) == ["first", "at lunch", *updates]

    # Now memory has all answers.
    asked = sum(world.went_to_the_daemon())
    ann.set_presence("online", "from memory")
    bob.sync_until_status(ann, "from memory")
    world.three.wait_for(ann.id, "from memory")
    assert sum(world.went_to_the_daemon()) == asked

    poll = bob.poll()
    ann.set_presence("offline")
    assert poll.result()[ann.id]["presence"] == "offline"


def test_who_is_not_named_sees_nothing_at_any_process(world: World) -> None:
    cluster = world.cluster
    ann, control = world.user("ann", cluster.writer), world.user("control", cluster.writer)
    bob = world.user("bob", cluster.sync)
    rules = [allow([ann.id, control.id], {"server": SERVER}), deny(ann, "everyone")]
    world.daemon.apply([*rules, allow(control, f"@somebody:{world.three.server_name}")])
    bob.sync()
    ann.set_presence("online", "secret")
    control.set_presence("online", "later")
    bob.sync_until_status(control, "later")
    world.three.wait_for(control.id, "later")
    assert world.three.statuses(ann.id) == []
    for process in cluster.processes:
        again = bob.at(process.url)
        again.sync()
        assert control.id in again.senders() and ann.id not in again.senders(), process.name


def test_a_newcomer_is_known_at_every_process_to_who_may_see_everyone(world: World) -> None:
    watcher = world.user("watcher", world.cluster.sync)
    world.daemon.apply([allow("everyone", watcher)])
    watcher.sync()
    newcomer = world.user("newcomer", world.cluster.writer)
    newcomer.set_presence("online", "just arrived")
    watcher.sync_until_status(newcomer, "just arrived")
    for process in world.cluster.processes:
        again = watcher.at(process.url)
        again.sync_until_status(newcomer, "just arrived")


def test_no_process_had_reason_to_complain(world: World) -> None:
    for process in world.cluster.processes:
        assert process.complaints() == [], process.name
        assert process.our_warnings() == [], process.name


def test_a_change_is_followed_and_by_the_writer_alone(world: World) -> None:
    cluster = world.cluster
    ann, control = (world.user(name, cluster.writer) for name in ("ann", "control"))
    bob = world.user("bob", cluster.sync)
    bob_at_writer = bob.at(cluster.writer.url)
    world.daemon.apply([])
    ann.set_presence("online", "lunch")
    bob.sync()
    both = (cluster.sync, cluster.writer)
    want = [waiting(process) + 1 for process in both]
    polls = bob.poll(), bob_at_writer.poll()
    until(lambda: [waiting(process) for process in both] == want, "bob waits at both")
    world.daemon.apply([allow([ann.id, control.id], bob)])
    assert polls[1].result()[ann.id]["status_msg"] == "lunch"
    # Another process compares the presence with the one before, and wakes nobody, because it
    # is the same. Whatever ends the /sync that waits there brings it.
    control.set_presence("online", "later")
    assert polls[0].result().keys() == {ann.id, control.id}
    sent = 'presence_router_followed_total{what="senders"}'
    who = [process.name for process in cluster.processes if process.metrics().get(sent, 0) > 0]
    assert who == [cluster.writer.name]


def waiting(process: Process) -> float:
    """How many /sync wait at a process for news."""
    return sum(
        value
        for name, value in process.metrics().items()
        if name.startswith("synapse_notifier_listeners{")
    )


def test_the_daemon_dies_and_returns_while_the_workers_stay(world: World) -> None:
    ann, bob = world.pair()
    processes = world.cluster.processes
    world.daemon.kill()
    # Without a question of anybody.
    until(lambda: all(process.our_warnings() for process in processes), "each misses the daemon")
    ann.set_presence("online", "from memory")
    bob.sync_until_status(ann, "from memory")
    world.daemon.start()

    def all_said_it() -> bool:
        return all(len(process.our_warnings()) == 2 for process in processes)

    until(all_said_it, "each process says that the daemon is back")
    set_until_seen(ann, bob, "back")
    for process in processes:
        log = process.our_warnings()
        assert ["does not answer" in line for line in log] == [True, False], log
        assert "is back after" in log[1]
        assert process.complaints() == [], process.name


def test_a_killed_worker_works_again_when_it_is_started_again(world: World) -> None:
    cluster = world.cluster
    ann, bob = world.pair()
    for worker in (cluster.sync, cluster.writer, cluster.sender):
        worker.kill()
        worker.start()
        set_until_seen(ann, bob, f"{worker.name} is back")
        until(lambda: cluster.asked(worker, STATES) > 0, f"{worker.name} asks")
    world.daemon.apply([allow(ann, [bob.id, f"@somebody:{world.three.server_name}"])])
    ann.set_presence("online", "from the new sender")
    world.three.wait_for(ann.id, "from the new sender")


def test_sync_answers_while_redis_is_away(world: World) -> None:
    ann, bob = world.pair()
    world.cluster.redis.stop()
    # Both assert that the answer is 200.
    for number in range(5):
        ann.set_presence("online", f"unheard {number}")
        bob.sync(0.2)
    bob.sync_again()
    world.cluster.redis.start()
    set_until_seen(ann, bob, "Redis is back")


def test_a_worker_that_daemonizes_itself_asks(world: World) -> None:
    ann, bob = world.pair()
    sync = world.cluster.sync
    sync.stop()
    try:
        sync.start_daemonized()
        set_until_seen(ann, bob, "forked")
        assert world.cluster.asked(sync, INTEREST) > 0
    finally:
        sync.stop()
        sync.start()


def test_processes_that_are_forked_from_one_that_imported_the_module_ask(world: World) -> None:
    ann, bob = world.pair()
    cluster = world.cluster
    for process in cluster.processes:
        process.stop()
    launcher = Launcher(cluster)
    try:
        with shown([launcher, *cluster.processes]):
            launcher.start()
            for process in cluster.processes:
                process.wait()
        set_until_seen(ann, bob, "forked")
        assert min(world.asked(STATES)) > 0
        assert cluster.asked(cluster.sync, INTEREST) > 0
    finally:
        launcher.stop()
