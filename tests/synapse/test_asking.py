"""How long the mode `exact` keeps the question of a user whose second one never comes."""

import pytest
from fake_api import context, in_reactor
from presence_router.exact.asking import Questions
from synapse.logging.context import LoggingContext

pytestmark = pytest.mark.smoke

FEW, MOST = 20, 100


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def questions(clock: Clock | None = None) -> Questions:
    return Questions(clock or Clock(), few=FEW, most=MOST)


def ask(questions: Questions, finishes: bool) -> LoggingContext:
    """Asks in a log context of its own, which Synapse leaves, or not."""
    within = context()

    async def note() -> None:
        questions.note("@ann:test")

    async def enter() -> None:
        with within:
            await note()

    in_reactor(enter) if finishes else in_reactor(note, within)
    return within


def is_asked(questions: Questions, within: LoggingContext) -> bool:
    async def take() -> bool:
        return questions.take() is not None

    return bool(in_reactor(take, within))


def test_cancelled_questions_are_dropped_and_those_under_way_are_kept() -> None:
    asked = questions()
    under_way = [ask(asked, finishes=False) for _ in range(5)]
    for _ in range(MOST):
        ask(asked, finishes=True)
        assert len(asked._asked) <= FEW + 1
    assert all(is_asked(asked, one) for one in under_way)


def test_the_number_of_questions_is_bounded_and_the_latest_are_kept() -> None:
    asked = questions()
    contexts = [ask(asked, finishes=False) for _ in range(3 * MOST)]
    assert MOST // 2 < len(asked._asked) <= MOST
    assert not is_asked(asked, contexts[0])
    assert all(is_asked(asked, one) for one in contexts[-MOST // 2 :])


def test_an_old_question_is_dropped() -> None:
    clock = Clock()
    asked = questions(clock)
    old = ask(asked, finishes=False)
    clock.now += 3_600
    new = ask(asked, finishes=False)
    assert not is_asked(asked, old) and is_asked(asked, new)
