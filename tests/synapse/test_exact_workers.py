"""A real Synapse of several processes in which the policy alone decides: a worker answers /sync,
another writes presence, and another sends to other servers.

Two servers share rooms with it or not: one without the module, and one that only takes note.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path as Directory

import paths
import paths_out
import pytest
from exact import FEDERATION, Cast, decides_about_servers, mode
from exact_federation import rules_for
from federation import Authority, NoteTaker, free_name
from logs import shown
from matrix import User
from paths import Path
from paths_out import PathOut
from stock import StockServer
from workers import Cluster


class Workers:
    """The cluster, and the other servers."""

    def __init__(self, directory: Directory) -> None:
        authority = Authority(directory)
        self.four = NoteTaker(authority)
        self.three = StockServer(directory / "three", authority, free_name())
        self.cluster = Cluster(
            directory,
            authority,
            modules=("switched_pings.SwitchedPings",),
            server_name=free_name(),
            **mode(federation=FEDERATION, destinations=[self.four.server_name]),
        )
        self.pings = self.cluster.directory / "pings"
        self.parts = [*self.cluster.parts, self.three]
        self._numbers = itertools.count()

    def start(self) -> None:
        """Starts all of it."""
        self.three.begin_start()
        self.cluster.start()
        self.three.finish_start()
        self.cluster.daemon.apply(rules_for(self.four))

    def stop(self) -> None:
        """Ends all of it."""
        self.four.stop()
        self.three.stop()
        self.cluster.stop()

    def user(self, name: str) -> User:
        """A user that no other test has, who calls the main process."""
        return self.cluster.main.register(f"{name}-{next(self._numbers)}")

    def cast(self, prefix: str = "") -> Cast:
        """A cast whose viewer syncs at the worker for it."""
        cluster = self.cluster
        cast = Cast(self.user, lambda name: self.user(name).at(cluster.sync.url), prefix)
        cast.asker = cast.viewer.at(cluster.writer.url)
        return cast

    def cast_of_two(self) -> Cast:
        """A cast whose viewer is on the server without the module."""
        return Cast(self.user, lambda name: self.three.register(f"{name}-{next(self._numbers)}"))


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    workers = Workers(tmp_path_factory.mktemp("workers"))
    try:
        with shown(workers.parts):
            workers.start()
        yield workers
        for process in workers.cluster.processes:
            assert process.complaints() == [], process.name
    finally:
        workers.stop()


@pytest.mark.parametrize("path", [*paths.BY_SYNC, *paths.BY_OLDER_CALLS], ids=paths.name_of)
def test_a_worker_shows_what_the_policy_shows(workers: Workers, path: Path) -> None:
    cast = workers.cast()
    cast.admit()
    path(cast)
    cast.check()


def test_every_process_shows_what_the_policy_shows(workers: Workers) -> None:
    cast = workers.cast()
    cast.admit()
    viewer = cast.viewer
    for process in workers.cluster.processes:
        cast.viewer = viewer.at(process.url)
        for path in (paths.an_initial_sync, paths.a_sync_with_full_state):
            path(cast)
            cast.check()


def test_the_writer_shows_a_status_as_the_policy_shows_it(workers: Workers) -> None:
    cast = workers.cast()
    cast.admit()
    shown = cast.asker.get_presence(cast.visible).json()
    assert shown["status_msg"] == cast.status_of(cast.visible)
    assert "status_msg" not in cast.asker.get_presence(cast.hidden).json()
    for user in (cast.denied, cast.stranger):
        assert cast.asker.get_presence(user).status_code == 403


@decides_about_servers
@pytest.mark.parametrize("path", paths_out.IN_ROOMS, ids=paths.name_of)
def test_the_worker_that_sends_shows_a_server_what_its_users_may_see(
    workers: Workers, path: PathOut
) -> None:
    cast = workers.cast_of_two()
    path(cast, workers.three, workers.pings)
    workers.three.check(cast)


@decides_about_servers
def test_the_worker_that_sends_shows_a_server_without_a_room_what_it_may_see(
    workers: Workers,
) -> None:
    paths_out.check_without_room(workers.cast("open-"), workers.four, workers.pings)
