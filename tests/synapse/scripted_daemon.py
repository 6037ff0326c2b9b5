"""A daemon that sends what a test tells it to: any bytes, a status, or the end of a stream."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from contract_bytes import (
    BATCH,
    CAPABILITY_TOUCH,
    INTEREST,
    OPEN,
    deliveries,
    field,
    interest_answer,
    opened,
    read_fields,
    set_part,
    status_details,
    text,
)
from daemon import until

grpc = pytest.importorskip("grpc", reason="installed beside the newest Synapse only")


@dataclass
class Refusal:
    """The end of a call with a status, and with the stable reason if there is one."""

    code: Any
    reason: str = ""

    def abort(self, context: Any) -> None:
        if self.reason:
            details = status_details(self.code.value[0], self.reason)
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(self.code, "not from me")


# What to send: a message, or the end of the stream with or without a status.
Message = bytes | Refusal | None


@dataclass
class Question:
    """A batch, or a query for the interest of one user."""

    stream: "Stream"
    id: int
    is_batch: bool
    users: list[str]

    def define_set(self, content: bytes, new: bytes = b"") -> tuple[int, bytes]:
        """The number of a new set, and the message that defines it."""
        self.stream.last_set += 1
        return self.stream.last_set, set_part(self.stream.last_set, content, new=new)

    def answer_with(self, set_id: int, more: bytes = b"", new: bytes = b"") -> bytes:
        """The answer by a set for all users of the question; 0: nobody. `more`: further fields
        of a `Delivery` or `InterestAnswer`. `new`: of `Deliveries`, or the latter."""
        revision = self.stream.daemon.revision
        if not self.is_batch:
            return interest_answer(self.id, revision, set_id, more + new)
        indexes = list(range(len(self.users)))
        entries = [(set_id, indexes, more)] if set_id else []
        return deliveries(self.id, revision, *entries, new=new)


# What to send in answer to a question.
Script = Callable[[Question], list[Message]]


def shows(content: bytes, more: bytes = b"", new: bytes = b"") -> Script:
    """Answers with a set: of this content, with these further fields."""

    def answer(question: Question) -> list[Message]:
        number, part = question.define_set(content, new)
        return [part, question.answer_with(number, more, new)]

    return answer


def shows_nobody(question: Question) -> list[Message]:
    return [question.answer_with(0)]


def sends(*messages: Message) -> Script:
    """Sends messages that do not depend on the question."""
    return lambda _question: list(messages)


class Stream:
    """One `RouteStates` stream."""

    def __init__(self, daemon: "ScriptedDaemon") -> None:
        self.daemon = daemon
        self.last_set = 0
        # The message `Open`, the questions, and all messages by their kinds.
        self.open = b""
        self.questions: list[Question] = []
        self.kinds: list[int] = []
        # Set once the client or the daemon has ended the stream.
        self.ended = threading.Event()
        self.outgoing: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.outgoing.put(message)

    def read(self, requests: Iterator[bytes]) -> None:
        """Reads requests until the client ends the stream."""
        try:
            for request in requests:
                ((kind, message),) = read_fields(request)
                assert isinstance(message, bytes)
                self._handle(kind, message)
        except grpc.RpcError:
            # The call ended.
            pass
        finally:
            self.ended.set()
            self.send(None)

    def _handle(self, kind: int, message: bytes) -> None:
        self.kinds.append(kind)
        if kind == OPEN:
            self.open = message
            self.daemon.streams.append(self)
            self.send(*self.daemon.opening(self))
        elif kind in (BATCH, INTEREST):
            fields = read_fields(message)
            (number,) = (value for key, value in fields if key == 1)
            assert isinstance(number, int)
            if kind == BATCH:
                states = [value for key, value in fields if key == 3]
                senders = [text(state, 1) for state in states if isinstance(state, bytes)]
                question = Question(self, number, True, senders)
            else:
                question = Question(self, number, False, [text(message, 3)])
            self.questions.append(question)
            script = self.daemon.states if question.is_batch else self.daemon.interest
            self.send(*script(question))

    @property
    def resumed_from(self) -> str:
        """The revision that the client resumes from, "" for none."""
        return text(self.open, 2)

    @property
    def has_budget(self) -> bool:
        """True if the client asks the daemon to keep a budget for sets."""
        return any(key == 3 and value for key, value in read_fields(self.open))


class ScriptedDaemon(grpc.GenericRpcHandler):  # type: ignore[misc, name-defined]
    """A daemon whose answers a test chooses. The client keeps the answers of one such daemon
    with the next one at the same address if that has the same revision."""

    def __init__(
        self,
        address: str,
        revision: str = "e:1",
        capabilities: tuple[int, ...] = (CAPABILITY_TOUCH,),
        begins: list[Message] | None = None,
        accepts_budget: bool = True,
        is_presence_router: bool = True,
    ) -> None:
        self.address = address
        self.revision = revision
        self.capabilities = capabilities
        # What a stream begins with, instead of `Opened`; and the answers.
        self.begins = begins
        self.interest: Script = shows_nobody
        self.states: Script = shows_nobody
        self.streams: list[Stream] = []
        self._accepts_budget = accepts_budget
        self._is_presence_router = is_presence_router
        self._server = grpc.server(ThreadPoolExecutor(64), handlers=[self])
        self._server.add_insecure_port(address)
        self._server.start()

    def opening(self, stream: Stream) -> list[Message]:
        if stream.has_budget and not self._accepts_budget:
            return [Refusal(grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")]
        if self.begins is not None:
            return self.begins
        return [opened(self.revision, *self.capabilities)]

    def stream(self, number: int = 0) -> Stream:
        """A stream by its number, from 0: waits until the client has opened it."""
        until(lambda: len(self.streams) > number, f"the client opens stream {number}")
        return self.streams[number]

    def service(self, call: Any) -> Any:
        name = call.method.rpartition("/")[2]
        if not self._is_presence_router:
            return None
        if name == "RouteStates":
            return grpc.stream_stream_rpc_method_handler(self._route_states)
        if name == "GetUsersForStates":
            # To a question about no states.
            return grpc.unary_unary_rpc_method_handler(lambda *_: field(1, self.revision))
        return None

    def _route_states(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        stream = Stream(self)
        threading.Thread(target=stream.read, args=(requests,), daemon=True).start()
        while (message := stream.outgoing.get()) is not None:
            if isinstance(message, Refusal):
                stream.ended.set()
                message.abort(context)
            else:
                yield message
        stream.ended.set()

    def stop(self) -> None:
        self._server.stop(None).wait()
