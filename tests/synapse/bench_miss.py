"""What a question costs that the module must ask the daemon: the whole way from Synapse's
callback to its answer, in a real reactor, with a real daemon.

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_miss.py \
        [--package FOLDER]

`--package` compares the installed package with another one, in turns: the folder is one
that has `presence_router`, for example of an unpacked wheel. Only ratios of one run count,
on an otherwise idle machine. For each callback, and number of questions in flight:

  p50       median time of a question, in microseconds
  cpu       CPU time of the whole process for each question, in microseconds
  reactor   of it, CPU time of the reactor's thread
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = tuple[float, float, float]

CALLBACKS = ("get_interested_users", "get_users_for_states")


def measure(address: str, calls: int, in_flight: Sequence[int]) -> list[Row]:
    """Measures the package that this process imports: a row for each callback and number."""
    from fake_api import Loaded, in_reactor, state
    from twisted.internet.defer import DeferredList, ensureDeferred

    loaded = Loaded("test", address=address, follow_changes=False, deadline_ms=10_000)
    # Each question is about another user: memory has no answer.
    users = (f"@user{number}:test" for number in itertools.count())
    questions: dict[str, Any] = {
        "get_interested_users": lambda: loaded.api.callbacks.get_interested_users(next(users)),
        "get_users_for_states": lambda: loaded.api.callbacks.get_users_for_states(
            [state(next(users))]
        ),
    }

    async def run(callback: str, number: int, each: int) -> Row:
        times: list[float] = []

        async def ask_one_after_another() -> None:
            for _ in range(each):
                began = time.perf_counter()
                assert len(await questions[callback]()) > 0
                times.append(time.perf_counter() - began)

        process, reactor = time.process_time(), time.thread_time()
        lines = [ensureDeferred(ask_one_after_another()) for _ in range(number)]
        await DeferredList(lines, fireOnOneErrback=True)
        process, reactor = time.process_time() - process, time.thread_time() - reactor
        each_us = 1e6 / len(times)
        return statistics.median(times) * 1e6, process * each_us, reactor * each_us

    rows = []
    for callback in CALLBACKS:
        for number in in_flight:
            each = max(1, calls // number)
            in_reactor(lambda: run(callback, number, max(1, each // 10)))
            rows.append(in_reactor(lambda: run(callback, number, each)))
    return rows


def measure_apart(package: str, address: str, options: argparse.Namespace) -> list[Row]:
    """Measures a package in a process of its own."""
    arguments = [f"--measure={address}", f"--calls={options.calls}", "--in-flight"]
    done = subprocess.run(
        [sys.executable, __file__, *arguments, *map(str, options.in_flight)],
        env=os.environ | ({"PYTHONPATH": package} if package else {}),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [tuple(row) for row in json.loads(done.stdout)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", help="folder of a package to compare with")
    parser.add_argument("--calls", type=int, default=5000, help="for each row and round")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--recipients", type=int, default=10, help="of each state, and senders of each user")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure, options.calls, options.in_flight)))
        return

    from daemon import Daemon
    from policies import allow

    packages = {"installed": ""} | ({"other": options.package} if options.package else {})
    rounds: dict[str, list[list[Row]]] = {name: [] for name in packages}
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(Path(directory))
        try:
            daemon.start()
            listed = [f"@listed{n}:test" for n in range(options.recipients)]
            users = {"match": "@user*:test"}
            daemon.apply([allow(users, listed), allow(listed, users)])
            for _ in range(options.rounds):
                for name, package in packages.items():
                    rounds[name].append(measure_apart(package, daemon.address, options))
        finally:
            daemon.stop()
    medians = {
        name: [tuple(map(statistics.median, zip(*rows))) for rows in zip(*of_package)]
        for name, of_package in rounds.items()
    }
    print(f"{'callback':<22} {'in flight':>9} {'package':<10} {'p50':>8} {'cpu':>8} {'reactor':>8}")
    lines = [(callback, number) for callback in CALLBACKS for number in options.in_flight]
    for position, (callback, number) in enumerate(lines):
        head = f"{callback:<22} {number:>9}"
        for name, rows in medians.items():
            print(f"{head} {name:<10}", *(f"{figure:>8.1f}" for figure in rows[position]))
        if options.package:
            pairs = zip(medians["installed"][position], medians["other"][position])
            print(f"{head} {'ratio':<10}", *(f"{ours / theirs:>8.2f}" for ours, theirs in pairs))


if __name__ == "__main__":
    main()
