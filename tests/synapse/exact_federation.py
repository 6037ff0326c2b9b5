"""Three real Synapses that share rooms: two ask one daemon, and the third has no module.

Only the first decides alone about other servers as well. A server that only takes note, and is
in no room, gets what is meant for everyone.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon import Daemon
from exact import Cast, mode, rules
from federation import Authority, Federated, NoteTaker, free_name
from homeserver import module, module_of_tests
from matrix import User
from policies import deny
from stock import StockServer


def rules_for(note_taker: NoteTaker) -> list[dict[str, Any]]:
    """The rules, with one more: nobody at the note taker sees a denied user."""
    return [*rules(), deny({"match": "@*denied-*:*"}, {"server": note_taker.server_name})]


class ExactFederation:
    """The servers `one` (`federation: exact`), `two` (`federation: add`), `three` (stock), and
    the note taker `four`."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.four = NoteTaker(authority)
        self.daemon = Daemon(directory)
        self.daemon.settling = 0.1
        self._numbers = itertools.count()

        def make(name: str, *modules: dict[str, Any]) -> Federated:
            return Federated(directory / name, authority, free_name(), modules=list(modules))

        def ours(**config: Any) -> dict[str, Any]:
            (entry,) = module(self.daemon.address, **mode(**config))["modules"]
            return dict(entry)

        (directory / "one").mkdir()
        self.one = make(
            "one",
            ours(federation="exact", destinations=[self.four.server_name]),
            module_of_tests(directory / "one", "switched_pings.SwitchedPings"),
        )
        self.pings = directory / "one" / "pings"
        self.two = make("two", ours())
        self.three = StockServer(directory / "three", authority, free_name())
        self.servers = {"one": self.one, "two": self.two, "three": self.three}
        self.parts = (self.daemon, *self.servers.values())

    def start(self) -> None:
        """Starts all of it."""
        self.daemon.start()
        for homeserver in self.servers.values():
            homeserver.begin_start()
        for homeserver in self.servers.values():
            homeserver.finish_start()
        self.daemon.apply(rules_for(self.four))

    def stop(self) -> None:
        """Ends all of it."""
        self.four.stop()
        for part in reversed(self.parts):
            part.stop()

    def user_of(self, server: str) -> Callable[[str], User]:
        """The function that registers a user at a server, whom no other test has."""
        return lambda name: self.servers[server].register(f"{name}-{next(self._numbers)}")

    def cast(self, senders: str, viewer: str, prefix: str = "") -> Cast:
        """A cast of two servers, in which the viewer's server knows the others."""
        return Cast(self.user_of(senders), self.user_of(viewer), prefix)
