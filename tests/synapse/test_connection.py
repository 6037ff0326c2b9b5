"""The module's connection to the daemon: what it does about events, and about a daemon that
does not answer. The test plays the native half."""

import logging
from typing import Any

import pytest
from daemon import until
from fake_api import FakeApi, in_reactor
from presence_router import connection
from presence_router.health import DaemonHealth
from prometheus_client import REGISTRY
from twisted.internet import reactor

pytestmark = pytest.mark.smoke

Event = tuple[str, str, Any]


class Scripted:
    """A native half that has these events and then no more, and that checks a daemon with
    these outcomes, the last of which stays."""

    def __init__(self, events: list[Event], outcomes: tuple[str, ...] = ("ok",)) -> None:
        self.events = events
        self.outcomes = list(outcomes)
        self.with_gains: list[bool] = []
        self.checks = 0
        self._waiting: Any = None

    def cache_stats(self) -> dict[str, int]:
        return {"hits": 1}

    def next_event(self, with_gains: bool, done: Any) -> None:
        self.with_gains.append(with_gains)
        self._waiting = done
        if self.events:
            self.have(self.events.pop(0))

    def have(self, event: Event) -> None:
        """Answers the call that waits for an event."""
        reactor.callLater(0, self._waiting, *event)  # type: ignore[attr-defined]

    def check_daemon(self, done: Any) -> None:
        self.checks += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        reactor.callLater(0, done, outcome, "still", None)  # type: ignore[attr-defined]


class Following:
    """A follower that takes note of what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def handle(self, kind: str, gains: list[Any]) -> None:
        self.told.append((kind, gains))

    def send_missed(self) -> None:
        self.told.append("back")


class Played:
    """A connection, its parts, and all that it told the follower."""

    def __init__(self, router: Scripted, follower: Following | None) -> None:
        self.router, self.follower = router, follower
        self.api = FakeApi("here", [], 0)
        self.health = DaemonHealth("unix:/s", 60, lambda: 100.0)
        self.connection = connection.Connection(self.api, router, self.health)  # type: ignore[arg-type]

    def run(self) -> None:
        """Starts it, and waits until all events were handled."""
        run = self.connection.run

        async def start() -> None:
            self.api.run_as_background_process("", run, self.follower)

        asked = len(self.router.events) + 1
        in_reactor(start)
        until(lambda: len(self.router.with_gains) == asked, "it waits for another event")

    def report(self, outcome: str) -> None:
        """A question has this outcome."""

        async def report() -> None:
            self.connection.report(outcome, "slow")

        in_reactor(report)


def reachable() -> float | None:
    return REGISTRY.get_sample_value("presence_router_reachable")


CONNECTED: Event = ("connected", "", None)
GONE: Event = ("disconnected", "gone", None)


def test_the_follower_and_the_log_are_told_of_events(caplog: pytest.LogCaptureFixture) -> None:
    gains = [(["@ann:here"], None, False)]
    follower = Following()
    played = Played(Scripted([CONNECTED, ("gained", "", gains), ("reset", "", None)]), follower)
    played.run()
    assert follower.told == [("connected", []), ("gained", gains), ("reset", [])]
    assert set(played.router.with_gains) == {True}
    assert caplog.messages == [] and reachable() == 1


def test_without_a_follower_only_the_connection_counts(caplog: pytest.LogCaptureFixture) -> None:
    played = Played(Scripted([GONE]), None)
    played.run()
    assert set(played.router.with_gains) == {False}
    (line,) = caplog.messages
    assert "does not answer: gone" in line and reachable() == 0


def test_a_refusal_is_an_end_of_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    follower = Following()
    played = Played(Scripted([CONNECTED, ("refused", "not your name", None)]), follower)
    played.run()
    assert follower.told[:2] == [("connected", []), ("refused", [])]
    (line,) = caplog.messages
    assert "refuses this homeserver, or is not understood: not your name" in line
    assert played.health.is_away and reachable() == 0


def test_a_refusal_after_the_end_of_the_connection_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    follower = Following()
    played = Played(Scripted([CONNECTED, GONE, ("refused", "not your name", None)]), follower)
    played.run()
    assert [told[0] for told in follower.told[:3]] == ["connected", "disconnected", "refused"]
    assert "does not answer: gone; answers in memory stay" in caplog.messages[0]
    assert "refuses this homeserver" in caplog.messages[1]


def test_an_event_after_a_lost_one_shows_that_the_daemon_is_there() -> None:
    played = Played(Scripted([CONNECTED, ("failed", "a panic", None), ("reset", "", None)]), None)
    played.run()
    assert reachable() == 1


def test_a_daemon_that_hangs_is_asked_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    follower = Following()
    played = Played(Scripted([CONNECTED], ("deadline", "unreachable", "ok")), follower)
    played.run()
    played.report("deadline")
    # Without another question, and by one process for both.
    played.report("deadline")
    until(lambda: "back" in follower.told, "the follower may send again")
    assert played.router.checks == 3
    assert played.api.slept == 3 * [10]
    assert not played.health.is_away and reachable() == 1
    assert "is back" in caplog.messages[-1] and "2 calls had no answer" in caplog.messages[-1]
    # The next time as well.
    played.report("deadline")
    until(lambda: follower.told.count("back") == 2, "the follower may send again")
    assert played.router.checks == 4


def test_a_daemon_that_answers_the_next_question_is_not_asked() -> None:
    follower = Following()
    played = Played(Scripted([CONNECTED]), follower)
    played.run()
    played.report("deadline")
    played.report("ok")
    until(lambda: "back" in follower.told, "the follower may send again")
    assert played.router.checks == 0


def test_without_a_connection_nothing_is_asked_and_its_return_ends_it() -> None:
    follower = Following()
    played = Played(Scripted([GONE], ("deadline",)), follower)
    played.run()
    until(lambda: len(played.api.slept) > 3, "it looks again and again")
    assert played.router.checks == 0 and played.health.is_away
    reactor.callFromThread(played.router.have, CONNECTED)  # type: ignore[attr-defined]
    until(lambda: "back" in follower.told, "the follower may send again")
    assert not played.health.is_away


def test_a_lost_event_is_said_once_and_the_next_one_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost: Event = ("failed", "a panic", None)
    follower = Following()
    played = Played(Scripted([lost, lost, CONNECTED, lost]), follower)
    with caplog.at_level(logging.WARNING):
        played.run()
    assert follower.told == [("connected", [])]
    assert played.api.slept == 3 * [5]
    assert caplog.text.count("An event of presence-router was lost") == 2
    assert reachable() == 0
    assert "a panic" in caplog.text
