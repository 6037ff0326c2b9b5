"""Users who may see everyone, in a real Synapse: PRESENCE_ALL_USERS and the list
of everybody show the same, while nobody's presence changes during a /sync; and no
/sync fails, whoever is killed."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import World, start_world
from daemon import until
from homeserver import Homeserver
from matrix import User
from policies import allow, hide

pytestmark = pytest.mark.smoke

WATCHER = "watcher"
NAMES = [WATCHER, *(f"user{number}" for number in range(12))]

# What a /sync shows of each sender, without times, which are never the same.
Shown = dict[str, tuple[str, str | None]]


class Twin:
    """A Synapse in which the same users do the same as in another."""

    def __init__(self, world: World) -> None:
        self.homeserver = world.homeserver
        self.daemon = world.daemon
        self.users = {name: world.homeserver.register(name) for name in NAMES}
        self.watcher = self.users[WATCHER]

    def last(self, name: str, status_msg: str) -> dict[str, Any]:
        """All that comes to the watcher until this status message does."""
        self.users[name].set_presence("online", status_msg)
        self.watcher.seen.clear()
        self.watcher.sync_until_status(self.users[name], status_msg)
        return dict(self.watcher.seen)


@pytest.fixture(scope="module")
def twins(
    tmp_path_factory: pytest.TempPathFactory, interface: str
) -> Iterator[dict[str, Twin]]:
    """One Synapse that may say ALL, and one that may not; users are equally named."""

    def worlds(way: str) -> Iterator[World]:
        # What is sent again comes whenever it likes.
        directory = tmp_path_factory.mktemp(way)
        return start_world(directory, interface, all_users=way, follow_changes=False)

    for one, other in zip(worlds("auto"), worlds("never"), strict=True):
        for world in (one, other):
            world.daemon.apply([allow("everyone", f"@{WATCHER}:test")])
        yield {"auto": Twin(one), "never": Twin(other)}


def shown(came: dict[str, Any]) -> Shown:
    return {user: (of["presence"], of.get("status_msg")) for user, of in came.items()}


def steps(homeserver: Homeserver, step: str) -> float:
    return homeserver.metrics().get(f'presence_router_all_users_total{{step="{step}"}}', 0)


def test_both_ways_show_the_same(twins: dict[str, Twin]) -> None:
    def on_both(what: str, act: Callable[[Twin], dict[str, Any]]) -> Shown:
        of = {way: shown(act(twin)) for way, twin in twins.items()}
        assert of["auto"] == of["never"], what
        return of["auto"]

    def nobody_yet(twin: Twin) -> dict[str, Any]:
        return twin.watcher.sync()

    def initial(twin: Twin) -> dict[str, Any]:
        return twin.watcher.sync_again()

    def everybody_comes(twin: Twin) -> dict[str, Any]:
        for name in NAMES[1:8]:
            twin.users[name].set_presence("online", f"hello from {name}")
        twin.users["user3"].set_presence("unavailable", "away")
        twin.users["user4"].set_presence("offline", "gone")
        return twin.last(WATCHER, "watching")

    def who_shares_a_room(twin: Twin) -> dict[str, Any]:
        room = twin.watcher.create_room()
        twin.users["user5"].join(room)
        # Never had a presence.
        twin.users["user11"].join(room)
        twin.users["user6"].set_presence("online", "in no room")
        return twin.last("user5", "in the room")

    def restart(twin: Twin) -> dict[str, Any]:
        twin.homeserver.stop()
        twin.homeserver.start()
        return twin.last("user7", "after the restart")

    def newcomer(twin: Twin) -> dict[str, Any]:
        twin.users["user9"].set_presence("online", "new here")
        return twin.last(WATCHER, "still watching")

    assert on_both("before anybody is there", nobody_yet) == {}
    came = on_both("changes", everybody_comes)
    assert came.keys() >= {twins["auto"].watcher.id, "@user3:test", "@user4:test"}
    assert on_both("an initial sync", initial)["@watcher:test"] == ("online", "watching")
    on_both("a room", who_shares_a_room)
    on_both("after a restart", restart)
    on_both("a newcomer", newcomer)
    on_both("an initial sync at the end", initial)

    promised = steps(twins["auto"].homeserver, "promised")
    assert promised == steps(twins["auto"].homeserver, "kept") >= 3
    assert steps(twins["never"].homeserver, "promised") == 0


def test_what_is_hidden_is_left_out_of_all_and_of_the_list_its_sender(
    twins: dict[str, Twin],
) -> None:
    for way, twin in twins.items():
        watcher = twin.watcher
        # After a restart, Synapse has who was online before on a second device.
        quiet, away, last = (twin.users[name] for name in ("user10", "user2", "user8"))
        everyone = allow("everyone", watcher)
        hides = [hide(quiet, watcher), hide(away, watcher, "presence")]
        twin.daemon.apply([everyone, *hides, hide(watcher, "everyone")])
        promised = steps(twin.homeserver, "promised")
        watcher.sync_again()
        if way == "auto":
            # It wakes who waits, though of an ordinary recipient it would not.
            poll = watcher.poll()
            quiet.set_presence("online", "secret")
            came = poll.result()[quiet.id]
            assert came["presence"] == "online" and "status_msg" not in came
        quiet.set_presence("unavailable", "very secret")
        away.set_presence("online", "secret")
        watcher.set_presence("online", "mine")
        twin.last("user8", "not hidden")
        for _ in ("as it came", "an initial sync"):
            seen = shown(watcher.sees)
            assert seen[watcher.id] == ("online", "mine")
            assert seen[last.id] == ("online", "not hidden")
            if way == "auto":
                assert seen[quiet.id] == ("unavailable", None)
                assert seen[away.id] == ("offline", None)
            else:
                assert not {quiet.id, away.id} & seen.keys()
            assert not any("secret" in str(presence) for presence in watcher.sees.values())
            watcher.sync_again()
        assert (steps(twin.homeserver, "promised") > promised) == (way == "auto")
        twin.daemon.apply([everyone])


class Watching:
    """A user who syncs all the time, initially every other time. Whatever answers,
    and answers other than 200, is remembered; of a Synapse that is away, nothing."""

    def __init__(self, user: User) -> None:
        self.count = 0
        self.failures: list[BaseException] = []
        self._user = user
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._user.sync(0.1) if self.count % 2 else self._user.sync_again()
                self.count += 1
            except requests.ConnectionError:
                self._stop.wait(0.05)
            except BaseException as why:
                self.failures.append(why)

    def go_on(self) -> None:
        """Waits until it has synced some more."""
        before = self.count
        until(lambda: bool(self.failures) or self.count >= before + 4, "the watchers sync")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def one_world(tmp_path: Path) -> Iterator[World]:
    yield from start_world(tmp_path, all_users="auto", deadline_ms=500)


def test_no_sync_fails_whoever_is_killed(one_world: World) -> None:
    daemon, homeserver = one_world.daemon, one_world.homeserver
    users = one_world.users(*(f"watcher{number}" for number in range(3)))
    daemon.apply([allow("everyone", [user.id for user in users])])
    (ann,) = one_world.users("ann")
    ann.set_presence("online", "here")
    watching = [Watching(user) for user in users]

    def go_on() -> None:
        ann.set_presence("online", str(watching[0].count))
        for one in watching:
            one.go_on()

    try:
        go_on()
        assert steps(homeserver, "promised") > 0
        for _ in range(3):
            daemon.kill()
            go_on()
            homeserver.kill()
            homeserver.start()
            # Synapse is up, the daemon is not.
            go_on()
            daemon.start()
            until(lambda: steps(homeserver, "promised") > 0, "ALL is said again")
            go_on()
    finally:
        for one in watching:
            one.stop()
    assert [one.failures for one in watching] == [[], [], []]
