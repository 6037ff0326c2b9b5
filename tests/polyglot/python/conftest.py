"""The daemons and streams that tests start."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from daemon import LONG, Daemon
from daemon import channel as daemon_channel
from router import Router


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Starts a daemon with a policy."""
    started = []

    def daemon(policy: str) -> Daemon:
        started.append(Daemon(tmp_path, policy))
        return started[-1]

    yield daemon
    for one in started:
        one.end()


@pytest.fixture
def connect() -> Iterator[Callable[..., Router]]:
    """Opens a stream to a daemon."""
    opened = []

    def router(daemon: Daemon, server_names: list[str], *rooms: Any) -> Router:
        channel = daemon_channel(daemon.address)
        grpc.channel_ready_future(channel).result(LONG)
        one = Router(channel, server_names, *rooms)
        opened.append((one, channel))
        one.connect()
        return one

    yield router
    for one, channel in opened:
        one.close()
        channel.close()
