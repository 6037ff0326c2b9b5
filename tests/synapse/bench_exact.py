"""Measures a Synapse whose policy alone decides (`local: exact`) beside one without a module.

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_exact.py

Real Synapses with SQLite, on an otherwise idle machine, measured in turns; each has the same
users, who all share one room, and some of whom wait in /sync all the time.

  none     no module: room-mates see each other
  add      the module adds nothing
  exact    the policy shows room-mates to each other
  nobody   as exact, and the policy shows nobody to anybody

Some users who do not sync change their status at a steady rate:

  events   presences that reached clients
  event    CPU time of Synapse for each, in milliseconds (none reach anybody with `nobody`)
  change   CPU time for each change, in milliseconds
  p50 p99  time from the change until it has reached a client, in milliseconds
  MiB      memory of the process (RSS) at the end

With `--stored`, for so many presences in the database: an initial /sync, and one with a token
that is older than Synapse's memory of changes.

With `--border`, a policy of small rooms: so many users wait in /sync in a room of just the size
that the policy allows, and one more joins. The time until the last of them has heard that all others
are gone, and the CPU time of Synapse for it; and the same for one who leaves again.
"""

import argparse
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon import Daemon
from homeserver import Homeserver, module
from matrix import User

WAYS = ("none", "add", "exact", "nobody")
# The way of `--border`, whose policy depends on the number of users.
BORDER = "border"
ROOM_MATES = [{"name": "room-mates", "allow": {"share_room": True}}]

# Without the rooms themselves, which are not measured.
_FILTER = {"room": {"rooms": []}}


@dataclass
class Figures:
    """The measurements of one way, over all rounds."""

    events: list[int] = field(default_factory=list)
    of_event: list[float] = field(default_factory=list)
    of_change: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    mib: float = 0.0


class Site:
    """A Synapse of one way, with a copy of the prepared database."""

    def __init__(self, directory: Path, way: str, daemons: dict[str, Daemon], made: Path) -> None:
        directory.mkdir()
        config: dict[str, Any] = {}
        if way != "none":
            mode = {"local": "add" if way == "add" else "exact"}
            config = module(daemons[way].address, deadline_ms=10_000, **mode)
        self.homeserver = Homeserver(directory, **config)
        shutil.copy(made / "homeserver.db", directory)
        shutil.copy(made / "signing.key", directory)

    def users(self, made: Sequence[User]) -> list[User]:
        """The users, who call this Synapse."""
        users = [user.at(self.homeserver.url) for user in made]
        for user in users:
            user.filter = _FILTER
        return users

    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        return self.homeserver.metrics()["process_cpu_seconds_total"]

    def mib(self) -> float:
        """Memory of the process."""
        return self.homeserver.metrics()["process_resident_memory_bytes"] / 2**20


def make_database(directory: Path, users: int) -> list[User]:
    """Makes users who share one room, and stops; returns them."""
    directory.mkdir()
    homeserver = Homeserver(directory)
    homeserver.start()
    try:
        made = homeserver.register_crowd(users)
        room = made[0].create_room()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda user: user.join(room), made[1:]))
    finally:
        homeserver.stop()
    return made


@contextmanager
def syncing(users: Sequence[User], wait: float) -> Iterator[list[float]]:
    """Lets users wait in /sync all the time; the latencies of what reaches them, by the texts
    of statuses, which are times."""
    latencies: list[float] = []
    stop = threading.Event()

    def sync(user: User) -> None:
        while not stop.is_set():
            came = user.sync(wait)
            now = time.time()
            for presence in came.values():
                text = presence.get("status_msg") or ""
                if text.startswith("at "):
                    latencies.append(now - float(text[3:]))

    with ThreadPoolExecutor(len(users)) as pool:
        for user in users:
            user.sync()
        done = [pool.submit(sync, user) for user in users]
        try:
            yield latencies
        finally:
            stop.set()
            for future in done:
                future.result()


def measure(
    site: Site, users: Sequence[User], options: argparse.Namespace, figures: Figures
) -> None:
    """Measures one round."""
    waiting, wait, rate = options.waiting, options.wait, options.rate
    changers = users[waiting:]
    with syncing(users[:waiting], wait) as latencies:
        time.sleep(2)
        latencies.clear()
        before, began, changes = site.cpu(), time.monotonic(), 0
        while (now := time.monotonic() - began) < options.seconds:
            changers[changes % len(changers)].set_presence("online", f"at {time.time():.6f}")
            changes += 1
            time.sleep(max(0.0, changes / rate - now))
        time.sleep(1)
        used, seen = site.cpu() - before, list(latencies)
    figures.events.append(len(seen))
    if seen:
        figures.of_event.append(1000 * used / len(seen))
    figures.of_change.append(1000 * used / changes)
    figures.latencies += seen
    figures.mib = site.mib()


def store_presences(site: Site, count: int) -> None:
    """Stores presences of other servers in the database of a Synapse that is stopped."""
    database = sqlite3.connect(site.homeserver.log.with_name("homeserver.db"))
    with database:
        (last,) = database.execute("SELECT max(stream_id) FROM presence_stream").fetchone()
        rows = ((last + n, f"@stored{n}:other.test") for n in range(1, count + 1))
        database.executemany(
            "INSERT INTO presence_stream (stream_id, user_id, state, last_active_ts,"
            " last_federation_update_ts, last_user_sync_ts, status_msg, currently_active,"
            " instance_name) VALUES (?, ?, 'offline', 1, 1, 1, NULL, 0, 'master')",
            rows,
        )
    database.close()


def measure_stored(site: Site, user: User, rounds: int) -> tuple[float, float]:
    """Milliseconds of an initial /sync, and of one with an old token."""
    initial, stale = [], []
    for _ in range(rounds):
        began = time.monotonic()
        user.sync_again()
        initial.append(time.monotonic() - began)
        user.make_token_old()
        began = time.monotonic()
        user.sync()
        stale.append(time.monotonic() - began)
    return 1000 * statistics.median(initial), 1000 * statistics.median(stale)


def measure_border(site: Site, users: Sequence[User]) -> list[tuple[str, float, float]]:
    """What happened, with seconds and CPU seconds. The last user joins and leaves."""
    *members, last = users
    room = members[0].create_room()
    for user in members[1:]:
        user.join(room)
    for user in members:
        user.set_presence("online", "here")
    others = {user.id: {one.id for one in members} - {user.id} for user in members}
    for user in members:
        user.sync_until(lambda user: online(user) >= others[user.id])
    measured = []
    for what, change, done in (
        ("lost", last.join, lambda user: not online(user) & others[user.id]),
        ("gained", last.leave, lambda user: online(user) >= others[user.id]),
    ):
        with ThreadPoolExecutor(len(members)) as pool:
            waiting = [pool.submit(user.sync_until, done) for user in members]
            time.sleep(2)
            before, began = site.cpu(), time.monotonic()
            change(room)
            for future in waiting:
                future.result()
            elapsed = time.monotonic() - began
        measured.append((what, elapsed, site.cpu() - before))
    return measured


def online(user: User) -> set[str]:
    """The users who are online, as far as this one knows."""
    return {sender for sender, shown in user.sees.items() if shown["presence"] == "online"}


def start_daemons(directory: Path, stack: ExitStack, border: int) -> dict[str, Daemon]:
    """A daemon for each way that has one."""
    daemons = {}
    small = {"name": "small rooms", "allow": {"share_room": {"at_most": max(border, 1)}}}
    policies = {"add": [], "exact": ROOM_MATES, "nobody": [], BORDER: [small]}
    for way, rules in policies.items():
        daemon = daemons[way] = Daemon(directory, way)
        daemon.write(rules)
        stack.callback(daemon.stop)
        daemon.start()
    return daemons


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--waiting", type=int, default=200, help="users who wait in /sync")
    parser.add_argument("--wait", type=float, default=20, help="seconds of a /sync without news")
    parser.add_argument("--rate", type=float, default=1.0, help="changes of a status in a second")
    parser.add_argument("--seconds", type=float, default=15, help="of each way in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--border", type=int, default=46, help="users; 46 are 1,035 pairs")
    parser.add_argument("--stored", nargs="*", type=int, default=[20_000, 100_000])
    options = parser.parse_args(arguments)
    figures = {way: Figures() for way in options.ways}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        daemons = start_daemons(directory, stack, options.border)
        made = make_database(directory / "made", options.users)
        sites = {}
        for way in options.ways:
            sites[way] = Site(directory / way, way, daemons, directory / "made")
            stack.callback(sites[way].homeserver.stop)
        order = list(sites)
        for _ in range(options.rounds):
            for way in order:
                # Only one Synapse runs at a time.
                sites[way].homeserver.start()
                users = sites[way].users(made)
                measure(sites[way], users, options, figures[way])
                sites[way].homeserver.stop()
            # None of them always follows the same one.
            order.reverse()
        heads = " ".join(f"{one:>8}" for one in ("events", "event", "change", "p50", "p99", "MiB"))
        print(f"{'way':<8} {heads}")
        for way, of_way in figures.items():
            print_figures(way, of_way)
        for count in options.stored:
            print(f"{count} stored presences: initial /sync, and one with an old token, in ms")
            for way, site in sites.items():
                store_presences(site, count)
                site.homeserver.start()
                initial, stale = measure_stored(site, site.users(made)[0], options.rounds)
                site.homeserver.stop()
                print(f"{way:<8} {initial:>8.1f} {stale:>8.1f}", flush=True)

        if options.border:
            site = Site(directory / BORDER, BORDER, daemons, directory / "made")
            stack.callback(site.homeserver.stop)
            site.homeserver.start()
            users = site.users(made)[: options.border + 1]
            for what, elapsed, used in measure_border(site, users):
                pairs = options.border * (options.border - 1) // 2
                print(f"{pairs} pairs {what}: {elapsed:.2f} s, CPU {used:.2f} s", flush=True)


def print_figures(way: str, figures: Figures) -> None:
    """Prints a line of the table."""
    ordered = sorted(figures.latencies)
    p50, p99 = (
        (f"{1000 * ordered[len(ordered) * percent // 100]:.1f}" for percent in (50, 99))
        if ordered
        else ("-", "-")
    )
    event = f"{statistics.median(figures.of_event):.2f}" if figures.of_event else "-"
    change = f"{statistics.median(figures.of_change):.2f}"
    shown = (sum(figures.events), event, change, p50, p99, f"{figures.mib:.0f}")
    print(f"{way:<8} " + " ".join(f"{one:>8}" for one in shown), flush=True)


if __name__ == "__main__":
    main()
