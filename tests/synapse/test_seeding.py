"""The known senders are marked as complete even if the native half cannot do so at first."""

import asyncio
from typing import Any

import pytest
from presence_router.seeding import seed_known_senders

pytestmark = pytest.mark.smoke


class Strained:
    """A native half that cannot start its threads for some calls, and a database that is broken
    for some reads."""

    def __init__(self, without_threads: int, broken: int) -> None:
        self.without_threads, self.broken = without_threads, broken
        self.slept: list[float] = []
        self.finished = 0

    def finish_seeding(self) -> None:
        if self.without_threads:
            self.without_threads -= 1
            raise RuntimeError("cannot start threads")
        self.finished += 1

    async def run_db_interaction(self, _desc: str, _func: Any) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("database is locked")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize(
    ("broken", "pauses", "finished"), [(0, [1, 2, 5], 1), (2, [1, 2, 5], 1), (4, [1, 2, 5, 10], 2)]
)
def test_without_threads_the_module_keeps_trying(
    broken: int, pauses: list[float], finished: int
) -> None:
    half = Strained(3, broken)
    asyncio.run(seed_known_senders(half, half))  # type: ignore[arg-type]
    assert (half.slept, half.finished) == (pauses, finished)
