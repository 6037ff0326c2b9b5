"""The ways by which Synapse sends presence to other servers: functions that make it do so.

The viewer of the cast is on a server without the module, the others are on one that has it. In
all of them stock Synapse sends the presence of every user of the cast but the stranger. Synapse
has the module `switched_pings.SwitchedPings`, whose switch is given.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon import until
from exact import PATIENCE, Cast
from federation import NoteTaker
from paths import server_of
from stock import StockServer

# The last argument is the switch of pings.
PathOut = Callable[[Cast, StockServer, Path], None]


def an_update(cast: Cast, _: StockServer, __: Path) -> None:
    cast.admit()
    cast.change("an update")


def a_snapshot_for_a_server_that_comes_into_a_room(cast: Cast, _: StockServer, __: Path) -> None:
    cast.enter()


def a_snapshot_of_users_who_come_into_a_room(cast: Cast, _: StockServer, __: Path) -> None:
    # The server is there before them.
    room_id = cast.viewer.create_room(name="far away")
    cast.are_room_mates = True
    for user in cast.senders:
        user.join(room_id, server_of(cast.viewer))


def pings(cast: Cast, server: StockServer, switch: Path) -> None:
    cast.admit()
    server.wait_for(cast)
    with switched_on(switch):
        for _ in range(3):
            count = server.count_edus()
            cast.repeat()

            def arrived(count: float = count) -> bool:
                return server.count_edus() > count

            until(arrived, "a ping arrives", PATIENCE)
            # The server shows at once what came in a ping, and stores it after a minute.
            assert "status_msg" not in cast.viewer.get_presence(cast.hidden).json()
    cast.change("after the pings")


IN_ROOMS: list[PathOut] = [
    an_update,
    a_snapshot_for_a_server_that_comes_into_a_room,
    a_snapshot_of_users_who_come_into_a_room,
    pings,
]


def check_without_room(cast: Cast, server: NoteTaker, switch: Path) -> None:
    """Checks updates and pings to a server that shares no room with anybody, but to which the
    policy shows some."""
    seen = (cast.visible, cast.hidden)
    with switched_on(switch):
        for tell in (lambda: cast.change("to everyone"), cast.repeat, cast.repeat):
            counts = [len(server.statuses(user.id)) for user in seen]
            tell()

            def arrived(counts: list[int] = counts) -> bool:
                now = [len(server.statuses(user.id)) for user in seen]
                return all(new > old for new, old in zip(now, counts, strict=True))

            until(arrived, "it arrives", PATIENCE)
    assert server.statuses(cast.visible.id)[-1] == cast.status_of(cast.visible)
    assert set(server.statuses(cast.hidden.id)) == {None}
    assert server.statuses(cast.denied.id) == server.statuses(cast.stranger.id) == []


@contextmanager
def switched_on(switch: Path) -> Iterator[None]:
    """Lets Synapse ping other servers at each sign of life."""
    switch.touch()
    try:
        yield
    finally:
        switch.unlink()
