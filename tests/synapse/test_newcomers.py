"""A user whose presence Synapse stores for the first time, under a real Synapse.

The list of a user who may see everyone contains the senders that the module knows. It
learns of a new sender by Synapse's question about the first presence, which Synapse asks
only after it has stored this presence. A /sync between the two has no such sender in its
list, and continues behind the presence. The module therefore sends the first presence of a
visible user once more.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import World
from daemon import Daemon, until
from homeserver import Homeserver, module, module_of_tests
from matrix import User
from policies import allow


class Window:
    """The time between Synapse's write of a presence and its question about it."""

    def __init__(self, directory: Path) -> None:
        self.hold, self.written = directory / "hold", directory / "written"

    def open(self) -> None:
        """Makes Synapse stop after its next write."""
        self.hold.touch()

    def close(self) -> None:
        """Makes Synapse go on."""
        self.hold.unlink(missing_ok=True)


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Window]:
    window = Window(tmp_path)
    yield window
    window.close()


@pytest.fixture
def world(tmp_path: Path, window: Window) -> Iterator[World]:
    daemon = Daemon(tmp_path)
    config = module(daemon.address)
    files = {"hold": str(window.hold), "written": str(window.written)}
    config["modules"].append(module_of_tests(tmp_path, "held_write.HeldWrite", **files))
    homeserver = Homeserver(tmp_path, **config)
    try:
        daemon.start()
        homeserver.start()
        yield World(daemon, homeserver)
        window.close()
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        window.close()
        homeserver.stop()
        daemon.stop()


def presence_position(user: User) -> int:
    """How far in the stream of presences the user's last /sync got."""
    assert user._since is not None
    return int(user._since.split("_")[1])


def test_a_newcomer_is_seen_although_a_sync_came_between_write_and_question(
    world: World, window: Window
) -> None:
    watcher, newcomer = world.users("watcher", "newcomer")
    world.daemon.apply([allow("everyone", watcher)])
    watcher.sync()
    before = presence_position(watcher)
    window.open()
    with ThreadPoolExecutor(1) as thread:
        try:
            update = thread.submit(newcomer.set_presence, "online", "just arrived")
            until(window.written.exists, "Synapse has written the presence")
            came = watcher.sync()
            assert not update.done()
        finally:
            window.close()
        update.result()
    # This /sync got past the presence, without it.
    assert presence_position(watcher) > before and came == {}
    # Nor does any later one by itself: the module sends the first presence once more.
    watcher.sync_until_status(newcomer, "just arrived")
    assert watcher.sees[newcomer.id]["status_msg"] == "just arrived"
    assert newcomer.get_presence(newcomer).json()["status_msg"] == "just arrived"
