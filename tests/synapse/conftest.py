"""Starts what the tests need, ends it, and shows its logs when a test fails."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from fake_api import Loaded
from homeserver import Homeserver, module
from logs import tails
from matrix import User


class World:
    """A daemon and a Synapse that asks it, shared by the tests of a module."""

    def __init__(self, daemon: Daemon, homeserver: Homeserver) -> None:
        self.daemon = daemon
        self.homeserver = homeserver
        self.parts = (daemon, homeserver)
        self._numbers = itertools.count()

    def users(self, *names: str) -> list[User]:
        """Registers users that no other test has."""
        number = next(self._numbers)
        return [self.homeserver.register(f"{name}-{number}") for name in names]

    def user(self, name: str) -> User:
        """Registers a user that no other test has."""
        return self.users(name)[0]


def start_world(
    directory: Path,
    interface: str = "modules",
    limits: dict[str, int] | None = None,
    **config: Any,
) -> Iterator[World]:
    """Starts a world, and ends it; fails if our module made Synapse complain."""
    daemon = Daemon(directory, **(limits or {}))
    daemon.settling = 0.1
    homeserver = Homeserver(directory, **module(daemon.address, interface, **config))
    try:
        daemon.start()
        homeserver.start()
        yield World(daemon, homeserver)
        homeserver.stop()
        assert homeserver.code == 0
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()
        daemon.stop()


@pytest.fixture(
    scope="module", params=["modules", pytest.param("legacy", marks=pytest.mark.legacy)]
)
def interface(request: pytest.FixtureRequest) -> Iterator[str]:
    """How Synapse loads the module: by `modules:`, or by `presence_router:`."""
    Loaded.interface = request.param
    yield request.param
    Loaded.interface = "modules"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    yield from start_world(tmp_path_factory.mktemp("world"), interface)


@pytest.fixture(autouse=True)
def close_modules() -> Iterator[None]:
    """Ends the modules that a test loaded."""
    before = len(Loaded.open)
    yield
    for loaded in Loaded.open[before:]:
        loaded.close()
    del Loaded.open[before:]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    fixtures = getattr(item, "funcargs", {})
    for value in list(fixtures.values()):
        report.sections.extend(tails(getattr(value, "parts", (value,))))
