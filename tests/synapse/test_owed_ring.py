"""A ring that a process owes is asked for, whatever else happens."""

import pytest
from belfry import Belfry, Device
from presence_router.exact.owed_ring import OwedRing
from twisted.internet.task import Clock


class Debt:
    """A process that owes a ring again each time it is asked, if `again` is set."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.is_of_use, self.again = True, False
        self.rings: list[float] = []
        self.owed = OwedRing(self.clock, self.clock.seconds, lambda: self.is_of_use, self._ring)

    def _ring(self) -> None:
        self.rings.append(self.clock.seconds())
        if self.again:
            self.owed.owe()

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)


@pytest.fixture
def debt() -> Debt:
    return Debt()


def test_it_is_paid_after_a_pause(debt: Debt) -> None:
    debt.owed.owe()
    debt.owed.owe()
    debt.pass_time(9)
    assert debt.rings == []
    debt.pass_time(60)
    assert debt.rings == [10]


def test_a_change_pays_it_at_once_and_the_pause_is_kept(debt: Debt) -> None:
    debt.owed.pay()
    debt.owed.owe()
    debt.owed.pay()
    assert debt.rings == [0]
    debt.clock.advance(1)
    debt.owed.owe()
    debt.owed.pay()
    assert debt.rings == [0]
    debt.owed.pay(pause=1)
    assert debt.rings == [0, 1]
    debt.owed.owe()
    debt.pass_time(30)
    assert len(debt.rings) == 3


def test_it_waits_while_it_is_of_no_use(debt: Debt) -> None:
    debt.is_of_use = False
    debt.owed.owe()
    debt.pass_time(100)
    assert debt.rings == []
    debt.is_of_use = True
    debt.pass_time(10)
    assert len(debt.rings) == 1


def test_what_is_owed_again_and_again_is_paid_less_often(debt: Debt) -> None:
    debt.again = True
    debt.owed.owe()
    debt.pass_time(2000)
    assert debt.rings == [10, 30, 70, 150, 310, 630, 950, 1270, 1590, 1910]
    debt.again = False
    debt.pass_time(2000)
    number = len(debt.rings)
    debt.owed.owe()
    debt.pass_time(10)
    assert len(debt.rings) == number + 1, "as soon as at first"


@pytest.mark.parametrize("writes", [True, False])
def test_a_device_without_an_answer_gets_it_though_nothing_changes(writes: bool) -> None:
    ann, bob = "@ann:test", "@bob:test"
    belfry = Belfry({"!a": [ann, bob]})
    writer, worker = belfry.process(writes=True), belfry.process()
    belfry.set_state(ann, "online", "hello")
    belfry.apply([(bob, ann)])
    process = writer if writes else worker
    phone = Device(bob, process)
    phone.sync()
    # One question fails, and the daemon stays connected.
    policy, process.policy = process.policy, None
    belfry.set_state(ann, "unavailable", "missed")
    assert phone.sync() == {}
    process.policy = policy
    belfry.pass_time(15)
    assert phone.sync() == {ann: ("unavailable", "missed")}
    assert phone.sync() == {}
