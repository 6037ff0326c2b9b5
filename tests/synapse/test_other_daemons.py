"""A daemon that goes away, or is replaced by another one at the same address: by an older
version, or by one with another history. What does a process still believe?

The native half is asked here, without Synapse: whether an answer comes from memory, and why there
is none, are its own results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_bytes import (
    CAPABILITY_NAMED_SERVERS,
    CAPABILITY_TOUCH,
    EVERYONE,
    INTEREST,
    OPEN,
    TOUCH,
    as_expression,
    as_list,
    changed,
    named_servers,
    opened,
    reset,
    users,
)
from daemon import SERVER, until
from fake_api import state
from native_client import ANN, BOB, EVE, Succession
from presence_router._native import Everyone
from scripted_daemon import Message, Question, Refusal, grpc, shows

DAN = "@dan:test"


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Succession]:
    daemons = Succession(tmp_path)
    yield daemons
    daemons.close()


def test_a_restart_in_mid_stream_ends_no_answer(daemons: Succession) -> None:
    daemons.remember()
    daemons.stop()
    daemons.assert_remembered()
    daemon = daemons.replace()
    assert daemon.stream().resumed_from == "e:1"
    until(lambda: not daemons.client.is_away(BOB), "the client is connected again")
    daemons.assert_remembered()
    # Only what nobody asked before goes to the daemon.
    daemon.interest = shows(as_list(EVE))
    assert daemons.client.senders(DAN) == {EVE}
    assert [question.users for question in daemon.stream().questions] == [[DAN]]


def test_after_a_restart_a_change_ends_the_answers_of_those_whom_it_names(
    daemons: Succession,
) -> None:
    daemons.remember()
    daemons.client.senders(DAN)
    daemons.stop()
    daemon = daemons.replace(
        revision="e:2",
        begins=[opened("e:2", CAPABILITY_TOUCH), changed("e:2", (users(ANN), users(BOB)))],
    )
    daemons.until_forgotten()
    assert daemons.client.remembered(DAN) == {ANN}
    assert daemons.client.senders(BOB) == set()
    assert [question.users for question in daemon.stream().questions] == [[BOB]]


def test_a_question_under_way_is_asked_again_after_a_restart(daemons: Succession) -> None:
    daemons.remember()
    first = daemons.daemon.stream()

    def go_on(question: Question) -> list[Message]:
        # The stream ends with the first question, and answers the second.
        daemons.daemon.interest = shows(as_list(EVE))
        return [None]

    daemons.daemon.interest = go_on
    result = daemons.client.interest(DAN)
    assert (result.outcome, result.value) == ("ok", {EVE})
    assert first.questions[-1].users == daemons.daemon.stream(1).questions[0].users == [DAN]
    daemons.assert_remembered()


def test_an_older_daemon_is_asked_everything_and_told_nothing_new(daemons: Succession) -> None:
    daemons.remember()
    # A daemon that accepts `Touch` is told of hits before the next question.
    daemons.client.senders(DAN)
    assert TOUCH in daemons.daemon.stream().kinds
    daemons.stop()
    # The same revision, and even then: hidden fields may have changed without a word.
    daemon = daemons.replace(capabilities=())
    daemon.interest = shows(as_list(EVE))
    daemons.until_forgotten()
    result = daemons.client.interest(BOB)
    assert (result.outcome, result.value) == ("ok", {EVE})
    for _ in range(2):
        assert daemons.client.remembered(BOB) == {EVE}
    daemons.client.senders(DAN)
    assert set(daemon.stream().kinds) == {OPEN, INTEREST}


def test_an_older_daemon_names_no_servers(daemons: Succession) -> None:
    daemons.remember()
    daemons.stop()

    def servers(sender: str) -> set[str]:
        """The other servers that get an update of a sender."""
        keys, unsent, unanswered = daemons.client.route(state(sender)).value
        # Everyone is on other servers as well.
        assert (unsent, unanswered) == (1, [])
        return {key.partition(":")[2] for key in keys} - {SERVER}

    begins = [
        opened("e:1", CAPABILITY_TOUCH, CAPABILITY_NAMED_SERVERS),
        named_servers("far", last=False),
        named_servers("there"),
    ]
    daemon = daemons.replace(begins=begins)
    daemon.states = shows(as_expression(EVERYONE))
    until(lambda: not daemons.client.is_away(BOB), "the client is connected again")
    assert servers(EVE) == {"far", "there"}
    daemons.stop()
    # Without a connection, the last ones.
    assert servers(EVE) == {"far", "there"}
    daemon = daemons.replace()
    daemon.stream()
    until(lambda: servers(EVE) == set(), "the client is connected again")
    # From memory: only the servers are not known any more.
    assert daemon.stream().questions == []


def test_a_daemon_without_budgets_is_asked_without_one(daemons: Succession) -> None:
    daemons.remember()
    assert daemons.daemon.stream().has_budget
    daemons.stop()
    daemon = daemons.replace(capabilities=(), accepts_budget=False)
    daemon.interest = shows(as_list(EVE))
    daemons.until_forgotten()
    until(lambda: daemons.client.interest(BOB).value == {EVE}, "a stream is open")
    assert [stream.has_budget for stream in daemon.streams] == [True, False]


def test_answers_of_another_history_end_by_a_reset(daemons: Succession) -> None:
    daemons.remember()
    daemons.stop()
    daemon = daemons.replace(revision="f:1", begins=[opened("f:1", CAPABILITY_TOUCH), reset("f:1")])
    daemons.until_forgotten()
    daemon.interest = shows(as_list(EVE))
    assert daemons.client.senders(BOB) == {EVE}
    assert daemon.stream().resumed_from == "e:1"


def test_answers_of_another_history_end_by_a_refusal(daemons: Succession) -> None:
    daemons.remember()
    daemons.stop()
    code = grpc.StatusCode.FAILED_PRECONDITION
    refusal = Refusal(code, "REVISION_OF_OTHER_HISTORY")
    daemon = daemons.replace(revision="f:1", begins=[refusal])
    assert daemon.stream().resumed_from == "e:1"
    daemons.until_forgotten()
    daemon.begins = None
    daemon.interest = shows(as_list(EVE))
    until(lambda: daemons.client.interest(BOB).value == {EVE}, "a stream is open")
    assert daemon.streams[-1].resumed_from == ""


# Codes that a client gives no reason for: there is no daemon, or not yet.
AWAY = {"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE"}


@pytest.mark.parametrize("code", [*grpc.StatusCode][1:], ids=lambda code: code.name)
def test_a_daemon_that_refuses_the_stream_ends_what_another_one_said(
    daemons: Succession, code: Any
) -> None:
    daemons.remember()
    daemons.stop()
    daemon = daemons.replace(begins=[Refusal(code)])
    if code.name in AWAY:
        # Twice: the client has heard of the first.
        daemon.stream(1)
        daemons.assert_remembered()
        assert daemons.client.interest(DAN).outcome in ("unreachable", "deadline")
    else:
        daemons.until_forgotten()
        assert daemons.client.interest(DAN).outcome in ("refused", "unusable")
    daemon.begins = None
    daemon.interest = shows(as_list(EVE))
    until(lambda: daemons.client.interest(DAN).value == {EVE}, "a stream is open")


def test_without_a_connection_nobody_sees_everyone(daemons: Succession) -> None:
    daemons.daemon.interest = shows(as_expression(EVERYONE))
    assert isinstance(daemons.client.interest(BOB, True).value, Everyone)
    assert isinstance(daemons.client.remembered(BOB, True), Everyone)
    daemons.stop()
    # The known senders are no more than Synapse adds.
    assert daemons.client.remembered(BOB, True) == {ANN, EVE}
    assert daemons.client.interest(BOB, True).value == {ANN, EVE}
    daemons.replace()
    until(lambda: not daemons.client.is_away(BOB), "the client is connected again")
    assert isinstance(daemons.client.remembered(BOB, True), Everyone)
