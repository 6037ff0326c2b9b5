"""A homeserver's end of `RouteStates`. It keeps each answer until a change.

It shows the duties of a client, one request at a time; a real client asks from several
threads. The rules are in the contract, at `RouteStatesResponse`. Any exception means
"no verdict".
"""

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc
from presence_router.v1 import route_states_pb2 as pb
from presence_router.v1.presence_pb2 import Hide, PresenceState
from presence_router.v1.presence_router_pb2_grpc import PresenceRouterServiceStub
from sets import ROOM_CAPABILITIES, Contains, Hides, NoVerdict, Sets, ShareRoom, references


class Refused(Exception):
    """The daemon refused a request. The stream goes on."""


@dataclass
class Answer:
    """The recipients of a sender, or the senders of a recipient."""

    user: str
    _contains: Contains
    hides: Hides = field(default_factory=Hides)
    # The ids of the sets that the answer refers to. None for "nobody".
    sets: frozenset[int] = frozenset()

    def __contains__(self, other: str) -> bool:
        # Team-mates share one set, so it may contain the user that it is for.
        # An unknown fact about rooms shows nothing.
        return other != self.user and self._contains(other, self.user) is True


class Router:
    """One stream at a time, and the answers that are still valid."""

    def __init__(
        self,
        channel: grpc.Channel,
        server_names: Iterable[str],
        share_room: ShareRoom | None = None,
        room_capabilities: Iterable[int] = ROOM_CAPABILITIES,
    ) -> None:
        self._stub = PresenceRouterServiceStub(channel)
        self._server_names = list(server_names)
        self._share_room = share_room
        # Without the function, the daemon must send nothing about rooms.
        self._capabilities = list(room_capabilities) if share_room else []
        self.revision = ""
        self._sets = Sets(share_room)
        self._forget()

    def connect(self) -> None:
        """Opens the stream, for the first time or after it has ended.

        Answers outlive their stream if nothing changed in between. Sets do not.
        """
        if self._sets.are_edited():
            # A user who moved from one list to another is in neither list now, and
            # no `Changed` will name this user.
            self._forget()
        self._sets, self._last_id = Sets(self._share_room), 0
        self._asked: dict[int, list[str]] = {}
        self._ended: Exception | None = None
        self._requests: queue.SimpleQueue[pb.RouteStatesRequest | None] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[pb.RouteStatesResponse | Exception] = queue.SimpleQueue()
        self._call = self._stub.RouteStates(iter(self._requests.get, None), wait_for_ready=True)
        threading.Thread(target=pump, args=(self._call, self._responses), daemon=True).start()

        resume = self.revision
        self._silence: float | None = 10.0
        self._send(
            open=pb.Open(
                server_names=self._server_names,
                resume_revision=resume,
                capabilities=self._capabilities,
            )
        )
        opened = self._receive()
        if opened.WhichOneof("message") != "opened":
            raise self._end(NoVerdict("the stream does not open"))
        self._silence = 2 * opened.opened.heartbeat_interval.ToTimedelta().total_seconds()
        if not resume:
            self.revision = opened.opened.revision
        elif opened.opened.revision != resume:
            # This client does not write answers out, and their sets ended with their
            # stream.
            self._forget()
            self.follow()

    def close(self) -> None:
        """Ends the stream."""
        self._requests.put(None)
        self._call.cancel()

    def audiences(self, senders: Iterable[str]) -> dict[str, Answer]:
        """Returns the recipients of each sender."""
        senders = list(senders)
        self._catch_up()
        # A change while we ask may void answers that we had.
        while unknown := [user for user in senders if user not in self._audiences]:
            states = [PresenceState(user_id=user) for user in unknown]
            self._wait(unknown, batch=pb.StateBatch(batch_id=self._next_id(), states=states))
        return {user: self._audiences[user] for user in senders}

    def interest(self, recipient: str) -> Answer:
        """Returns the senders that a recipient may see."""
        self._catch_up()
        while recipient not in self._interests:
            query = pb.InterestQuery(query_id=self._next_id(), user_id=recipient)
            self._wait([recipient], interest=query)
        return self._interests[recipient]

    def follow(self) -> str:
        """Waits for the next change, and returns the new revision."""
        while self._read() not in ("changed", "reset"):
            pass
        return self.revision

    def _catch_up(self) -> None:
        """Reads the messages that have arrived: they may void answers, or end the stream."""
        if self._ended:
            raise self._ended
        while not self._responses.empty():
            self._read()

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _wait(self, users: list[str], **request: pb.StateBatch | pb.InterestQuery) -> None:
        self._asked[self._last_id] = users
        self._send(**request)
        while self._asked:
            self._read()

    def _send(self, **message: pb.Open | pb.StateBatch | pb.InterestQuery) -> None:
        self._requests.put(pb.RouteStatesRequest(**message))

    def _receive(self) -> pb.RouteStatesResponse:
        try:
            message = self._responses.get(timeout=self._silence)
        except queue.Empty:
            raise self._end(NoVerdict("two heartbeats are missing")) from None
        if isinstance(message, Exception):
            raise self._end(message)
        return message

    def _end(self, why: Exception) -> Exception:
        self.close()
        self._ended = why
        return why

    def _read(self) -> str:
        message = self._receive()
        try:
            return self._take(message)
        except NoVerdict as why:
            raise self._end(why) from None

    def _take(self, message: pb.RouteStatesResponse) -> str:
        kind = message.WhichOneof("message")
        match kind:
            case "set_part":
                self._sets.define(message.set_part)
            case "set_edit":
                self._sets.edit(message.set_edit)
            case "set_retired":
                retired = message.set_retired.id
                self._sets.retire(retired)
                for answers in (self._audiences, self._interests):
                    self._void(answers, lambda answer: retired in answer.sets)
            case "changed":
                self._sets.changed()
                for pairs in (*message.changed.gained, *message.changed.lost):
                    self._void_nobodies(self._audiences, self._sets.compile(pairs.senders))
                    self._void_nobodies(self._interests, self._sets.compile(pairs.recipients))
                self.revision = message.changed.revision
            case "reset":
                self._sets = Sets(self._share_room)
                self._forget()
                self.revision = message.reset.revision
            case "deliveries":
                self._remember_batch(message.deliveries)
            case "interest_answer":
                (user,) = self._asked.pop(message.interest_answer.query_id)
                answer = message.interest_answer
                self._interests[user] = self._answer(user, answer.senders_set_id, answer.hides)
            case "request_error":
                error = message.request_error
                self._asked.pop(error.batch_id or error.query_id)
                raise Refused(error.message)
            case "heartbeat":
                pass
            case _:
                # An unknown message may change sets, so none of them is certain now.
                raise NoVerdict("a message that this client does not know")
        return kind

    def _remember_batch(self, deliveries: pb.Deliveries) -> None:
        users = self._asked.pop(deliveries.batch_id)
        answers = {user: self._answer(user, 0, ()) for user in users}
        for one in deliveries.deliveries:
            for user in (users[index] for index in one.state_indexes):
                answers[user] = self._answer(user, one.recipients_set_id, one.hides)
        self._audiences |= answers

    def _answer(self, user: str, set_id: int, hides: Iterable[Hide]) -> Answer:
        contains = self._sets[set_id] if set_id else lambda _user, _subject: False
        sets = {set_id} if set_id else set()
        sets.update(*(references(hide.users) for hide in hides))
        return Answer(user, contains, self._sets.compile_hides(hides, user), frozenset(sets))

    def _void(self, answers: dict[str, Answer], ends: Callable[[Answer], bool]) -> None:
        for user in [user for user, answer in answers.items() if ends(answer)]:
            del answers[user]

    def _void_nobodies(self, answers: dict[str, Answer], named: Contains) -> None:
        # An answer that refers to a set ends with its set, and not by `Changed`, whose
        # sets never refer to rooms.
        self._void(answers, lambda answer: not answer.sets and named(answer.user, answer.user))

    def _forget(self) -> None:
        self._audiences: dict[str, Answer] = {}
        self._interests: dict[str, Answer] = {}


def pump(call: Iterable[pb.RouteStatesResponse], responses: queue.SimpleQueue) -> None:
    """Moves messages from the stream to a queue, so that a reader can wait with a timeout."""
    try:
        for message in call:
            responses.put(message)
        responses.put(NoVerdict("the stream ended"))
    except grpc.RpcError as why:
        responses.put(why)
