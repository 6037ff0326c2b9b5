"""The policy changes under a real Synapse, and who sees whom follows it."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import World, start_world
from matrix import POLL, User
from policies import allow
from presence_router import follow
from synapse.module_api import UserID, UserPresenceState


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, interface: str) -> Iterator[World]:
    yield from start_world(tmp_path_factory.mktemp("follow"), interface, deadline_ms=500)


def status(user: User) -> dict[str, Any]:
    """What Synapse itself has of a user's presence."""
    answer = user._session.get(f"{user._url}/presence/{user.id}/status")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_who_comes_to_see_somebody_gets_that_presence(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([])
    ann.set_presence("unavailable", "lunch")
    bob.sync()
    poll = bob.poll()
    # Nobody does anything but the operator.
    world.daemon.apply([allow(ann, bob)])
    came = poll.result(2 * POLL)[ann.id]
    assert (came["presence"], came["status_msg"]) == ("unavailable", "lunch")
    own = status(ann)
    assert (own["presence"], own["status_msg"]) == ("unavailable", "lunch"), "nothing was lost"
    # No device came into being that would keep her from going.
    ann.set_presence("offline", "gone")
    bob.sync_until_status(ann, "gone")
    assert bob.sees[ann.id]["presence"] == "offline"
    assert status(ann)["presence"] == "offline"


def test_a_recipient_may_be_cheaper_than_many_senders(world: World) -> None:
    senders = world.users(*(f"sender{i}" for i in range(4)))
    (bob,) = world.users("bob")
    world.daemon.apply([])
    for sender in senders:
        sender.set_presence("online", f"hello from {sender.id}")
    # Of one who never had a presence nobody knows whether he exists.
    bob.set_presence("online")
    bob.set_presence("offline")
    bob.sync()
    before = followed(world, "recipients")
    group = {"senders": [sender.id for sender in senders]}
    world.daemon.apply([allow({"group": "senders"}, bob)], group)
    for sender in senders:
        bob.sync_until_status(sender, f"hello from {sender.id}")
    assert followed(world, "recipients") == before + 1
    assert status(bob)["presence"] == "offline"


def test_who_loses_sight_gets_no_more(world: World) -> None:
    ann, bob, eve = world.users("ann", "bob", "eve")
    world.daemon.apply([allow(ann, bob), allow(eve, bob)])
    ann.set_presence("online", "before")
    bob.sync_until_status(ann, "before")
    world.daemon.apply([allow(eve, bob)])
    ann.set_presence("online", "after")
    eve.set_presence("online", "a marker")
    bob.sync_until_status(eve, "a marker")
    assert (ann.id, "after") not in bob.statuses()


def test_after_a_restart_of_the_daemon_who_had_no_answer_is_told(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    bob.sync()
    world.daemon.kill()
    # Nobody asked for her recipients before, so memory has no answer, and nobody is woken.
    poll = bob.poll()
    ann.set_presence("online", "while it was away")
    world.daemon.start()
    assert poll.result()[ann.id]["status_msg"] == "while it was away"
    bob.sync_until_status(ann, "while it was away")


def followed(world: World, what: str) -> float:
    return sum(
        value
        for name, value in world.homeserver.metrics().items()
        if name == f'presence_router_followed_total{{what="{what}"}}'
    )


class Api:
    """What a follower needs of Synapse, and a note of what it did."""

    server_name = "test"

    def __init__(self, writes: bool = True) -> None:
        self.writes = writes
        self.sent: list[Any] = []
        self.slept: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []
        # Set when there are no more changes: whoever sleeps, sleeps until then.
        self.over = asyncio.Event()

    async def set_presence_for_users(self, users: dict[str, Any]) -> None:
        assert self.writes
        if users:
            self.sent.append(dict(users))

    async def send_local_online_presence_to(self, users: list[str]) -> None:
        self.sent.append(list(users))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.over.wait()

    async def run_db_interaction(self, _desc: str, _func: Any) -> dict[str, Any]:
        return {"@db:test": ("online", "stored"), "@ann:test": ("offline", None)}

    def run_as_background_process(self, _desc: str, func: Any) -> None:
        self.tasks.append(asyncio.ensure_future(func()))


class Stage:
    """A follower in a process that writes presence, with an hour that the test sets."""

    def __init__(self, api: Api, stale_for: int = 60) -> None:
        self.now = 1000.0
        self.follower = follow.Follower(
            api,
            100,
            stale_for,
            lambda: self.now,  # type: ignore[arg-type]
        )

    def see(self, *states: tuple[str, str, str | None]) -> list[str]:
        """Synapse passes states; answers those who never had one before."""
        return self.follower.record_states(
            SimpleNamespace(user_id=user_id, state=state, status_msg=text)  # type: ignore[misc]
            for user_id, state, text in states
        )

    def happen(self, *events: tuple[str, str, Any]) -> None:
        """The connection has these events."""
        for kind, _, gains in events:
            self.follower.handle(kind, gains or [])


def perform(act: Callable[[Stage], None], api: Api, **stage: Any) -> Any:
    """What is sent for all that a test does, once the states from before are read."""

    async def run() -> None:
        on = Stage(api, **stage)
        await on.follower.seed()
        act(on)
        api.over.set()
        await asyncio.gather(*api.tasks)

    asyncio.run(run())
    return api.sent


def play(events: list[tuple[str, str, Any]], api: Api, *states: tuple[str, str, str | None]) -> Any:
    """What is sent for some events of the connection."""

    def act(on: Stage) -> None:
        on.see(*states)
        on.happen(*events)

    return perform(act, api)


ANN = ("@ann:test", "online", "hi")
JOE = ("@joe:test", "online", None)
BOB = ("@bob:test", "offline", None)
SUE = ("@sue:test", "online", "new")


def gained(senders: list[Any], recipients: list[Any] | None, remote: bool = False) -> Any:
    return ("gained", "", [([user[0] for user in senders], recipients, remote)])


def test_the_cheaper_side_is_taken_where_it_does_no_harm() -> None:
    both = {"@ann:test": ("online", "hi"), "@joe:test": ("online", None)}
    assert play([gained([ANN, JOE], ["@bob:test"])], Api(), ANN, JOE, BOB) == [["@bob:test"]]
    # His status text would be lost, he would seem online, he is not alone, or not all.
    for bob in (("@bob:test", "offline", "text"), ("@bob:test", "online", None)):
        assert play([gained([ANN, JOE], ["@bob:test"])], Api(), ANN, JOE, bob) == [both]
    assert play([gained([ANN, JOE], ["@never-met:test"])], Api(), ANN, JOE) == [both]
    assert play([gained([ANN, JOE], None)], Api(), ANN, JOE) == [both]
    assert play([gained([ANN, JOE], ["@bob:test"], True)], Api(), ANN, JOE, BOB) == [both]
    assert play([gained([ANN], ["@bob:test"])], Api(), ANN, BOB) == [
        {"@ann:test": ("online", "hi")}
    ]


def test_who_is_offline_is_not_sent_again() -> None:
    assert play([gained([BOB], None)], Api(), BOB) == []


def test_what_a_user_has_just_set_is_not_undone() -> None:
    # Synapse has it, and is still writing it: no callback has seen it yet.
    now = {"@ann:test": ("unavailable", "new"), "@joe:test": ("offline", None)}

    class Handler:
        async def current_state_for_users(self, users: list[str]) -> dict[str, Any]:
            states = {user: now[user] for user in users}
            return {
                user: SimpleNamespace(state=state, status_msg=text)
                for user, (state, text) in states.items()
            }

    api = Api()
    api._hs = SimpleNamespace(get_presence_handler=Handler)  # type: ignore[attr-defined]
    sent = play([gained([ANN, JOE], None)], api, ANN, JOE)
    assert sent == [{"@ann:test": ("unavailable", "new")}]


def test_changes_are_coalesced() -> None:
    changes = [gained([ANN], None), gained([JOE], None), gained([ANN, JOE], None)]
    sent = play(changes, Api(), ANN, JOE)
    assert sorted(user for some in sent for user in some) == ["@ann:test", "@joe:test"]


EVERYBODY = {"@ann:test": ("online", "hi"), "@db:test": ("online", "stored")}


def outage(
    seconds: float, meanwhile: Callable[[Stage], None], kind: str = "disconnected", **stage: Any
) -> Any:
    """What is sent after an outage of some seconds."""

    def act(on: Stage) -> None:
        on.see(ANN, BOB)
        on.happen(("connected", "", None), (kind, "gone", None))
        meanwhile(on)
        on.now += seconds
        on.happen(("connected", "", None))

    return perform(act, Api(), **stage)


def nothing(_on: Stage) -> None:
    pass


def test_after_an_outage_with_answers_from_memory_nobody_is_sent_again() -> None:
    assert outage(59, nothing) == []
    # Their last answers had ended, or there never were any.
    assert outage(60, nothing) == [EVERYBODY]
    assert outage(0, nothing, stale_for=0) == [EVERYBODY]
    assert outage(5, nothing, "refused") == [EVERYBODY]


def test_who_had_no_answer_in_an_outage_is_sent_again_and_nobody_else() -> None:
    def unanswered(on: Stage) -> None:
        on.see(JOE, BOB)
        on.follower.record_unanswered([JOE[0], BOB[0]])

    assert outage(5, unanswered) == [{"@joe:test": ("online", None)}]

    def answered_later(on: Stage) -> None:
        unanswered(on)
        on.see(JOE)

    assert outage(5, answered_later) == []


def test_when_a_users_interest_had_no_answer_everybody_is_sent_again() -> None:
    assert outage(5, lambda on: on.follower.record_unanswered_interest()) == [EVERYBODY]

    # Once.
    def twice(on: Stage) -> None:
        on.follower.record_unanswered_interest()
        on.happen(("connected", "", None), ("disconnected", "again", None))

    assert outage(5, twice) == [EVERYBODY]


def test_a_daemon_that_hung_without_an_outage_costs_only_those_without_an_answer() -> None:
    def act(on: Stage) -> None:
        on.see(ANN, JOE)
        on.happen(("connected", "", None))
        on.follower.record_unanswered([JOE[0]])
        on.follower.send_missed()

    assert perform(act, Api()) == [{"@joe:test": ("online", None)}]


def test_a_user_who_synced_during_a_hang_gets_everybody() -> None:
    def act(on: Stage) -> None:
        on.see(ANN)
        on.happen(("connected", "", None))
        on.follower.record_unanswered_interest()
        on.follower.send_missed()
        # The interest is no reason any more.
        on.happen(("disconnected", "gone", None), ("connected", "", None))

    api = Api()
    assert perform(act, api) == [EVERYBODY]
    assert len(api.tasks) == 1


def test_everybody_is_sent_for_outages_at_most_once_in_ten_minutes() -> None:
    """As with an answer that ends the connection, and that is asked for once more whenever
    everybody is sent."""

    async def run() -> None:
        api, refusals = Api(), [("refused", "not understood", None), ("connected", "", None)]
        on = Stage(api)
        await on.follower.seed()
        on.see(ANN)

        async def settle() -> None:
            """Ends all pauses that have begun."""
            api.over.set()
            for _ in range(20):
                await asyncio.sleep(0)
            api.over.clear()

        on.happen(*refusals)
        await settle()
        assert api.sent == [EVERYBODY]
        for _ in range(50):
            on.now += 1
            on.happen(*refusals)
        on.follower.record_unanswered([ANN[0]])
        on.follower.send_missed()
        await asyncio.sleep(0)
        # One task waits for the rest of the time.
        assert [pause for pause in api.slept if pause > 10] == [599]
        on.now += 1
        on.happen(("disconnected", "gone", None))
        # Who had no answer does not wait, and is sent with the end of the pause.
        await settle()
        assert api.sent == [EVERYBODY, {"@ann:test": ("online", "hi")}]
        # Then the time is over, but without a connection nobody has an answer.
        on.now += 599
        await settle()
        assert len(api.sent) == 2
        on.happen(("connected", "", None))
        await settle()
        assert api.sent[2:] == [EVERYBODY]
        # A refusal lately: the task sends by itself once the time is over.
        on.happen(*refusals)
        on.now += 600
        await settle()
        await settle()
        assert api.sent[3:] == [EVERYBODY]
        # The event "reset" has no limit.
        on.happen(("reset", "", None))
        await settle()
        assert api.sent[4:] == [EVERYBODY]

    asyncio.run(run())


def test_a_refusal_after_the_end_of_the_connection_ends_answers_in_memory() -> None:
    assert outage(5, lambda on: on.happen(("refused", "not yours", None))) == [EVERYBODY]


def test_everybody_is_sent_after_a_reset() -> None:
    assert play([("connected", "", None), ("reset", "", None)], Api(), ANN) == [EVERYBODY]
    assert play([("connected", "", None)], Api(), ANN) == []


def test_who_appears_and_is_shown_to_somebody_is_sent_again_once() -> None:
    def act(on: Stage) -> None:
        shown = UserPresenceState.default(SUE[0])
        assert on.see(SUE, JOE, ("@db:test", "online", "later")) == [SUE[0], JOE[0]]
        # Nobody may see Joe.
        on.follower.record_new([SUE[0], JOE[0]], {"@bob:test": {shown}})
        assert on.see(SUE) == []

    assert perform(act, Api()) == [{"@sue:test": ("online", "new")}]


def test_what_happens_before_the_earlier_states_are_read_concerns_everybody() -> None:
    for event, stage in (
        (gained([ANN], None), {}),
        (("reset", "", None), {}),
        (("connected", "", None), {"stale_for": 0}),
    ):
        api = Api()

        async def run() -> None:
            on = Stage(api, **stage)
            assert on.see(ANN) == [], "not known to be new"
            on.happen(("disconnected", "", None), event)
            assert api.tasks == []
            await on.follower.seed()
            api.over.set()
            await asyncio.gather(*api.tasks)

        asyncio.run(run())
        assert api.sent == [EVERYBODY], event


def test_who_is_refused_costs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    class Strict(Api):
        async def set_presence_for_users(self, users: dict[str, Any]) -> None:
            # As Synapse does, after it has stored them.
            for user_id in users:
                UserID.from_string(user_id)
            # As a database does: there may be anything in a state from elsewhere.
            if "@foe:there" in users:
                raise OverflowError
            await super().set_presence_for_users(users)

    crowd = [(f"@user{i}:test", "online", None) for i in range(30)]
    foes = [(f"foe{i}:there", "online", None) for i in range(30)]
    states = [*crowd, *foes, ("@foe:there", "online", None)]
    sent = play([gained(states, None)], Strict(), *states)
    assert sorted(user for some in sent for user in some) == sorted(user for user, *_ in crowd)
    assert caplog.text.count("Cannot send presence again") == 1


def test_only_who_writes_presence_sends_any() -> None:
    assert asyncio.run(Stage(Api()).follower.writes_presence())
    assert not asyncio.run(Stage(Api(writes=False)).follower.writes_presence())


def test_a_thousand_go_in_batches() -> None:
    crowd = [(f"@user{i}:test", "online", None) for i in range(1000)]
    sent = play([gained(crowd, None)], Api(), *crowd)
    assert {len(some) for some in sent} == {10}
    assert len({user for some in sent for user in some}) == 1000


def test_a_failure_is_said_and_the_next_change_followed(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Api):
        async def set_presence_for_users(self, users: dict[str, Any]) -> None:
            if users:
                raise RuntimeError("no database")

    assert play([gained([ANN], None)], Failing(), ANN) == []
    assert "Cannot send presence again" in caplog.text


def test_an_old_synapse_is_told_to_be_one(caplog: pytest.LogCaptureFixture) -> None:
    class Old(Api):
        set_presence_for_users = property()  # type: ignore[assignment]

    assert not asyncio.run(Stage(Old()).follower.writes_presence())
    assert "too old" in caplog.text
