"""The daemon dies or hangs under a real Synapse, and comes back: with `stale_for: 0`, so
that additional presence ends with the connection, and with answers from memory."""

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from conftest import World, start_world
from daemon import until
from matrix import User, set_until_seen
from policies import allow

DEADLINE = 0.5

# A daemon that says nothing for two of these counts as away.
HEARTBEATS = {"heartbeat_seconds": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("outage")
    deadline_ms = int(DEADLINE * 1000)
    yield from start_world(directory, interface, HEARTBEATS, deadline_ms=deadline_ms, stale_for=0)


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    """A world whose Synapse keeps answers for longer than any test takes."""
    directory = tmp_path_factory.mktemp("remembering")
    deadline_ms = int(DEADLINE * 1000)
    yield from start_world(directory, interface, HEARTBEATS, deadline_ms=deadline_ms, stale_for=600)


@pytest.fixture(autouse=True)
def daemon_runs_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that one test that fails does not fail the others."""
    yield
    for name in {"world", "remembering"} & set(request.fixturenames):
        daemon = request.getfixturevalue(name).daemon
        if not daemon.runs:
            daemon.start()


def requests(world: World, outcome: str = "") -> float:
    """How many questions went to the daemon, and ended like this."""
    return total(world, "presence_router_requests_total", f'outcome="{outcome}')


def hits(world: World) -> float:
    """How many questions were answered from memory."""
    return total(world, "presence_router_hits_total")


def followed(world: World, what: str) -> float:
    """What the module sent again, and why."""
    return total(world, "presence_router_followed_total", f'what="{what}"')


def total(world: World, metric: str, label: str = "") -> float:
    return sum(
        value
        for name, value in world.homeserver.metrics().items()
        if name.startswith(f"{metric}{{") and label in name
    )


def reachable(world: World) -> bool:
    """Whether Synapse's process is connected, and its last question was answered."""
    return world.homeserver.metrics()["presence_router_reachable"] == 1


def appear(world: World, sender: User, recipient: User) -> None:
    """Sets the first presence of a user, and waits until it was sent once more, as every
    first one is."""
    before = followed(world, "senders")
    sender.set_presence("online", "before")
    recipient.sync_until_status(sender, "before")
    until(lambda: followed(world, "senders") > before, "the first presence is sent again")


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
        until(lambda: not reachable(world), "the end is noticed")
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
    until(lambda: not reachable(world), "the end is noticed")
    ann.set_presence("online", "unseen")
    world.daemon.start()
    set_until_seen(ann, bob, "back")


def test_a_daemon_that_hangs_costs_no_more_than_deadlines(world: World) -> None:
    ann, bob, stranger, newcomer = world.users("ann", "bob", "stranger", "newcomer")
    senders, recipients = [ann.id, stranger.id], [bob.id, newcomer.id]
    world.daemon.apply([allow(senders, recipients)])
    bob.sync()

    numbers = itertools.count()

    def timed(action: Callable[[], object]) -> float:
        began = time.monotonic()
        action()
        return time.monotonic() - began

    def actions(sender: User, recipient: User, how: str) -> dict[str, Callable[[], object]]:
        return {
            # Each another one: Synapse asks about changes only.
            "update": lambda: sender.set_presence("online", f"{how} {next(numbers)}"),
            "initial /sync": recipient.sync_again,
            "incremental /sync": recipient.sync,
        }

    quiet = max(timed(act) for act in actions(ann, bob, "quiet").values() for _ in range(5))
    bob.sync_until_status(ann, "quiet 4")
    deadlines = requests(world, "deadline")

    world.daemon.pause()
    try:
        # Memory has no answer about either. None asks more than twice, and each question
        # waits for one deadline at most. The margin is for slow machines: without deadlines
        # it takes for ever.
        hanging = actions(stranger, newcomer, "hang")
        for name, action in hanging.items():
            took = timed(action)
            assert took <= 2 * DEADLINE + 10 * quiet + 5, (name, took)
        assert requests(world, "deadline") > deadlines
        # After two heartbeats, no question waits: each that finds the daemon away at once is
        # counted so.
        unreachable = requests(world, "unreachable")

        def nobody_waits() -> bool:
            hanging["update"]()
            return requests(world, "unreachable") - unreachable >= 20

        until(nobody_waits, "questions no longer wait")
        ann.set_presence("online", "hang")
        bob.sync()
        assert not any((status or "").startswith("hang") for _, status in bob.statuses())
    finally:
        world.daemon.resume()
    set_until_seen(ann, bob, "back")


def test_the_end_of_an_outage_is_said_without_anybody_asking(world: World) -> None:
    lines = len(world.homeserver.our_warnings())
    until(lambda: reachable(world), "the daemon is there")
    world.daemon.pause()
    try:
        until(lambda: not reachable(world), "the silence is noticed")
    finally:
        world.daemon.resume()
    until(lambda: reachable(world), "the module is connected again")
    # Each outage of a test ends with the test; this one may be too close to the last to be
    # logged.
    assert len(world.homeserver.our_warnings()) - lines in (0, 2)


def test_after_an_outage_only_those_without_an_answer_are_sent_again(remembering: World) -> None:
    world = remembering
    ann, bob, late = world.users("ann", "bob", "late")
    world.daemon.apply([allow([ann.id, late.id], bob)])
    appear(world, ann, bob)

    def sent() -> tuple[float, ...]:
        return tuple(followed(world, what) for what in ("outage", "reset", "senders"))

    before, lines = sent(), len(world.homeserver.our_warnings())
    world.daemon.pause()
    try:
        until(lambda: not reachable(world), "the silence is noticed")
        poll = bob.poll()
        ann.set_presence("online", "from memory")
        assert poll.result()[ann.id]["status_msg"] == "from memory"
        late.set_presence("online", "unheard")
    finally:
        world.daemon.resume()
    bob.sync_until_status(late, "unheard")
    until(lambda: sent() != before, "the module sends")
    # That it would have sent others as well shows before this is there.
    set_until_seen(late, bob, "back")
    assert sent() == (before[0], before[1], before[2] + 1)
    gone, _ = world.homeserver.our_warnings()[lines:]
    assert (
        "answers in memory stay for at most 600 s, then additional presence is off until it is back"
    ) in gone


def test_who_synced_without_an_answer_in_an_outage_is_not_forgotten(remembering: World) -> None:
    world = remembering
    ann, bob, stranger = world.users("ann", "bob", "stranger")
    world.daemon.apply([allow(ann, [bob.id, stranger.id])])
    appear(world, ann, bob)
    before = followed(world, "outage")
    world.daemon.pause()
    try:
        until(lambda: not reachable(world), "the silence is noticed")
        # Synapse will not offer this presence a second time.
        stranger.sync()
        assert ann.id not in stranger.senders()
    finally:
        world.daemon.resume()
    stranger.sync_until_status(ann, "before")
    assert followed(world, "outage") == before + 1


def test_a_question_that_memory_answers_makes_no_call(remembering: World) -> None:
    world = remembering
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    appear(world, ann, bob)
    before = hits(world), requests(world)
    for number in range(10):
        ann.set_presence("online", f"update {number}")
        bob.sync_until_status(ann, f"update {number}")
    after = hits(world), requests(world)
    assert after[0] >= before[0] + 20
    assert after[1] == before[1]

    # The daemon's own count. Ten updates, each of which Synapse asks about twice, are none.
    lines = len(world.daemon.log.read_text().splitlines())
    asked = world.homeserver.metrics()[
        'presence_router_requests_total{callback="get_users_for_states",outcome="ok"}'
    ]
    world.daemon.stop()
    log = world.daemon.log.read_text().splitlines()[lines:]
    ended = [line for line in log if "stream ended" in line and "RouteStates" in line]
    (states,) = re.findall(r" states=(\d+)", "\n".join(ended))
    assert int(states) <= asked


def test_answers_in_memory_outlive_the_daemon(remembering: World) -> None:
    world = remembering
    ann, bob, late = world.users("ann", "bob", "late")
    world.daemon.apply([allow([ann.id, late.id], bob)])
    ann.set_presence("online", "before")
    bob.sync_until_status(ann, "before")
    world.daemon.kill()
    until(lambda: not reachable(world), "the end is noticed")

    poll = bob.poll()
    ann.set_presence("online", "from memory")
    assert poll.result()[ann.id]["status_msg"] == "from memory"
    bob.sync_again()
    assert (ann.id, "from memory") in bob.statuses()
    # Of this one, memory has nothing: nobody is woken.
    late.set_presence("online", "unheard")

    # It comes back with another history: what was remembered ends, and everybody is sent.
    before = followed(world, "reset")
    world.daemon.write([allow(late, bob)])
    world.daemon.start()
    until(lambda: followed(world, "reset") > before, "the module is told")
    bob.sync_until_status(late, "unheard")
    ann.set_presence("online", "secret")
    late.set_presence("online", "later")
    bob.sync_until_status(late, "later")
    assert (ann.id, "secret") not in bob.statuses()


def test_metrics_are_in_synapses_own_registry(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])

    def counts(callback: str) -> tuple[float, float, float]:
        metrics = world.homeserver.metrics()
        answered = f'presence_router_requests_total{{callback="{callback}",outcome="ok"}}'
        timed = f'presence_router_request_seconds_count{{callback="{callback}"}}'
        hit = f'presence_router_hits_total{{callback="{callback}"}}'
        return metrics[answered], metrics[timed], metrics[hit]

    def difference(callback: str, act: Callable[[], object]) -> tuple[float, ...]:
        before = counts(callback)
        act()
        return tuple(now - then for then, now in zip(before, counts(callback), strict=True))

    # Exactly once each: the callbacks are not registered twice.
    assert difference("get_interested_users", bob.sync_again) == (1, 1, 0)
    assert difference("get_interested_users", bob.sync_again) == (0, 0, 1)
    asked, timed, _ = difference("get_users_for_states", lambda: ann.set_presence("online"))
    assert asked == timed >= 1
    asked, timed, hit = difference(
        "get_users_for_states", lambda: ann.set_presence("online", "other")
    )
    assert asked == timed == 0 and hit >= 1
    metrics = world.homeserver.metrics()
    assert "presence_router_unsent_states_total" in metrics
    assert metrics["presence_router_reachable"] == 1
    assert metrics["presence_router_cache_entries"] > 0
    assert metrics["presence_router_cache_hits_total"] >= 2
