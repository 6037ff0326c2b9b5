"""Daemons of a later contract, and what is none: whatever comes, what the module cannot be
sure to understand is no verdict, and nothing is raised."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_bytes import (
    CAPABILITY_TOUCH,
    EVERYONE,
    UNKNOWN_SET,
    as_expression,
    as_list,
    changed,
    difference,
    field,
    hide,
    opened,
    reset,
    set_edit,
    union,
    users,
)
from daemon import LONG, SERVER, until
from fake_api import Loaded, context, state
from prometheus_client import REGISTRY
from scripted_daemon import Refusal, ScriptedDaemon, grpc, sends, shows, shows_nobody

ANN, EVE = "@ann:test", "@eve:test"
# Fields that only a later contract has.
NEW = field(99, "new") + field(100, 7)
# A value of `Capability` or `PresenceField` that only a later contract has.
NEW_VALUE = 77

Pair = tuple[ScriptedDaemon, Loaded]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Starts a daemon, and loads the module, which asks it."""
    daemons = []

    def start(**arguments: Any) -> Pair:
        daemon = ScriptedDaemon(f"unix:{tmp_path}/d.sock", **arguments)
        daemons.append(daemon)
        return daemon, Loaded(SERVER, [ANN, EVE], address=daemon.address)

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def pair(start: Callable[..., Pair]) -> Pair:
    return start()


_numbers = itertools.count()


def somebody() -> str:
    """A user about whom nobody asked yet, so that memory has no answer."""
    return f"@somebody-{next(_numbers)}:{SERVER}"


def count(callback: str, outcome: str) -> float:
    labels = {"callback": callback, "outcome": outcome}
    return REGISTRY.get_sample_value("presence_router_requests_total", labels) or 0


def unusable() -> tuple[float, float]:
    return count("get_interested_users", "unusable"), count("get_users_for_states", "unusable")


def test_new_fields_and_capabilities_are_ignored(start: Callable[..., Pair]) -> None:
    daemon, loaded = start(begins=[opened("e:1", CAPABILITY_TOUCH, NEW_VALUE, new=NEW) + NEW])
    bob = somebody()
    hidden = field(4, hide(users(EVE), 2) + NEW)
    daemon.interest = shows(as_list(ANN, EVE), more=hidden, new=NEW)
    assert loaded.interest(bob) == {ANN}
    daemon.states = shows(as_list(bob) + NEW, new=NEW)
    update = state(ANN)
    assert loaded.route([update]) == {bob: {update}}
    # Nothing at all: nobody, and that is an answer.
    daemon.interest = daemon.states = shows_nobody
    asked = count("get_interested_users", "ok")
    assert loaded.interest(somebody()) == set()
    assert count("get_interested_users", "ok") == asked + 1
    assert loaded.route([state(EVE)]) == {}


def test_new_fields_of_changes_are_ignored(pair: Pair) -> None:
    daemon, loaded = pair
    bob = somebody()
    daemon.interest = shows(as_list(ANN))
    assert loaded.interest(bob) == {ANN}
    daemon.revision = "e:2"
    stream = daemon.stream()
    product = users(EVE) + NEW, users(bob)
    stream.send(set_edit(1, EVE, new=NEW) + NEW, changed("e:2", product, new=NEW) + NEW)
    # The answer of another user comes after the change.
    loaded.interest(somebody())
    assert loaded.interest(bob) == {ANN, EVE}
    assert len(daemon.streams) == 1


def test_a_message_of_an_unknown_kind_ends_the_stream(pair: Pair) -> None:
    daemon, loaded = pair
    bob = somebody()
    daemon.interest = shows(as_list(ANN))
    assert loaded.interest(bob) == {ANN}
    daemon.interest = shows_nobody
    stream = daemon.stream()
    stream.send(NEW)
    assert stream.ended.wait(LONG), "the client ends the stream"
    # Nobody knows what else it ended.
    until(lambda: loaded.interest(bob) == set(), "the answer in memory ends")
    before = unusable()
    daemon.interest = sends(NEW)
    assert loaded.interest(somebody()) == set()
    assert unusable() == (before[0] + 1, before[1])


@pytest.mark.parametrize(
    "unknown",
    [
        UNKNOWN_SET,
        b"",
        union(users(ANN), UNKNOWN_SET),
        difference(UNKNOWN_SET, users(EVE)),
        difference(EVERYONE, UNKNOWN_SET),
    ],
    ids=["a kind", "none", "in a union", "less somebody", "as an exception"],
)
def test_a_set_of_an_unknown_kind_is_no_verdict(pair: Pair, unknown: bytes) -> None:
    daemon, loaded = pair
    before = unusable()
    daemon.interest = daemon.states = shows(as_expression(unknown))
    assert loaded.interest(somebody(), context()) == set()
    assert loaded.route([state(ANN)]) == {}
    # Of whom something is hidden, likewise.
    hidden = hide(unknown, 2)
    daemon.interest = shows(as_list(ANN), more=field(4, hidden))
    daemon.states = shows(as_list(somebody()), more=field(3, hidden))
    assert loaded.interest(somebody()) == set()
    assert loaded.route([state(ANN)]) == {}
    after = unusable()
    assert (after[0] - before[0], after[1] - before[1]) == (2, 2)
    # Each question was repeated once, each time on another stream.
    asked = [question for stream in daemon.streams for question in stream.questions]
    assert len(asked) == 8
    assert all(len(stream.questions) <= 1 for stream in daemon.streams)
    # The next stream is as good as any.
    daemon.interest = shows(as_list(ANN))
    assert loaded.interest(somebody()) == {ANN}


def test_a_part_of_a_set_with_unknown_content_is_no_verdict(pair: Pair) -> None:
    daemon, loaded = pair
    before = unusable()
    daemon.interest = daemon.states = shows(NEW)
    assert loaded.interest(somebody(), context()) == set()
    assert loaded.route([state(ANN)]) == {}
    after = unusable()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_a_field_of_an_unknown_kind_hides_everything(pair: Pair) -> None:
    daemon, loaded = pair
    hidden = field(4, hide(users(EVE), NEW_VALUE))
    daemon.interest = shows(as_list(ANN, EVE), more=hidden)
    assert loaded.interest(somebody()) == {ANN}
    daemon.interest = shows(as_expression(EVERYONE), more=hidden)
    assert loaded.interest(somebody()) == {ANN}
    # Where Synapse can show less: offline, and no more than that.
    away = EVE.replace(SERVER, "there")
    daemon.states = shows(as_list(away), more=field(3, hide(users(away), NEW_VALUE)))
    (got,) = loaded.route([state(ANN, "hello")])[away]
    assert (got.state, got.status_msg, got.last_active_ts) == ("offline", None, 0)
    assert not got.currently_active


def test_what_is_no_presence_router_is_said_so(
    start: Callable[..., Pair], caplog: pytest.LogCaptureFixture
) -> None:
    _, loaded = start(is_presence_router=False)
    before = count("get_interested_users", "refused"), count("get_users_for_states", "refused")
    assert loaded.interest(somebody(), context()) == set()
    assert loaded.route([state(ANN)]) == {}
    after = count("get_interested_users", "refused"), count("get_users_for_states", "refused")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    lines = [one.getMessage() for one in caplog.records if one.name == "presence_router"]
    (line,) = [line for line in lines if "refused a request" in line]
    assert "`RouteStates` is not implemented" in line and "is not presence-router" in line


@pytest.mark.parametrize("code", [*grpc.StatusCode][1:], ids=lambda code: code.name)
def test_no_status_raises(pair: Pair, code: Any) -> None:
    daemon, loaded = pair
    # The questions end the stream, and then there is none.
    daemon.interest = daemon.states = sends(Refusal(code))
    for _ in range(2):
        assert loaded.interest(somebody(), context()) == set()
        assert loaded.route([state(ANN)]) == {}
        daemon.begins = [Refusal(code)]


def test_the_end_of_a_stream_without_a_status_is_no_verdict(pair: Pair) -> None:
    daemon, loaded = pair
    daemon.interest = daemon.states = sends(None)
    assert loaded.interest(somebody(), context()) == set()
    assert loaded.route([state(ANN)]) == {}


def test_what_cannot_be_decoded_is_no_verdict(pair: Pair) -> None:
    daemon, loaded = pair
    before = unusable()
    daemon.interest = daemon.states = sends(b"\xff\xff\xff\xff")
    assert loaded.interest(somebody(), context()) == set()
    assert loaded.route([state(ANN)]) == {}
    after = unusable()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.parametrize("first", [b"\xff\xff\xff\xff", NEW, reset("e:1")])
def test_a_stream_begins_with_opened(start: Callable[..., Pair], first: bytes) -> None:
    daemon, loaded = start(begins=[first])
    daemon.interest = shows(as_list(ANN))
    before = unusable()
    assert loaded.interest(somebody(), context()) == set()
    assert unusable() == (before[0] + 1, before[1])
    daemon.begins = None
    until(lambda: loaded.interest(somebody()) == {ANN}, "a stream is open")
