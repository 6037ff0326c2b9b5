"""Synapse's module API, as much of it as the module uses, and a reactor to run in."""

import itertools
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from daemon import Daemon, until
from presence_router.completions import await_call
from presence_router.synapse import PresenceRouterModule
from synapse.events.presence_router import load_legacy_presence_router
from synapse.logging.context import SENTINEL_CONTEXT, LoggingContext, PreserveLoggingContext
from synapse.module_api import UserPresenceState
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail, maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread

# The senders in a database that does not answer.
NEVER: list[str] = []


class FakeApi:
    """A homeserver of one name, with senders in its database."""

    def __init__(self, server_name: str, stored: list[str], broken: int) -> None:
        self.server_name = server_name
        # How often the database fails before it works, and the pauses until then.
        self.broken = broken
        self.slept: list[float] = []
        self.callbacks = SimpleNamespace()
        self.third_party_rules = SimpleNamespace()
        self._stored = stored

    def register_presence_router_callbacks(self, **callbacks: Any) -> None:
        if not any(callbacks.values()):
            # The legacy interface, which found none by the names that it knows.
            return
        assert not vars(self.callbacks), "registered twice"
        self.callbacks.__dict__.update(callbacks)

    def register_third_party_rules_callbacks(self, **callbacks: Any) -> None:
        self.third_party_rules.__dict__.update(callbacks)

    def run_db_interaction(self, _desc: str, func: Callable[..., Any]) -> "Deferred[Any]":
        if self.broken > 0:
            self.broken -= 1
            return fail(sqlite3.OperationalError("database is locked"))
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE presence_stream (stream_id BIGINT, user_id TEXT)")
        database.executemany("INSERT INTO presence_stream VALUES (?, ?)", enumerate(self._stored))
        if self._stored is NEVER:
            return Deferred()
        return maybeDeferred(func, database.cursor())

    async def set_presence_for_users(self, _users: dict[str, Any]) -> None:
        # This process does not write presence.
        raise AssertionError

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        # A turn of the reactor at least: some sleep until something happens.
        await deferLater(reactor, min(seconds, 0.05))  # type: ignore[arg-type]

    def run_as_background_process(
        self, _desc: str, func: Callable[..., Any], *args: Any
    ) -> "Deferred[Any]":
        return ensureDeferred(func(*args))


def context(name: str = "sync") -> LoggingContext:
    """A log context, as each part of a /sync has one."""

    async def make() -> LoggingContext:
        try:
            return LoggingContext(name=name, server_name="test")
        except TypeError:
            # Synapse 1.139 and before.
            return LoggingContext(name)

    # It belongs to the thread that makes it.
    return in_reactor(make)


def in_reactor(
    function: Callable[[], Coroutine[Any, Any, Any]], within: LoggingContext | None = None
) -> Any:
    """Runs a coroutine in the reactor's thread, in a log context if one is given;
    answers its result."""
    global _thread
    if _thread is None:
        run = reactor.run  # type: ignore[attr-defined]
        _thread = threading.Thread(target=run, args=(False,), daemon=True)
        _thread.start()

    async def run_within() -> Any:
        with PreserveLoggingContext(within or SENTINEL_CONTEXT):
            return await function()

    return blockingCallFromThread(reactor, lambda: ensureDeferred(run_within()))


_thread: threading.Thread | None = None


class Loaded:
    """The module, loaded as Synapse loads it, and its callbacks."""

    interface = "modules"
    # All that were not closed.
    open: "list[Loaded]" = []

    def __init__(
        self, server: str, stored: list[str] | None = None, broken: int = 0, **config: Any
    ) -> None:
        self.api = FakeApi(server, [] if stored is None else stored, broken)

        async def load() -> PresenceRouterModule:
            parsed = PresenceRouterModule.parse_config({"deadline_ms": 5000} | config)
            if self.interface == "modules":
                return PresenceRouterModule(parsed, self.api)  # type: ignore[arg-type]
            made: list[PresenceRouterModule] = []

            def make(**arguments: Any) -> PresenceRouterModule:
                made.append(PresenceRouterModule(**arguments))
                return made[0]

            server = SimpleNamespace(
                presence_router_module_class=make, presence_router_config=parsed
            )
            load_legacy_presence_router(
                SimpleNamespace(  # type: ignore[arg-type]
                    config=SimpleNamespace(server=server), get_module_api=lambda: self.api
                )
            )
            return made[0]

        self._caught_up = Daemon.applications
        self.module = in_reactor(load)
        Loaded.open.append(self)

    def close(self) -> None:
        """Ends its connection and its threads."""
        self.module._connection.close()

    def route(
        self, states: Any, within: LoggingContext | None = None, own: bool = False
    ) -> dict[str, set[UserPresenceState]]:
        """What Synapse gets when it hands in states; but for each recipient's own states, unless
        they are wanted. Recipients may share a set, in which those are nothing to Synapse."""
        self.catch_up()
        answer = in_reactor(lambda: self.api.callbacks.get_users_for_states(states), within)
        if own:
            return answer
        others = {
            key: {one for one in some if one.user_id != key} if type(some) is set else some
            for key, some in answer.items()
        }
        return {key: some for key, some in others.items() if some}

    def interest(self, user_id: str, within: LoggingContext | None = None) -> Any:
        """What Synapse gets when it asks about a user; but for that user, who may be in a set
        that users share, and whom Synapse adds anyway."""
        self.catch_up()
        answer = in_reactor(lambda: self.api.callbacks.get_interested_users(user_id), within)
        return answer - {user_id} if type(answer) is set else answer

    def wait_until_away(self) -> None:
        """Waits until the module knows that its connection ended."""
        until(lambda: not self.module._health.is_connected, "the module notices the end")

    def catch_up(self) -> None:
        """Waits until the module has heard of all policies that became active.

        The daemon tells it of a policy before it answers by it, on one stream; and memory has
        no answer about a user of whom nobody asked yet. One of another server: an open
        audience has keys for local users who asked.
        """
        if self._caught_up == Daemon.applications:
            return
        self._caught_up = Daemon.applications
        nobody = f"@nobody-{next(_numbers)}:catch-up.invalid"
        router = self.module._router
        in_reactor(
            lambda: await_call("catch_up", lambda done: router.find_interest(nobody, False, done))
        )


_numbers = itertools.count()


def state(
    user_id: str, status_msg: str | None = None, presence: str = "online"
) -> UserPresenceState:
    """A state of a user."""
    return UserPresenceState(user_id, presence, 1, 2, 3, status_msg, presence == "online")
