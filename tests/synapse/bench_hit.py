"""Measures questions that the module answers from memory: from Synapse's callback to its
answer, in a real reactor, with a real daemon. Each question was asked before.

    PRESENCE_ROUTER_BIN=... .cache/venv/bin/python tests/synapse/bench_hit.py

Only ratios of one run count, on an otherwise idle machine. Two routers answer the same
questions in turns. Questions about groups are compared with `NaiveRouter`, answers for a
user who may see everyone with a copy of the answer's own set.

  module   median time of a question, in nanoseconds. For PRESENCE_ALL_USERS, CPU time of
           the reactor's thread, because the module lets other work of the reactor run
           meanwhile
  other    the same of the alternative
  ratio    the first divided by the second
  target   the ratio that the module must not exceed
  daemon   share of the module's questions that went to the daemon: 0.00 if memory
           answered all of them

The states exist before the time begins, answers are freed after it ends, and Python does not
collect garbage meanwhile. All three favour the alternative, which allocates more.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from comparison import HEADS, Ask, Comparison, Measure, compare, timed
from daemon import Daemon
from fake_api import Loaded, context, in_reactor, state
from naive_router import NaiveRouter
from policies import allow, deny, within
from synapse.logging.context import PreserveLoggingContext
from synapse.module_api import PRESENCE_ALL_USERS, UserPresenceState

# Users who ask in turns, all of the same groups: a single one would keep the caches of the
# processor warm.
ASKERS = [f"@asker{n}:test" for n in range(20)]
DENIED = "@denied:test"
WATCHER = "@watcher:test"
GROUPS_OF_ASKERS = ("red", "green", "blue")
RING = 10


def make_groups(recipients: int) -> dict[str, list[str]]:
    """Returns three groups that have all askers, and in all that many members whom an asker
    sees; and a ring of ten groups, of which each shares half of its members with the next
    one, and half with the one before."""
    others = [f"@other{n}:test" for n in range(recipients - len(ASKERS) + 1)]
    groups = {
        name: [*ASKERS, *others[position :: len(GROUPS_OF_ASKERS)]]
        for position, name in enumerate(GROUPS_OF_ASKERS)
    }
    groups["red"].append(DENIED)
    half = max(10, recipients // 9)
    ring = [[f"@ring{number}-{n}:test" for n in range(half)] for number in range(RING)]
    for number in range(RING):
        groups[f"ring{number}"] = ring[number] + ring[(number + 1) % RING]
    return groups


def compare_groups(daemon: Daemon, options: argparse.Namespace) -> list[Comparison]:
    """Compares questions about groups with the naive router."""
    groups = make_groups(options.recipients)
    daemon.apply([*map(within, groups), deny(ASKERS, DENIED), deny(DENIED, ASKERS)], groups)
    pairs = itertools.chain(((a, DENIED) for a in ASKERS), ((DENIED, a) for a in ASKERS))
    naive = NaiveRouter(groups, pairs)
    callbacks = Loaded("test", address=daemon.address, follow_changes=False).api.callbacks
    serial = itertools.count()
    # Of each part of the ring, ten members: a hundred states of ten audiences.
    senders = [groups[f"ring{number}"][n] for n in range(10) for number in range(RING)]

    def make_states(users: Sequence[str]) -> list[UserPresenceState]:
        return [state(user, f"status {next(serial)}") for user in users]

    def make_single() -> list[list[UserPresenceState]]:
        return [make_states([user]) for _ in range(options.repeat) for user in ASKERS]

    def make_batches() -> list[list[UserPresenceState]]:
        return [make_states(senders) for _ in range(options.repeat)]

    def make_users() -> list[str]:
        return [user for _ in range(options.repeat) for user in ASKERS]

    check_answers(callbacks, naive, [*make_single()[:2], make_batches()[0]], options.recipients)
    route, interest = callbacks.get_users_for_states, callbacks.get_interested_users
    table: list[tuple[str, float | None, Ask, Ask, Callable[[], Sequence[Any]]]] = [
        (
            f"1 state, {options.recipients} recipients",
            0.08,
            route,
            naive.get_users_for_states,
            make_single,
        ),
        (
            f"interest, {options.recipients} senders",
            0.05,
            interest,
            naive.get_interested_users,
            make_users,
        ),
        ("100 states, 10 audiences", None, route, naive.get_users_for_states, make_batches),
    ]
    return [
        compare(name, target, timed(ours), timed(theirs), make_questions, options.rounds)
        for name, target, ours, theirs, make_questions in table
    ]


def check_answers(
    callbacks: Any, naive: NaiveRouter, batches: list[list[UserPresenceState]], recipients: int
) -> None:
    """Fails unless module and naive router give the same answers, and these are as large as
    the table says."""

    async def check() -> None:
        for states in batches:
            ours = await callbacks.get_users_for_states(states)
            # The module may give users their own states, which Synapse adds by itself.
            for user, shown in list(ours.items()):
                if not (others := {one for one in shown if one.user_id != user}):
                    del ours[user]
                else:
                    ours[user] = others
            theirs = await naive.get_users_for_states(states)
            assert ours == theirs, (len(ours), len(theirs))
            assert len(states) > 1 or len(ours) == recipients, len(ours)
        senders = await callbacks.get_interested_users(ASKERS[0])
        expected = await naive.get_interested_users(ASKERS[0])
        assert senders - {ASKERS[0]} == expected, (len(senders), len(expected))
        assert len(expected) == recipients

    in_reactor(check)


def compare_everyone(daemon: Daemon, options: argparse.Namespace) -> list[Comparison]:
    """Compares the answers for a user who may see everyone with copies of their sets."""
    daemon.apply([allow("everyone", WATCHER)])
    known = [f"@known{n}:test" for n in range(options.known)]
    config = {"address": daemon.address, "follow_changes": False, "deadline_ms": 10_000}
    by_list = Loaded("test", known, **config).api.callbacks
    senders = in_reactor(lambda: by_list.get_interested_users(WATCHER))
    assert senders - {WATCHER} == set(known)

    async def copy(_: Any) -> set[str]:
        return set(senders)

    listed = compare(
        f"interest, everyone, {options.known} senders",
        0.05,
        timed(by_list.get_interested_users),
        timed(copy),
        lambda: [WATCHER] * 3,
        options.rounds,
    )
    by_all = Loaded("test", [], all_users="auto", **config).api.callbacks
    states = [state(user, f"status of {user}") for user in known]

    async def copy_states(states: list[UserPresenceState]) -> set[UserPresenceState]:
        return set(states)

    promised = compare(
        f"PRESENCE_ALL_USERS, {options.known} states",
        1.3,
        time_promises(by_all),
        timed(copy_states, time.thread_time_ns),
        lambda: [states] * 3,
        options.rounds,
    )
    return [listed, promised]


def time_promises(callbacks: Any) -> Measure:
    """Returns the measurement of the question that follows PRESENCE_ALL_USERS."""
    sync = context()

    async def measure(questions: Sequence[list[UserPresenceState]]) -> list[int]:
        times = []
        for states in questions:
            with PreserveLoggingContext(sync):
                assert await callbacks.get_interested_users(WATCHER) == PRESENCE_ALL_USERS
                began = time.thread_time_ns()
                answer = await callbacks.get_users_for_states(states)
                times.append(time.thread_time_ns() - began)
            assert len(answer[WATCHER]) == len(states)
            del answer
        return times

    return measure


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipients", type=int, default=900, help="of one state")
    parser.add_argument("--known", type=int, default=100_000, help="users with a presence")
    parser.add_argument("--repeat", type=int, default=10, help="times of each question a round")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    print(HEADS)
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(Path(directory))
        try:
            daemon.start()
            for part in (compare_groups, compare_everyone):
                for comparison in part(daemon, options):
                    comparison.print()
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
