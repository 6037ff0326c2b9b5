"""Devices that do not behave, in a real Synapse in which the policy alone decides: two /sync of one
device at once, and one that the client breaks off."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest
from conftest import World
from exact import Cast, start_exact_world
from matrix import POLL, User


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from start_exact_world(tmp_path_factory.mktemp("devices"))


def same_device(user: User) -> User:
    """The user once more, at the same place, with a connection of its own."""
    again = user.at(user._url.removesuffix("/_matrix/client/v3"))
    again._since = user._since
    return again


def test_two_syncs_of_one_device_at_once_show_the_same(world: World) -> None:
    cast = Cast(world.user)
    cast.admit()
    viewers = [cast.viewer, same_device(cast.viewer)]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(viewer.sync, POLL) for viewer in viewers]
        cast.change("for both")
        for future in waiting:
            future.result(2 * POLL)
    for viewer in viewers:
        cast.viewer = viewer
        cast.wait()
        cast.check()


def test_a_sync_that_is_broken_off_costs_the_next_one_nothing(world: World) -> None:
    cast = Cast(world.user)
    cast.admit()
    viewer = cast.viewer
    host = urlsplit(viewer._url)
    query = urlencode({"since": str(viewer._since), "timeout": "30000"})
    headers = {"Authorization": f"Bearer {viewer.token}"}
    for attempt in range(30):
        connection = HTTPConnection(str(host.hostname), host.port)
        connection.request("GET", f"{host.path}/sync?{query}&set_presence=offline", headers=headers)
        # While Synapse works on the answer, or has just done so.
        connection.close()
        cast.change(f"attempt {attempt}")
    cast.wait()
    cast.check()
