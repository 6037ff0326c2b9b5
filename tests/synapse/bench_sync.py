"""Measures how long /sync takes, and how much CPU time, with the module and without one.

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_sync.py

Real Synapses with SQLite, measured in turns, on an otherwise idle machine. In each of them every
user starts a pair of incremental /sync each second, one that returns at once (`timeout=0`) and
one that waits for news for half a second; and some users change their status each second.

  without  no module, no rooms: nobody sees anybody
  rooms    no module; the users of a group share a room, so Synapse shows them to each other
  module   no rooms; the policy shows the users of a group to each other

  /sync    the requests that return at once: percentiles and maximum of all rounds, in
           milliseconds
  PUT      the changes of status, likewise: each goes through the module before it ends
  cpu      CPU time of the whole process for each /sync of either kind, changes of status
           included, in milliseconds; median of the rounds
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from daemon import Daemon
from homeserver import Homeserver, module
from matrix import User, session
from policies import within

WAYS = ("without", "rooms", "module")
# Seconds that the second /sync of a pair waits for news.
WAIT = 0.5


@dataclass
class Figures:
    """The measurements of one way, over all rounds."""

    syncs: list[float] = field(default_factory=list)
    puts: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Site:
    """A Synapse of one way, with users in groups."""

    def __init__(self, directory: Path, way: str, daemon: Daemon, group: int) -> None:
        directory.mkdir()
        config = module(daemon.address, deadline_ms=10_000) if way == "module" else {}
        self.homeserver = Homeserver(directory, **config)
        self.users: list[User] = []
        # The users of each group, which has so many.
        self.groups: dict[str, list[str]] = {}
        self._group = group
        self._way = way

    def start(self, users: int) -> None:
        """Starts it, and makes that many users."""
        self.homeserver.start()
        self.users = [self.homeserver.register(f"user{n}") for n in range(users)]
        for first in range(0, users, self._group):
            members = self.users[first : first + self._group]
            self.groups[f"group{first}"] = [user.id for user in members]
            if self._way == "rooms":
                room = members[0].create_room()
                for user in members[1:]:
                    user.join(room)

    def check(self) -> None:
        """Fails unless users see what the way says. Afterwards all have a place to sync from."""
        for user in self.users:
            user.set_presence("online", "before")
        for user in self.users:
            shown = user.sync_again()
            expected = 1 if self._way == "without" else self._group
            assert len(shown) == expected, f"{user.id} sees {sorted(shown)} ({self._way})"

    def measure(self, changing: int, seconds: float, figures: Figures) -> None:
        """Lets all users sync, and some change, for a while."""
        # Of each group about as many. With sessions of their own: they sync meanwhile.
        step = len(self.users) // changing
        changers = [
            User(self.homeserver.url, user.id, session(user.token))
            for user in self.users[::step][:changing]
        ]
        syncs: list[float] = []
        now = time.monotonic()
        end = now + seconds

        def sync(user: User, start: float) -> None:
            for _ in each_second(start, end):
                began = time.monotonic()
                user.sync()
                syncs.append(time.monotonic() - began)
                user.sync(WAIT)

        def change(user: User, start: float) -> None:
            for number in each_second(start, end):
                figures.puts.append(user.set_presence("online", f"status {number} at {start}"))

        before = self.homeserver.metrics()["process_cpu_seconds_total"]
        with ThreadPoolExecutor(len(self.users) + len(changers)) as pool:
            done = [
                pool.submit(act, user, now + position / len(users))
                for act, users in ((sync, self.users), (change, changers))
                for position, user in enumerate(users)
            ]
        for future in done:
            future.result()
        used = self.homeserver.metrics()["process_cpu_seconds_total"] - before
        figures.syncs += syncs
        figures.cpu.append(used / (2 * len(syncs)))


def each_second(start: float, end: float) -> Iterator[int]:
    """Counts the seconds from a start on, until an end, and waits for each of them."""
    for number in itertools.count():
        begins = start + number
        if begins >= end:
            return
        time.sleep(max(0.0, begins - time.monotonic()))
        yield number


def print_distribution(way: str, request: str, seconds: list[float], cpu: str) -> None:
    """Prints a line of the table."""
    ordered = sorted(seconds)
    shares = [ordered[len(ordered) * percent // 100] for percent in (50, 90, 99)]
    figures = " ".join(f"{figure * 1000:>8.1f}" for figure in (*shares, ordered[-1]))
    print(f"{way:<8} {request:<6} {len(ordered):>6} {figures} {cpu:>8}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--group", type=int, default=10, help="users in each group")
    parser.add_argument("--changing", type=int, default=10, help="users who change their status")
    parser.add_argument("--seconds", type=float, default=10, help="of each way in a round")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args(arguments)
    figures = {way: Figures() for way in options.ways}
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        daemon = Daemon(Path(directory))
        stack.callback(daemon.stop)
        daemon.start()
        sites = {}
        for way in options.ways:
            site = sites[way] = Site(Path(directory) / way, way, daemon, options.group)
            stack.callback(site.homeserver.stop)
            site.start(options.users)
        # All homeservers have the same name and the same users.
        groups = next(iter(sites.values())).groups
        daemon.apply([within(name) for name in groups], groups)
        for site in sites.values():
            site.check()
        order = list(sites)
        for _ in range(options.rounds):
            for way in order:
                sites[way].measure(options.changing, options.seconds, figures[way])
            # None of them always follows the same one.
            order.reverse()
    heads = " ".join(f"{head:>8}" for head in ("p50", "p90", "p99", "max", "cpu"))
    print(f"{'way':<8} {'':<6} {'count':>6} {heads}")
    for way, of_way in figures.items():
        cpu = f"{statistics.median(of_way.cpu) * 1000:.2f}"
        print_distribution(way, "/sync", of_way.syncs, cpu)
        print_distribution(way, "PUT", of_way.puts, "-")


if __name__ == "__main__":
    main()
