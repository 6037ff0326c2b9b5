"""Measures for how long the module keeps Synapse's reactor from other work, in a real reactor,
with a real daemon.

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_gaps.py

A heartbeat beats at every turn of the reactor. A gap is the time between two beats, in
milliseconds: for so long, no other request is served. Only the ratio to the idle reactor of the
same run counts, on an otherwise idle machine.

  idle      nothing happens
  first     a user who may see everyone but one asks for the first time
  changed   the policy shows this user somebody else and hides another: from the change to
            the first answer that takes it into account
  misses    questions that were never asked before arrive at once, half of them for each
            callback, each about some 900 users of a composition of groups of its own

  p99       of the gaps of a round, the one that 1 in 100 exceeds; median of the rounds
  max       longest gap of a round; median of the rounds
  worst     longest gap of all rounds
  cpu       largest CPU time of the reactor's thread in one gap, which other processes do not
            influence; median of the rounds
  took      seconds that it took altogether; median of the rounds
"""

import argparse
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from daemon import LONG, Daemon
from fake_api import Loaded, in_reactor, state
from policies import allow, deny, within
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

# Not `IReactorTime`, whose types are wrong in some versions of Twisted.
clock: Any = reactor

GROUPS = 20
MEMBERS = 150
# The same compositions in every run.
SEED = 1


class Heartbeat:
    """Measures every turn of the reactor."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.cpu: list[float] = []
        self._last = (0.0, 0.0)
        self._beats = False

    async def watch(self, act: Callable[[], Awaitable[Any]]) -> float:
        """Measures gaps while something happens; returns how long that took, in seconds."""
        self._beats = True
        self._last = (time.perf_counter(), time.thread_time())
        self._beat()
        began = time.perf_counter()
        await act()
        took = time.perf_counter() - began
        # The turn in which it ended counts as well.
        await deferLater(clock, 0.005, lambda: None)
        self._beats = False
        return took

    def _beat(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self.gaps.append(now[0] - self._last[0])
        self.cpu.append(now[1] - self._last[1])
        self._last = now
        if self._beats:
            clock.callLater(0, self._beat)


class World:
    """A daemon, and a module with many known senders."""

    def __init__(self, daemon: Daemon, options: argparse.Namespace) -> None:
        self._daemon = daemon
        self._options = options
        self._known = [f"@known{n}:test" for n in range(options.known)]
        # Each round has a watcher and askers of its own, who never asked before.
        self._watchers = [f"@watcher{n}:test" for n in range(options.rounds)]
        self._askers = [f"@asker{n}:test" for n in range(options.rounds * options.misses)]
        self._groups = {f"group{n}": self._known[n::GROUPS][:MEMBERS] for n in range(GROUPS)}
        chosen = random.Random(SEED)
        for asker in self._askers:
            for name in chosen.sample(sorted(self._groups), 3):
                self._groups[name].append(asker)
        daemon.apply(self._make_rules(), self._groups)
        config = {"address": daemon.address, "follow_changes": False, "deadline_ms": 10_000}
        loaded = Loaded("test", self._known, **config)
        self._route = loaded.api.callbacks.get_users_for_states
        self._interest = loaded.api.callbacks.get_interested_users
        # Connects, and waits until the known senders are complete.
        in_reactor(lambda: self._interest("@nobody:test"))

    def _make_rules(self, changed: int | None = None) -> list[dict[str, Any]]:
        """Everyone is visible to each watcher but one, whom a change exchanges."""
        rules = [allow("everyone", self._watchers), *map(within, self._groups)]
        for number, watcher in enumerate(self._watchers):
            rules.append(deny(self._hidden(number, number == changed), watcher))
        return rules

    def _hidden(self, number: int, changed: bool) -> str:
        """Returns the user whom a watcher does not see."""
        return self._known[-1 - number if changed else number]

    async def idle(self, _number: int) -> None:
        await deferLater(clock, self._options.idle, lambda: None)

    async def first(self, number: int) -> None:
        senders = await self._interest(self._watchers[number])
        assert self._hidden(number, False) not in senders
        assert self._hidden(number, True) in senders

    def prepare_change(self, number: int) -> None:
        """Makes the policy of `changed`: not in the reactor's thread."""
        rules = self._make_rules(number)
        self._changed = json.dumps({"groups": self._groups, "rules": rules})

    async def changed(self, number: int) -> None:
        # The daemon notices the new file by itself.
        await deferToThread(self._daemon.write_text, self._changed)
        end = time.monotonic() + LONG
        while self._hidden(number, True) in await self._interest(self._watchers[number]):
            assert time.monotonic() < end, "the module does not learn of the change"
            await deferLater(clock, 0.005, lambda: None)

    async def misses(self, number: int) -> None:
        each = self._options.misses
        askers = self._askers[number * each : (number + 1) * each]
        questions = [
            self._interest(asker) if position % 2 == 0 else self._route([state(asker)])
            for position, asker in enumerate(askers)
        ]
        lines = [ensureDeferred(question) for question in questions]
        answers = await DeferredList(lines, fireOnOneErrback=True)
        assert all(len(answer) > MEMBERS for _, answer in answers)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", type=int, default=100_000, help="users with a presence")
    parser.add_argument("--misses", type=int, default=200, help="questions at once")
    parser.add_argument("--idle", type=float, default=1.0, help="seconds of the idle reactor")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    rounds: dict[str, list[tuple[float, float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(Path(directory))
        try:
            daemon.start()
            world = World(daemon, options)
            # Python searches what exists by now for garbage no more: Synapse's own modules and
            # the data of this benchmark would cause gaps that are not the module's. It does
            # search what the module keeps from now on, which counts.
            gc.collect()
            gc.freeze()
            for number in range(options.rounds):
                world.prepare_change(number)
                for act in (world.idle, world.first, world.changed, world.misses):
                    heartbeat = Heartbeat()
                    took = in_reactor(lambda: heartbeat.watch(lambda: act(number)))
                    gaps = sorted(heartbeat.gaps)
                    p99 = gaps[len(gaps) * 99 // 100]
                    row = (p99, gaps[-1], max(heartbeat.cpu), took)
                    rounds.setdefault(act.__name__, []).append(row)
        finally:
            gc.unfreeze()
            daemon.stop()
    heads = " ".join(f"{head:>9}" for head in ("p99", "max", "worst", "cpu", "took"))
    print(f"{'reactor':<10} {heads}")
    for name, rows in rounds.items():
        p99, longest, cpu, took = map(statistics.median, zip(*rows, strict=True))
        worst = max(row[1] for row in rows)
        figures = " ".join(f"{figure * 1000:>9.3f}" for figure in (p99, longest, worst, cpu))
        print(f"{name:<10} {figures} {took:>9.3f}")


if __name__ == "__main__":
    main()
