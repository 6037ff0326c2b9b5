"""What a /sync of a user who may see everyone costs Synapse: by PRESENCE_ALL_USERS
(`all_users: auto`), and by the list of everybody (`never`).

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_all.py

A real Synapse with SQLite and a real daemon, on an otherwise idle machine. Of each
/sync, without those before them that warm its caches:

  reactor   CPU time of Synapse's one thread within its presence code, in ms
  process   CPU time of the whole process, database and our threads and everything
            else that belongs to a /sync included, in ms
  stall     longest time that another request waited meanwhile, in ms
  missed    of an initial /sync: how many of those online it did not show, at the
            mean, while others change their presence one after another
"""

import argparse
import copy
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from daemon import Daemon
from homeserver import Homeserver, module
from matrix import User
from policies import allow

_BLOCK = 'block_name="presence.get_new_events"'


@dataclass
class Cost:
    """Of one /sync, in milliseconds."""

    reactor: float
    process: float
    stall: float
    missed: float = 0.0


class Probe:
    """Asks Synapse for something trivial all the time."""

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = f"{url}/_matrix/client/versions"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        session = requests.Session()
        while not self._stop.wait(0.002):
            began = time.monotonic()
            session.get(self._url)
            self.longest = max(self.longest, time.monotonic() - began)

    def stop(self) -> float:
        """Ends it; answers the longest wait, in seconds."""
        self._stop.set()
        self._thread.join()
        return self.longest


def measure(homeserver: Homeserver, act: Callable[[], object], times: int) -> Cost:
    """What it costs to do something, at the mean. Twice: the probe costs, too."""
    act()
    before = used(homeserver)
    for _ in range(times):
        act()
    after = used(homeserver)
    reactor, process = ((b - a) * 1000 / times for a, b in zip(before, after, strict=True))
    probe = Probe(homeserver.url)
    act()
    return Cost(reactor, process, probe.stop() * 1000)


def used(homeserver: Homeserver) -> tuple[float, float]:
    """CPU time so far, in seconds: in the presence part of /sync, and altogether."""
    metrics = homeserver.metrics()
    block = sum(
        value
        for name, value in metrics.items()
        if _BLOCK in name and ("ru_utime" in name or "ru_stime" in name) and "created" not in name
    )
    return block, metrics["process_cpu_seconds_total"]


def fill(database: Path, known: int, online: int) -> None:
    """Gives that many users a presence, as if each had set one just now. Who is
    online comes first."""
    now = int(time.time() * 1000)
    with sqlite3.connect(database) as connection:
        (last,) = connection.execute("SELECT MAX(stream_id) FROM presence_stream").fetchone()
        connection.executemany(
            "INSERT INTO presence_stream VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (last + 1 + n, f"@known{n}:test", "online" if n < online else "offline",
                 now, now, now, f"status {n}", n < online, "master")
                for n in range(known)
            ),
        )  # fmt: skip
    connection.close()


def missed(watcher: User, changing: list[User], online: int) -> float:
    """How many an initial /sync does not show while these change, one after another."""

    def change() -> None:
        for user in changing:
            user.set_presence("online", "on the move")

    thread = threading.Thread(target=change)
    thread.start()
    counts = []
    while thread.is_alive():
        came = copy.copy(watcher).sync_again()
        counts.append(online - sum(user.startswith("@known") for user in came))
    thread.join()
    return sum(counts) / max(1, len(counts))


def run(directory: Path, way: str, known: int, options: argparse.Namespace) -> tuple[Cost, Cost]:
    """The costs of an initial and of an incremental /sync."""
    # How many, and not a share: those whom a /sync must show.
    online = round(known * options.online)
    daemon = Daemon(directory)
    config = module(daemon.address, all_users=way, deadline_ms=10_000, follow_changes=False)
    homeserver = Homeserver(directory, **config)
    try:
        daemon.start()
        homeserver.start()
        watcher, other = homeserver.register("watcher"), homeserver.register("other")
        daemon.apply([allow("everyone", watcher)])
        other.set_presence("online", "before")
        # Before all others in the order of changes.
        changing = homeserver.register_crowd(options.changing)
        homeserver.stop()
        fill(directory / "homeserver.db", known, online)
        homeserver.start()

        def from_the_beginning() -> None:
            came = copy.copy(watcher).sync_again()
            assert len(came) >= online

        first = measure(homeserver, from_the_beginning, options.initial)
        watcher.sync()
        other.set_presence("online", "changed")

        def from_then_on() -> None:
            # Each time from the same point on: one change.
            assert copy.copy(watcher).sync()[other.id]["status_msg"] == "changed"

        then = measure(homeserver, from_then_on, options.incremental)
        first.missed = missed(watcher, changing, online)
        return first, then
    finally:
        homeserver.stop()
        daemon.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", type=int, nargs="+", default=[5000, 100_000])
    parser.add_argument("--online", type=float, default=0.1, help="share of them, 0 to 1")
    parser.add_argument("--initial", type=int, default=3, help="how many initial /sync")
    parser.add_argument("--incremental", type=int, default=30, help="how many incremental /sync")
    parser.add_argument("--changing", type=int, default=300, help="users who change meanwhile")
    options = parser.parse_args(arguments)
    names = ("reactor", "process", "stall", "missed")
    print(f"{'known':>8} {'/sync':<12} {'all_users':<10}", *(f"{name:>9}" for name in names))
    for known in options.known:
        for way in ("auto", "never"):
            with tempfile.TemporaryDirectory() as directory:
                costs = run(Path(directory), way, known, options)
            for kind, cost in zip(("initial", "incremental"), costs, strict=True):
                figures = (getattr(cost, name) for name in names)
                row = f"{known:>8} {kind:<12} {way:<10}"
                print(row, *(f"{figure:>9.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
