"""Kept answers follow the daemon: a reload, a restart, and every message that the
contract has for changes, also those that no daemon sends yet.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from daemon import LONG, Daemon
from presence_router.v1 import presence_router_pb2_grpc as services
from presence_router.v1 import route_states_pb2 as pb
from presence_router.v1.presence_pb2 import PRESENCE_FIELD_STATUS_MSG, Hide
from presence_router.v1.sets_pb2 import SetExpression, UserList
from router import NoVerdict, Router
from sets import FIELDS

ANN, JOE, SUE = "@ann:example.org", "@joe:example.org", "@sue:example.org"
ANY = "@any:example.org"


def shown_to(recipient: str) -> str:
    return f'{{"rules": [{{"name": "r", "allow": {{"from": "{ANN}", "to": "{recipient}"}}}}]}}'


Connect = Callable[[Any, list[str]], Router]


def test_a_reload_is_followed(start: Callable[[str], Daemon], connect: Connect) -> None:
    daemon = start(shown_to(JOE))
    router = connect(daemon, ["example.org"])
    before = router.revision
    assert JOE in router.audiences([ANN])[ANN]

    daemon.reload(shown_to(SUE))
    assert router.follow() != before
    audience = router.audiences([ANN])[ANN]
    assert SUE in audience and JOE not in audience
    assert ANN in router.interest(SUE) and ANN not in router.interest(JOE)


def test_a_reload_is_heard_of_by_who_only_asks(
    start: Callable[[str], Daemon], connect: Connect
) -> None:
    daemon = start(shown_to(JOE))
    router = connect(daemon, ["example.org"])
    assert JOE in router.audiences([ANN])[ANN]
    daemon.reload(shown_to(SUE))
    until = time.monotonic() + LONG / 10
    while JOE in router.audiences([ANN])[ANN]:
        assert time.monotonic() < until
    daemon.end(signal.SIGKILL)
    with pytest.raises((grpc.RpcError, NoVerdict)):
        while True:
            assert SUE in router.audiences([ANN])[ANN]
            assert time.monotonic() < until


def test_a_restart_is_survived(start: Callable[[str], Daemon], connect: Connect) -> None:
    daemon = start(shown_to(JOE))
    router = connect(daemon, ["example.org"])
    before = router.revision
    assert JOE in router.audiences([ANN])[ANN]

    daemon.end(signal.SIGKILL)
    with pytest.raises((grpc.RpcError, NoVerdict)):
        router.follow()
    daemon.start(shown_to(SUE))
    # The revision is of another history: `Reset`, or Joe would stay.
    router.connect()
    assert router.revision != before
    audience = router.audiences([ANN])[ANN]
    assert SUE in audience and JOE not in audience


def test_a_hide_of_meanwhile_is_known(start: Callable[[str], Daemon], connect: Connect) -> None:
    daemon = start(shown_to(JOE))
    router, other = (connect(daemon, ["example.org"]) for _ in range(2))
    assert not router.audiences([ANN])[ANN].hides.for_user(JOE, "online")

    router.close()
    hide = f'{{"name": "h", "hide": {{"from": "{ANN}", "to": "{JOE}", "fields": ["status_msg"]}}}}'
    daemon.reload(shown_to(JOE).replace("]}", f", {hide}]}}"))
    other.follow()
    router.connect()
    assert router.revision == other.revision
    audience = router.audiences([ANN])[ANN]
    assert JOE in audience and audience.hides.for_user(JOE, "online") == {PRESENCE_FIELD_STATUS_MSG}


# --- messages that no daemon sends on request


class Scripted(services.PresenceRouterServiceServicer):
    """Answers each request, also `Open`, with the messages that a test wrote."""

    def __init__(self, script: list[list[pb.RouteStatesResponse]]) -> None:
        self._script = iter(script)

    def RouteStates(
        self, requests: Iterator[pb.RouteStatesRequest], _context: grpc.ServicerContext
    ) -> Iterator[pb.RouteStatesResponse]:
        for _ in requests:
            yield from next(self._script)


@pytest.fixture
def scripted(connect: Connect) -> Iterator[Callable[..., Router]]:
    servers = []

    def serve(*script: list[pb.RouteStatesResponse]) -> Router:
        server = grpc.server(futures.ThreadPoolExecutor(2))
        services.add_PresenceRouterServiceServicer_to_server(Scripted(list(script)), server)
        servers.append(server)

        class Address:
            address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"

        server.start()
        return connect(Address, ["example.org"])

    yield serve
    for server in servers:
        server.stop(None)


def told(**message: Any) -> pb.RouteStatesResponse:
    return pb.RouteStatesResponse(**message)


def opened(seconds: float = LONG) -> list[pb.RouteStatesResponse]:
    message = pb.Opened(revision="e:1")
    message.heartbeat_interval.FromNanoseconds(int(seconds * 1e9))
    return [told(opened=message)]


def users(*ids: str) -> SetExpression:
    return SetExpression(users=UserList(user_ids=ids))


def defined(set_id: int, *ids: str) -> list[pb.RouteStatesResponse]:
    """A set in a part for each user."""
    parts = [pb.SetPart(id=set_id, users=UserList(user_ids=[user])) for user in ids]
    parts[-1].last = True
    return [told(set_part=part) for part in parts]


def delivered(batch_id: int, set_id: int, *hides: Hide) -> pb.RouteStatesResponse:
    one = pb.Delivery(recipients_set_id=set_id, state_indexes=[0], hides=hides)
    return told(deliveries=pb.Deliveries(batch_id=batch_id, revision="e:1", deliveries=[one]))


def sees(query_id: int, set_id: int) -> pb.RouteStatesResponse:
    answer = pb.InterestAnswer(query_id=query_id, revision="e:1", senders_set_id=set_id)
    return told(interest_answer=answer)


def test_changed_voids_nobodies_that_it_names(scripted: Any) -> None:
    gained = pb.PairProduct(senders=users(ANN), recipients=users(SUE))
    router = scripted(
        opened(),
        [*defined(1, JOE), delivered(1, 1)],
        [sees(2, 0)],
        [
            sees(3, 0),
            told(set_edit=pb.SetEdit(id=1, removed=[JOE], added=[SUE])),
            told(changed=pb.Changed(revision="e:2", gained=[gained])),
        ],
        # The router asks about Sue again. It keeps the answer about Ann, which refers to a
        # set, and that about Joe, whom `Changed` does not name.
        [*defined(2, ANN), sees(4, 2)],
    )
    assert JOE in router.audiences([ANN])[ANN]
    assert ANN not in router.interest(JOE)
    assert ANN not in router.interest(SUE)
    assert router.follow() == router.revision == "e:2"
    audience = router.audiences([ANN])[ANN]
    assert SUE in audience and JOE not in audience
    assert ANN not in router.interest(JOE)
    assert ANN in router.interest(SUE)


def test_a_retired_set_voids_the_answers_that_refer_to_it(scripted: Any) -> None:
    def retired(set_id: int) -> list[pb.RouteStatesResponse]:
        retired = told(set_retired=pb.SetRetired(id=set_id))
        return [retired, told(changed=pb.Changed(revision="e:2"))]

    hide = Hide(users=SetExpression(set_id=2))
    router = scripted(
        opened(),
        [*defined(1, JOE), *defined(2, JOE), delivered(1, 1, hide)],
        [*defined(3, ANN), sees(2, 3), *retired(1)],
        [*defined(4, SUE), delivered(3, 4, hide), *retired(2)],
        [*defined(5, JOE), delivered(4, 5)],
    )
    assert JOE in router.audiences([ANN])[ANN]
    assert ANN in router.interest(SUE)
    router.follow()
    assert SUE in router.audiences([ANN])[ANN]
    router.follow()
    # The set of a hide was retired.
    assert JOE in router.audiences([ANN])[ANN]
    assert ANN in router.interest(SUE), "her set is another"


def test_a_stream_that_ends_amid_edits_voids_answers(scripted: Any) -> None:
    router = scripted(
        opened(),
        [*defined(1, JOE), delivered(1, 1)],
        # Joe moves to another list; the stream ends before it defines this list.
        [
            told(set_edit=pb.SetEdit(id=1, removed=[JOE])),
            told(interest_answer=pb.InterestAnswer(query_id=2, revision="e:1")),
        ],
        opened(),
        [*defined(1, JOE), delivered(1, 1)],
    )
    assert JOE in router.audiences([ANN])[ANN]
    router.interest(SUE)
    router.close()
    router.connect()
    assert JOE in router.audiences([ANN])[ANN]


def test_an_answer_outlives_a_stream_if_nothing_changes(scripted: Any) -> None:
    router = scripted(opened(), [*defined(1, JOE), delivered(1, 1)], opened())
    assert JOE in router.audiences([ANN])[ANN]
    router.close()
    router.connect()
    assert JOE in router.audiences([ANN])[ANN]


def test_an_answer_is_remembered_until_then(scripted: Any) -> None:
    router = scripted(opened(), [*defined(1, JOE), delivered(1, 1)])
    for _ in range(2):
        assert JOE in router.audiences([ANN])[ANN]


def test_a_hide_is_kept_and_an_unknown_field_hides_all(scripted: Any) -> None:
    hides = [
        Hide(users=users(JOE), fields=[2], unless_presence=["online"]),
        Hide(users=users(SUE), fields=[2, 99]),
        # The contract does not allow a hide without fields.
        Hide(users=users(ANY)),
    ]
    router = scripted(opened(), [*defined(1, JOE, SUE, ANY), delivered(1, 1, *hides)])
    audience = router.audiences([ANN])[ANN]
    assert audience.hides.for_user(JOE, "online") == set()
    assert audience.hides.for_user(JOE, "busy") == {2}
    assert audience.hides.for_user(SUE, "online") == FIELDS
    assert audience.hides.for_user(ANY, "online") == FIELDS


def test_an_unknown_message_ends_the_stream(scripted: Any) -> None:
    router = scripted(opened(), [pb.RouteStatesResponse.FromString(b"\xfa\x06\x00")])
    with pytest.raises(NoVerdict, match="does not know"):
        router.audiences([ANN])


def test_silence_means_unreachable(scripted: Any) -> None:
    router = scripted(opened(0.05), [])
    with pytest.raises(NoVerdict, match="heartbeats"):
        router.audiences([ANN])
