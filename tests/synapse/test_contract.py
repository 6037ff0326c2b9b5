"""Daemons of a later and of an earlier contract, and what is none: whatever comes,
what the module cannot be sure to understand is no verdict, and nothing is raised."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from daemon import SERVER
from fake_api import Loaded, context, state
from prometheus_client import REGISTRY

grpc = pytest.importorskip("grpc", reason="installed beside the newest Synapse only")

ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
STATES = [state(ANN), state(EVE)]


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a protobuf message, written by hand: any number, known or not."""
    if isinstance(value, int):
        return bytes(varint(number << 3)) + bytes(varint(value))
    value = value.encode() if isinstance(value, str) else value
    return bytes(varint(number << 3 | 2)) + bytes(varint(len(value))) + value


def varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


EVERYONE = field(2, b"")
# A kind of set that nobody knows yet.
UNKNOWN = field(14, field(1, "what this is, who knows"))


def users(*ids: str) -> bytes:
    return field(1, b"".join(field(1, one) for one in ids))


def difference(any_of: bytes, without: bytes) -> bytes:
    return field(8, field(1, any_of) + field(2, without))


def union(*sets: bytes) -> bytes:
    return field(6, b"".join(field(1, one) for one in sets))


class Speaking(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A daemon that says what it is told to: bytes, or a status code."""

    def __init__(self, address: str) -> None:
        self.interest: bytes | Any = b""
        self.states: bytes | Any = b""
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=[self])
        self._server.add_insecure_port(address)
        self._server.start()

    def service(self, call: Any) -> Any:
        name = call.method.rpartition("/")[2]
        said = {"GetInterestedUsers": self.interest, "GetUsersForStates": self.states}.get(name)
        if said is None:
            return None

        def answer(_request: bytes, context: Any) -> bytes:
            if not isinstance(said, bytes):
                context.abort(said, "not from me")
            return said

        return grpc.unary_unary_rpc_method_handler(answer)

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Speaking, Loaded]]:
    address = f"unix:{tmp_path}/d.sock"
    daemon = Speaking(address)
    yield daemon, Loaded(SERVER, [ANN, EVE], address=address)
    daemon.stop()


def count(callback: str, outcome: str) -> float:
    labels = {"callback": callback, "outcome": outcome}
    return REGISTRY.get_sample_value("presence_router_requests_total", labels) or 0


def test_what_is_new_beside_what_we_know_is_passed_over(daemon: tuple[Speaking, Loaded]) -> None:
    speaking, loaded = daemon
    new = field(99, "new") + field(100, 7)
    speaking.interest = new + field(1, "e:1") + field(2, ANN) + new
    assert loaded.interest(BOB) == {ANN}
    recipient = new + field(1, BOB) + field(2, 0) + new
    speaking.states = field(2, recipient) + new
    assert loaded.route(STATES) == {BOB: {STATES[0]}}
    # Nothing at all: nobody, and that is an answer.
    speaking.interest = speaking.states = b""
    assert loaded.interest(BOB) == set()
    assert loaded.route(STATES) == {}


@pytest.mark.parametrize(
    "unknown",
    [
        UNKNOWN,
        b"",
        union(users(ANN), UNKNOWN),
        difference(UNKNOWN, users(EVE)),
        difference(EVERYONE, UNKNOWN),
    ],
    ids=["a kind", "none", "in a union", "less somebody", "as an exception"],
)
def test_a_set_of_an_unknown_kind_is_no_verdict(
    daemon: tuple[Speaking, Loaded], unknown: bytes
) -> None:
    speaking, loaded = daemon
    loaded.interest(BOB)
    before = count("get_interested_users", "unusable"), count("get_users_for_states", "unusable")
    speaking.interest = field(2, ANN) + field(3, unknown)
    assert loaded.interest(BOB, context()) == set()
    listed = field(1, BOB) + field(2, 0)
    speaking.states = field(2, listed) + field(3, field(1, unknown) + field(2, 0))
    assert loaded.route(STATES) == {}
    # Of whom something is hidden, likewise.
    speaking.interest = field(2, ANN) + field(4, field(1, unknown) + field(2, 2))
    assert loaded.interest(BOB) == set()
    after = count("get_interested_users", "unusable"), count("get_users_for_states", "unusable")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


def test_a_field_of_an_unknown_kind_hides_everything(daemon: tuple[Speaking, Loaded]) -> None:
    speaking, loaded = daemon
    hide = field(1, users(EVE)) + field(2, 77)
    speaking.interest = field(2, ANN) + field(2, EVE) + field(4, hide)
    assert loaded.interest(BOB) == {ANN}
    speaking.interest = field(3, EVERYONE) + field(4, hide)
    assert loaded.interest(BOB, context()) == {ANN}
    # Where Synapse can show less: offline, and no more than that.
    away = EVE.replace(SERVER, "there")
    listed = field(1, away) + field(2, 0)
    hidden = field(1, field(1, users(away)) + field(2, 77)) + field(2, 0)
    speaking.states = field(2, listed) + field(4, hidden)
    (got,) = loaded.route([state(ANN, "hello")])[away]
    assert (got.state, got.status_msg, got.last_active_ts) == ("offline", None, 0)
    assert not got.currently_active


def test_what_is_no_presence_router_is_said_so(
    daemon: tuple[Speaking, Loaded], caplog: pytest.LogCaptureFixture
) -> None:
    speaking, loaded = daemon
    speaking.interest = speaking.states = None
    before = count("get_interested_users", "refused")
    assert loaded.interest(BOB, context()) == set()
    assert loaded.route(STATES) == {}
    assert count("get_interested_users", "refused") == before + 1
    ours = [one for one in caplog.records if one.name == "presence_router"]
    (line,) = [one.getMessage() for one in ours if one.levelname == "WARNING"]
    assert "refused a request" in line and "not implemented" in line


@pytest.mark.parametrize("code", [*grpc.StatusCode][1:], ids=lambda code: code.name)
def test_no_status_raises(daemon: tuple[Speaking, Loaded], code: Any) -> None:
    speaking, loaded = daemon
    speaking.interest = speaking.states = code
    for _ in range(2):
        assert loaded.interest(BOB, context()) == set()
        assert loaded.route(STATES) == {}


def test_what_cannot_be_decoded_is_no_verdict(daemon: tuple[Speaking, Loaded]) -> None:
    speaking, loaded = daemon
    speaking.interest = speaking.states = b"\xff\xff\xff\xff"
    assert loaded.interest(BOB, context()) == set()
    assert loaded.route(STATES) == {}
