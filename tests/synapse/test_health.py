"""What the module says of the daemon's health, in the log and by a gauge."""

import logging

import pytest
from presence_router.health import OF_EXACT, DaemonHealth
from prometheus_client import REGISTRY

pytestmark = pytest.mark.smoke


def reachable() -> float | None:
    return REGISTRY.get_sample_value("presence_router_reachable")


def test_the_log_tells_changes_of_health_only(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 60, lambda: now[0])
    health.record_connection()

    def report(*outcomes: str) -> list[str]:
        caplog.clear()
        for outcome in outcomes:
            health.report(outcome, "because")
        return [record.getMessage() for record in caplog.records]

    with caplog.at_level(logging.DEBUG, "presence_router"):
        assert report("ok", "malformed", "ok") == []
        assert report("deadline", "unreachable", "deadline") == [
            "presence-router at unix:/s did not answer a question in time: because; users of such "
            "questions get no additional presence until it answers; answers in memory stay"
        ]
        now[0] += 12
        assert report("ok", "ok") == [
            "presence-router at unix:/s is back after 12 s; 3 calls had no answer"
        ]
        # Again so soon: only if it lasts.
        assert report("deadline", "deadline") == []
        now[0] += 11
        assert len(report("deadline", "ok")) == 2
        # Long after.
        now[0] += 1000
        assert len(report("deadline", "ok")) == 2


def test_the_connection_is_health_even_without_questions(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 0, lambda: now[0])
    health.record_connection()
    assert caplog.messages == [] and reachable() == 1
    health.record_disconnection("gone", is_refusal=False)
    assert health.is_away and not health.is_connected and reachable() == 0
    # Without answers from memory, it is off at once.
    assert caplog.messages == [
        "presence-router at unix:/s does not answer: gone; "
        "additional presence is off until it is back"
    ]
    # An answer by another way is no connection.
    health.report("unreachable", "gone")
    health.report("ok", "")
    assert health.is_away and reachable() == 0
    now[0] += 7
    health.record_connection()
    assert not health.is_away and reachable() == 1
    assert caplog.messages[1:] == [
        "presence-router at unix:/s is back after 7 s; 1 calls had no answer"
    ]
    # Again so soon: only if it lasts, even if nobody asks.
    health.record_disconnection("gone again", is_refusal=False)
    health.log_lasting_absence()
    assert len(caplog.messages) == 2
    now[0] += 10
    health.log_lasting_absence()
    health.record_connection()
    assert "gone again" in caplog.messages[2] and "0 calls had no answer" in caplog.messages[3]


def test_each_change_of_an_absence_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 60, lambda: now[0])
    health.record_connection()

    def absence() -> list[str]:
        caplog.clear()
        for _ in range(2):
            health.report("deadline", "slow")
        now[0] += 1
        health.record_disconnection("silent", is_refusal=False)
        health.report("unreachable", "silent")
        now[0] += 1
        # Without a connection between the two.
        health.record_disconnection("not your name", is_refusal=True)
        health.report("unreachable", "not your name")
        health.record_connection()
        return [message.removeprefix("presence-router at unix:/s ") for message in caplog.messages]

    assert absence() == [
        "did not answer a question in time: slow; users of such questions get no additional "
        "presence until it answers; answers in memory stay",
        "does not answer: silent; answers in memory stay for at most 60 s, then additional "
        "presence is off until it is back",
        "refuses this homeserver, or is not understood: not your name; additional presence is "
        "off until it is back",
        "is back after 2 s; 4 calls had no answer",
    ]
    assert absence() == []


def test_an_outage_lately_does_not_keep_a_refusal_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = DaemonHealth("unix:/s", 60, lambda: 100.0)
    health.record_connection()
    health.record_disconnection("gone", is_refusal=False)
    health.record_connection()
    health.record_disconnection("not your name", is_refusal=True)
    assert "refuses this homeserver" in caplog.messages[-1]


def test_before_the_first_connection_nothing_is_said_of_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = DaemonHealth("unix:/s", 60, lambda: 100.0)
    health.report("deadline", "slow")
    health.record_disconnection("gone", is_refusal=False)
    assert caplog.messages == [
        "presence-router at unix:/s does not answer: slow; "
        "additional presence is off until it is back"
    ]


def test_a_lost_event_counts_as_unreachable_until_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = DaemonHealth("unix:/s", 60, lambda: 100.0)
    health.record_failed_event()
    assert reachable() == 0 and not health.is_away
    health.record_event()
    assert reachable() == 1
    health.record_disconnection("gone", is_refusal=False)
    health.record_event()
    assert reachable() == 0


def test_after_a_refusal_nothing_is_said_of_memory(caplog: pytest.LogCaptureFixture) -> None:
    health = DaemonHealth("unix:/s", 60, lambda: 100.0)
    health.record_disconnection("not your name", is_refusal=True)
    assert health.is_away and not health.is_connected and reachable() == 0
    assert caplog.messages == [
        "presence-router at unix:/s refuses this homeserver, or is not understood: not your name; "
        "additional presence is off until it is back"
    ]
    health.record_connection()
    assert not health.is_away and reachable() == 1


def test_a_check_of_the_module_is_no_question(caplog: pytest.LogCaptureFixture) -> None:
    health = DaemonHealth("unix:/s", 60, lambda: 100.0)
    health.report("deadline", "slow")
    health.report("deadline", "slow", is_question=False)
    assert health.is_away and health.is_connected and reachable() == 0
    health.report("ok", "", is_question=False)
    assert not health.is_away and reachable() == 1
    assert "1 calls had no answer" in caplog.messages[-1]


@pytest.mark.parametrize("outcome", ["refused", "unusable", "failed"])
def test_a_trouble_with_some_questions_is_no_absence_and_said_now_and_then(
    outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 60, lambda: now[0])

    def alternate() -> list[str]:
        caplog.clear()
        for _ in range(50):
            health.report(outcome, "because")
            health.report("ok", "")
        return [record.getMessage() for record in caplog.records]

    (line,) = alternate()
    assert "unix:/s" in line and "because" in line
    assert "does not answer" not in line and "back" not in line
    now[0] += 599
    assert alternate() == []
    now[0] += 2
    (line,) = alternate()
    assert "99 more since" in line
    # Neither hides the other.
    health.report("unreachable", "gone")
    health.report(outcome, "because")
    assert "does not answer: gone" in caplog.messages[-1]


def test_a_daemon_that_comes_and_goes_is_not_said_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 60, lambda: now[0])
    health.record_connection()
    for _ in range(500):
        now[0] += 1
        health.report("deadline", "slow")
        health.report("ok", "")
    assert ["did not answer" in line for line in caplog.messages] == [True, False]


@pytest.mark.parametrize(
    ("when_away", "off"),
    [
        ("nobody", "nobody sees anybody"),
        ("rooms", "users see everybody with whom they share a room"),
    ],
)
def test_the_log_says_what_users_see_if_the_policy_alone_decides(
    caplog: pytest.LogCaptureFixture, when_away: str, off: str
) -> None:
    now = [100.0]
    health = DaemonHealth("unix:/s", 60, lambda: now[0], OF_EXACT[when_away])

    def logged() -> list[str]:
        messages = list(caplog.messages)
        caplog.clear()
        return messages

    health.record_disconnection("gone", is_refusal=False)
    nothing = f"presence-router at unix:/s does not answer: gone; {off} until it is back"
    assert logged() == [nothing]
    health.record_connection()
    logged()
    now[0] += 1000
    health.record_disconnection("gone", is_refusal=False)
    assert logged() == [
        "presence-router at unix:/s does not answer: gone; answers in memory stay for at most "
        f"60 s, then {off} until it is back"
    ]
    health.record_disconnection("who are you", is_refusal=True)
    assert logged() == [
        "presence-router at unix:/s refuses this homeserver, or is not understood: who are you; "
        "nobody sees anybody until it is back"
    ]
    health.record_connection()
    logged()
    health.report("deadline", "slow")
    assert logged() == [
        "presence-router at unix:/s did not answer a question in time: slow; users of such "
        "questions see nobody until it answers; answers in memory stay"
    ]
    health.report("unusable", "new")
    assert "; the users concerned saw nobody. " in logged()[0]
