"""The native half of the module without a reactor: a test asks, and waits for the result."""

import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract_bytes import as_list
from daemon import LONG, SERVER, until
from fake_api import state
from presence_router._native import Router
from presence_router.redact import redact
from scripted_daemon import ScriptedDaemon, shows

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"


@dataclass
class Result:
    """What `done` got."""

    outcome: str
    detail: str
    value: Any


class NativeClient:
    """A router of its own, with some known senders.

    Answers in memory live without a connection for longer than a test takes, so that time ends
    none of them.
    """

    def __init__(
        self, address: str, known: list[str], deadline_ms: int = 5000, stale_for_ms: int = 600_000
    ) -> None:
        self.router = Router(address, SERVER, [], deadline_ms, stale_for_ms, 16, redact)
        self.router.add_known_users(known)
        self.router.finish_seeding()

    def interest(self, user_id: str, may_be_everyone: bool = False) -> Result:
        """Asks whose presence a user may see."""
        return self.wait(lambda done: self.router.find_interest(user_id, may_be_everyone, done))

    def senders(self, user_id: str) -> Any:
        """The answer of `interest`, which must be one: of the daemon or from memory."""
        result = self.interest(user_id)
        assert result.outcome in ("ok", "memory"), result
        return result.value

    def remembered(self, user_id: str, may_be_everyone: bool = False) -> Any:
        """Whose presence a user may see, by an answer in memory. None: there is none."""
        return self.router.interest_in_memory(user_id, may_be_everyone)

    def remembered_recipients(self, sender: str) -> set[str] | None:
        """Who sees a sender, by an answer in memory. None: there is none."""
        routes = self.router.routes_in_memory([state(sender)])
        return None if routes is None else set(routes[0])

    def is_away(self, user_id: str) -> bool:
        """True if memory answers about this user, and does so without a connection."""
        stale = self.router.cache_stats()["stale"]
        return self.remembered(user_id) is not None and self.router.cache_stats()["stale"] > stale

    def route(self, *states: Any) -> Result:
        """Hands in states."""
        return self.wait(lambda done: self.router.find_routes(list(states), done))

    def wait(self, start: Callable[[Callable[..., None]], None]) -> Result:
        results: list[Result] = []
        start(lambda *result: results.append(Result(*result)))
        while not results:
            assert select.select([self.router.completion_fd()], [], [], LONG)[0], "no result"
            assert self.router.deliver_completions() == []
        return results[0]

    def close(self) -> None:
        self.router.close()


class Succession:
    """A client, and one daemon after another at the same address. The client knows that Ann and Eve
    are senders."""

    def __init__(self, directory: Path) -> None:
        self._address = f"unix:{directory}/d.sock"
        self.daemon = ScriptedDaemon(self._address)
        self.client = NativeClient(self._address, [ANN, EVE])

    def remember(self) -> None:
        """Makes the client remember that Bob may see Ann, by an answer for each of them."""
        self.daemon.interest, self.daemon.states = shows(as_list(ANN)), shows(as_list(BOB))
        assert self.client.interest(BOB).outcome == "ok"
        assert self.client.route(state(ANN)).outcome == "ok"
        self.assert_remembered()

    def stop(self) -> None:
        """Stops the daemon, and waits until the client has noticed: it remembers about Bob."""
        self.daemon.stop()
        until(lambda: self.client.is_away(BOB), "the client notices the end")

    def replace(self, **arguments: Any) -> ScriptedDaemon:
        """Starts another daemon in place of the one that was stopped."""
        self.daemon = ScriptedDaemon(self._address, **arguments)
        return self.daemon

    def assert_remembered(self) -> None:
        """Asserts that the client needs no daemon to know that Bob may see Ann."""
        assert self.client.remembered(BOB) == {ANN}
        assert self.client.remembered_recipients(ANN) == {BOB}

    def until_forgotten(self) -> None:
        """Waits until the client no longer remembers that Bob may see Ann; asserts that it never
        remembers anything else."""

        def are_forgotten() -> bool:
            interest = self.client.remembered(BOB)
            recipients = self.client.remembered_recipients(ANN)
            assert interest in (None, {ANN}) and recipients in (None, {BOB})
            return interest is None and recipients is None

        until(are_forgotten, "the answers in memory end")

    def close(self) -> None:
        self.client.close()
        self.daemon.stop()
