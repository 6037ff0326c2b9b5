"""Puts the same questions to the module and to an alternative, in turns, in one reactor."""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fake_api import in_reactor
from prometheus_client import REGISTRY

Ask = Callable[[Any], Awaitable[Any]]
# Puts questions to a router, and returns the time of each, in nanoseconds.
Measure = Callable[[Sequence[Any]], Awaitable[list[int]]]

HEADS = f"{'question':<42} {'module':>12} {'other':>12} {'ratio':>8} {'target':>7} {'daemon':>7}"


@dataclass
class Comparison:
    """The times of one question, by the module and by the alternative."""

    name: str
    target: float | None
    ours: list[int] = field(default_factory=list)
    theirs: list[int] = field(default_factory=list)
    asked_daemon: float = 0.0

    def print(self) -> None:
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        target = "-" if self.target is None else f"{self.target:.2f}"
        figures = f"{ours:>12.0f} {theirs:>12.0f} {ours / theirs:>8.3f} {target:>7}"
        print(f"{self.name:<42} {figures} {self.asked_daemon:>7.2f}", flush=True)


def count_requests() -> float:
    """Returns how many questions of this process went to the daemon so far."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "presence_router_requests"
        for sample in metric.samples
        if sample.name == "presence_router_requests_total"
    )


def timed(ask: Ask, clock: Callable[[], int] = time.perf_counter_ns) -> Measure:
    """Returns the measurement of one router."""

    async def measure(questions: Sequence[Any]) -> list[int]:
        times = []
        for question in questions:
            began = clock()
            answer = await ask(question)
            times.append(clock() - began)
            del answer
        return times

    return measure


def compare(
    name: str,
    target: float | None,
    ours: Measure,
    theirs: Measure,
    make_questions: Callable[[], Sequence[Any]],
    rounds: int,
) -> Comparison:
    """Puts the same questions to both, in turns."""
    comparison = Comparison(name, target)
    # The first answers come from the daemon, and fill the memory.
    for measure in (ours, ours, theirs):
        in_reactor(lambda: measure(make_questions()))
    sides = [(ours, comparison.ours), (theirs, comparison.theirs)]
    asked = 0.0
    for _ in range(rounds):
        questions = make_questions()
        # The second side finds the states in the processor's caches.
        sides.reverse()
        for measure, times in sides:
            before = count_requests()
            gc.collect()
            gc.disable()
            try:
                times += in_reactor(lambda: measure(questions))
            finally:
                gc.enable()
            asked += count_requests() - before
    comparison.asked_daemon = asked / len(comparison.ours)
    return comparison
