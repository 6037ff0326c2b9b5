"""A real Synapse that goes back from `local: exact` to `local: add`: the bells stay in its table of
presences, and nobody ever sees them."""

from pathlib import Path

import pytest
from daemon import Daemon, until
from homeserver import Homeserver, module
from matrix import User, set_until_seen
from policies import allow

EVERYBODY = allow("everyone", "everyone")


@pytest.mark.parametrize("all_users", ["auto", "never"])
def test_no_bell_is_seen_after_the_return(tmp_path: Path, all_users: str) -> None:
    daemon = Daemon(tmp_path)
    daemon.settling = 0.1
    parts: list[Homeserver] = []

    def start(**config: object) -> Homeserver:
        parts.append(Homeserver(tmp_path, **module(daemon.address, **config)))
        parts[-1].start()
        return parts[-1]

    try:
        daemon.start()
        daemon.apply([EVERYBODY])
        exact = start(local="exact")
        ann, bob = exact.register("ann"), exact.register("bob")
        ann.sync()
        # The first ring, at the start.
        rung = 'presence_router_followed_total{what="everything"}'
        until(lambda: exact.metrics().get(rung, 0) > 0, "a bell rang")
        exact.stop()

        add = start(all_users=all_users)
        old, new, bob = (moved(user, add) for user in (ann, ann, bob))
        old._since = ann._since
        # As seen by a token from before the ring, from the beginning, and from before everything.
        for viewer in (old, new):
            set_until_seen(bob, viewer, f"hello {viewer is old}")
            viewer.make_token_old()
            viewer.sync()
        seen = old.senders() | new.senders()
        assert bob.id in seen
        assert seen <= {ann.id, bob.id}
        assert add.complaints() == []
    finally:
        for homeserver in parts:
            homeserver.stop()
        daemon.stop()


def moved(user: User, homeserver: Homeserver) -> User:
    """The same user, at another address."""
    return user.at(homeserver.url)
