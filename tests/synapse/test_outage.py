"""The daemon dies or hangs under a real Synapse, and comes back."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from conftest import World, start_world
from daemon import until
from matrix import User, set_until_seen
from policies import allow

DEADLINE = 0.5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("outage")
    yield from start_world(directory, interface, deadline_ms=int(DEADLINE * 1000))


@pytest.fixture(autouse=True)
def daemon_runs_again(world: World) -> Iterator[None]:
    """So that one test that fails does not fail the others."""
    yield
    if not world.daemon.runs:
        world.daemon.start()


def requests(world: World, outcome: str) -> float:
    """How many questions ended like this."""
    return sum(
        value
        for name, value in world.homeserver.metrics().items()
        if name.startswith("presence_router_requests_total{") and f'outcome="{outcome}"' in name
    )


class Syncing:
    """Users who sync all the time; whatever does not answer 200 is remembered."""

    def __init__(self, users: list[User]) -> None:
        self.counts = dict.fromkeys((user.id for user in users), 0)
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(user,)) for user in users]
        for thread in self._threads:
            thread.start()

    def _run(self, user: User) -> None:
        try:
            while not self._stop.is_set():
                user.sync(0.2)
                self.counts[user.id] += 1
        except BaseException as why:
            self.failures.append(why)

    def go_on(self) -> None:
        """Waits until each has synced some more."""
        before = dict(self.counts)
        until(
            lambda: bool(self.failures) or all(n >= before[u] + 3 for u, n in self.counts.items()),
            "everybody syncs",
        )

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_killed_daemon_costs_its_presence_only_and_it_returns_by_itself(world: World) -> None:
    ann, bob, dave, *others = world.users("ann", "bob", "dave", "s0", "s1", "s2")
    world.daemon.apply([allow(ann, [user.id for user in (bob, *others)])])
    dave.join(bob.create_room())
    bob.sync()
    ann.set_presence("online", "before")
    bob.sync_until_status(ann, "before")
    lines, unreachable = len(world.homeserver.our_log()), requests(world, "unreachable")

    syncing = Syncing(others)
    try:
        syncing.go_on()
        world.daemon.kill()
        ann.set_presence("online", "unseen")
        dave.set_presence("online", "from a room-mate")
        bob.sync_until_status(dave, "from a room-mate")
        assert (ann.id, "unseen") not in bob.statuses()
        bob.sync_again()
        assert ann.id not in bob.senders()
        assert dave.id in bob.senders()
        syncing.go_on()

        world.daemon.start()
        set_until_seen(ann, bob, "back")
        syncing.go_on()
    finally:
        syncing.stop()
    assert syncing.failures == []

    # Counted each time, logged once.
    assert requests(world, "unreachable") - unreachable >= 3
    log = [line for line in world.homeserver.our_log()[lines:] if " WARNING " in line]
    assert ["does not answer" in line for line in log] == [True, False], log
    assert "additional presence is off until it is back" in log[0]
    assert world.daemon.address in log[0] and "calls had no answer" in log[1]


def test_a_restart_in_good_order_is_survived(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    bob.sync()
    ann.set_presence("online", "before")
    bob.sync_until_status(ann, "before")
    world.daemon.stop()
    ann.set_presence("online", "unseen")
    world.daemon.start()
    set_until_seen(ann, bob, "back")


def test_a_daemon_that_hangs_costs_no_more_than_deadlines(world: World) -> None:
    ann, bob, newcomer = world.users("ann", "bob", "newcomer")
    world.daemon.apply([allow(ann, [bob.id, newcomer.id])])
    bob.sync(), newcomer.sync()

    numbers = itertools.count()
    how = "quiet"

    def update() -> None:
        # Each another one: Synapse asks about changes only.
        ann.set_presence("online", f"{how} {next(numbers)}")

    def timed(action: Callable[[], object]) -> float:
        began = time.monotonic()
        action()
        return time.monotonic() - began

    actions = {
        "initial /sync": newcomer.sync_again,
        "incremental /sync": bob.sync,
        "update": update,
    }
    quiet = max(timed(action) for action in actions.values() for _ in range(5))
    bob.sync_until_status(ann, "quiet 4")
    deadlines = requests(world, "deadline")

    world.daemon.pause()
    how = "hang"
    try:
        # None asks more than twice, and each question waits for one deadline at
        # most. The margin is for slow machines: without deadlines it takes for ever.
        for name, action in actions.items():
            took = timed(action)
            assert took <= 2 * DEADLINE + 10 * quiet + 5, (name, took)
        assert requests(world, "deadline") > deadlines
        # After a few deadlines, nearly no question waits: each that finds the
        # daemon away at once is counted so.
        unreachable = requests(world, "unreachable")

        def nobody_waits() -> bool:
            update()
            return requests(world, "unreachable") - unreachable >= 20

        until(nobody_waits, "questions no longer wait")
        assert requests(world, "deadline") - deadlines >= 5
        bob.sync()
        assert not any((status or "").startswith("hang") for _, status in bob.statuses())
    finally:
        world.daemon.resume()
    set_until_seen(ann, bob, "back")


def test_metrics_are_in_synapses_own_registry(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])

    def answered(callback: str) -> tuple[float, float]:
        metrics = world.homeserver.metrics()
        counted = f'presence_router_requests_total{{callback="{callback}",outcome="ok"}}'
        timed = f'presence_router_request_seconds_count{{callback="{callback}"}}'
        return metrics[counted], metrics[timed]

    ann.set_presence("online")
    before = answered("get_users_for_states")
    ann.set_presence("online", "other")
    after = answered("get_users_for_states")
    assert after[0] > before[0] and after[1] > before[1]

    bob.sync_again()
    before = answered("get_interested_users")
    bob.sync_again()
    after = answered("get_interested_users")
    # Exactly once: the callbacks are not registered twice.
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    metrics = world.homeserver.metrics()
    assert "presence_router_unsent_states_total" in metrics
    assert metrics["presence_router_reachable"] == 1
