"""A daemon that breaks the contract, by a fault or because it is of a later version: the stream
ends, and nothing that the daemon said on it is believed any more."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contract_bytes import (
    CAPABILITY_TOUCH,
    as_expression,
    as_list,
    batch_error,
    changed,
    deliveries,
    field,
    heartbeat,
    interest_answer,
    named_servers,
    opened,
    query_error,
    set_edit,
    set_part,
    set_retired,
    users,
)
from daemon import LONG, until
from fake_api import Loaded, state
from native_client import ANN, BOB, EVE, NativeClient, Succession
from presence_router.health import DaemonHealth
from scripted_daemon import Message, Question, ScriptedDaemon, sends, shows, shows_nobody

DAN = "@dan:test"


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Succession]:
    daemons = Succession(tmp_path)
    yield daemons
    daemons.close()


@pytest.mark.parametrize(
    "messages",
    [
        [set_edit(99, EVE), changed("e:2")],
        [set_part(50, as_expression(users(ANN))), set_edit(50, EVE), changed("e:2")],
        [set_edit(1, "no user id"), changed("e:2")],
        [set_retired(99)],
        [set_part(50, as_list(EVE), last=False), changed("e:2")],
        [set_part(50, as_list(EVE), last=False), set_part(51, as_list(EVE))],
        [set_part(1, as_list(EVE))],
        [opened("e:1", CAPABILITY_TOUCH)],
        [heartbeat("e:2")],
        [named_servers("far"), named_servers("far")],
        [named_servers(removed=("far",))],
        [named_servers("far", last=False), changed("e:2")],
        [interest_answer(99, "e:1", 1)],
        [deliveries(99, "e:1", (1, [0], b""))],
    ],
    ids=[
        "edit of an undefined set",
        "edit of an expression",
        "edit with something that is no user",
        "end of an undefined set",
        "change amid a set",
        "set amid another",
        "set defined twice",
        "second beginning",
        "revision out of nowhere",
        "server named twice",
        "end of a server that was not named",
        "change amid named servers",
        "answer without a query",
        "answer without a batch",
    ],
)
def test_after_a_violation_nothing_is_believed(daemons: Succession, messages: list[bytes]) -> None:
    daemons.remember()
    daemons.daemon.interest = shows_nobody
    stream = daemons.daemon.stream()
    stream.send(*messages)
    assert stream.ended.wait(LONG), "the client ends the stream"
    daemons.until_forgotten()
    # The next stream's answer.
    assert daemons.client.senders(BOB) == set()
    assert [question.users for question in daemons.daemon.stream(1).questions] == [[BOB]]


def revision_out_of_nowhere(question: Question) -> list[Message]:
    number, part = question.define_set(as_list(EVE))
    return [part, interest_answer(question.id, "e:2", number)]


def undefined_set(question: Question) -> list[Message]:
    return [question.answer_with(99)]


def set_of_undefined_sets(question: Question) -> list[Message]:
    number, part = question.define_set(as_expression(field(5, 99)))
    return [part, question.answer_with(number)]


def incomplete_set(question: Question) -> list[Message]:
    return [set_part(50, as_list(EVE), last=False), question.answer_with(50)]


def malformed_user(question: Question) -> list[Message]:
    return shows(as_list("no user id"))(question)


def answer_to_another_question(question: Question) -> list[Message]:
    question.id += 1
    return shows(as_list(EVE))(question)


def answer_of_another_kind(question: Question) -> list[Message]:
    question.is_batch = True
    return shows(as_list(EVE))(question)


def error_of_no_request(_question: Question) -> list[Message]:
    return [field(9, field(3, 3))]


@pytest.mark.parametrize(
    "script",
    [
        undefined_set,
        set_of_undefined_sets,
        incomplete_set,
        malformed_user,
        answer_to_another_question,
        answer_of_another_kind,
        error_of_no_request,
        revision_out_of_nowhere,
    ],
)
def test_an_answer_that_breaks_the_contract_is_no_verdict(
    daemons: Succession, script: Callable[[Question], list[Message]]
) -> None:
    daemons.remember()
    daemons.daemon.interest = script
    result = daemons.client.interest(DAN)
    assert (result.outcome, result.value) == ("unusable", None)
    assert "contract violated" in result.detail
    daemons.until_forgotten()
    daemons.daemon.interest = shows(as_list(EVE))
    assert daemons.client.senders(DAN) == {EVE}


def test_a_set_that_is_never_completed_answers_nothing(daemons: Succession) -> None:
    daemons.remember()
    client = NativeClient(daemons.daemon.address, [ANN], deadline_ms=300)
    daemons.daemon.interest = sends(set_part(2, as_list(EVE), last=False))
    assert client.interest(DAN).outcome == "deadline"
    # The question went out on that client's own stream.
    stream = daemons.daemon.stream(1)
    assert not stream.ended.is_set()
    # The rest of it: the question has an answer, and whoever asks again gets it.
    (question,) = stream.questions
    stream.send(set_part(2, as_list(ANN)), question.answer_with(2))
    until(lambda: client.remembered(DAN) == {ANN, EVE}, "the answer comes")
    client.close()


@pytest.mark.parametrize("indexes", [[1], [0, 0], [2**32 - 1]], ids=str)
def test_an_answer_about_other_states_is_no_verdict(
    daemons: Succession, indexes: list[int]
) -> None:
    def answer(question: Question) -> list[Message]:
        number, part = question.define_set(as_list(BOB))
        return [part, deliveries(question.id, "e:1", (number, indexes, b""))]

    daemons.daemon.states = answer
    result = daemons.client.route(state(ANN))
    assert (result.outcome, result.value) == ("unusable", ({}, 0, [ANN]))
    daemons.daemon.states = shows(as_list(BOB))
    update = state(ANN)
    assert daemons.client.route(update).value == ({BOB: {update}}, 0, [])


@pytest.mark.parametrize(("code", "reason"), [(3, 999), (77, 0)])
def test_an_error_of_an_unknown_kind_ends_one_question_only(
    daemons: Succession, code: int, reason: int
) -> None:
    daemons.remember()
    new = field(99, "new")
    daemons.daemon.interest = lambda question: [query_error(question.id, code, reason, new)]
    result = daemons.client.interest(DAN)
    assert (result.outcome, result.value) == ("refused", None)
    daemons.daemon.states = lambda question: [batch_error(question.id, code, reason, new)]
    result = daemons.client.route(state(EVE))
    assert (result.outcome, result.value) == ("refused", ({}, 0, [EVE]))
    daemons.assert_remembered()
    assert len(daemons.daemon.streams) == 1


def test_an_edit_that_is_never_completed_changes_nothing(daemons: Succession) -> None:
    daemons.remember()
    client = NativeClient(daemons.daemon.address, [ANN, EVE], deadline_ms=300)
    assert client.senders(BOB) == {ANN}
    stream = daemons.daemon.stream(1)
    stream.send(set_edit(1, EVE))
    assert client.interest(DAN).outcome == "deadline"
    assert client.remembered(BOB) == {ANN}
    # Before the edit came, and perhaps after the question was sent.
    assert len(stream.questions) <= 2
    daemons.daemon.revision = "e:2"
    stream.send(changed("e:2"))
    until(lambda: client.remembered(BOB) == {ANN, EVE}, "the edit is complete")
    assert client.senders(DAN) == {ANN}
    client.close()


def test_only_questions_that_no_daemon_answered_are_repeated(tmp_path: Path) -> None:
    """The same answer would break the contract again, and end the connection each time."""
    daemon = ScriptedDaemon(f"unix:{tmp_path}/d.sock")
    loaded = Loaded("test", address=daemon.address)
    daemon.stream()
    until(lambda: loaded.module._follower is None, "this process writes no presence")
    senders: list[str] = []
    interests: list[bool] = []
    follower: Any = SimpleNamespace(
        record_states=lambda _states: [],
        record_unanswered=senders.extend,
        record_unanswered_interest=lambda: interests.append(True),
    )
    loaded.module._follower = follower
    daemon.states = daemon.interest = undefined_set
    with pytest.MonkeyPatch.context() as patch:
        # Also if other questions had no answer.
        patch.setattr(DaemonHealth, "is_away", True)
        assert loaded.route([state(ANN)]) == {}
        until(lambda: len(daemon.streams) > 1, "the client connects again")
        assert loaded.interest(BOB) == set()
    assert (senders, interests) == ([], [])
    daemon.stop()
    loaded.wait_until_away()
    assert loaded.route([state(EVE)]) == {}
    assert loaded.interest(DAN) == set()
    assert (senders, interests) == ([EVE], [True])
