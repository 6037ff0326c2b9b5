"""The known senders are marked as complete even if the native half cannot do so at first."""

import asyncio
from typing import Any

import pytest
from presence_router.bell_names import bell_name, bells_of
from presence_router.seeding import seed_known_senders

pytestmark = pytest.mark.smoke


class Strained:
    """A native half that cannot start its threads for some calls, and a database that is broken
    for some reads."""

    def __init__(self, without_threads: int, broken: int) -> None:
        self.without_threads, self.broken = without_threads, broken
        self.slept: list[float] = []
        self.server_name = "test"
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


class Database:
    """A database with some users, and a native half that takes them."""

    def __init__(self, users: list[str]) -> None:
        self._left = [(user,) for user in users]
        self.known: list[str] = []
        self.server_name = "test"

    def execute(self, _sql: str) -> None:
        pass

    def fetchmany(self, _count: int) -> list[tuple[str]]:
        rows, self._left = self._left, []
        return rows

    async def run_db_interaction(self, _desc: str, func: Any) -> None:
        func(self)

    def add_known_users(self, users: list[str]) -> None:
        self.known += users

    def finish_seeding(self) -> None:
        pass


def test_bells_are_no_senders() -> None:
    users = ["@ann:test", bell_name(3, "elsewhere"), "@!presence-router-17:test"]
    database = Database([*users, *bells_of("test")])
    asyncio.run(seed_known_senders(database, database))  # type: ignore[arg-type]
    assert database.known == users
    assert len(bells_of("test")) == 18
