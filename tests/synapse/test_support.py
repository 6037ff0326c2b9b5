"""What the page on support says: the versions, what Synapse does with presence
without asking us, and the parts of Synapse that are used but are not public."""

import ast
import inspect
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import synapse
import synapse.handlers.presence
from conftest import World
from fake_api import in_reactor
from homeserver import VERSION
from policies import allow, deny, hide
from prometheus_client import REGISTRY
from synapse.events.presence_router import PresenceRouter
from synapse.logging.context import LoggingContext, current_context
from synapse.metrics import RegistryProxy
from synapse.module_api import ModuleApi, UserPresenceState
from synapse.storage.databases.main.presence import PresenceStore

pytestmark = pytest.mark.smoke

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "client/python/docs/support.md").read_text()
ANN, BOB, EVE = "@ann:test", "@bob:test", "@eve:test"
RUNS = f"Synapse {'.'.join(map(str, VERSION))}"


def test_the_page_names_the_versions_that_are_tested() -> None:
    for file in ("requirements.txt", "requirements-oldest.txt"):
        (version,) = re.findall(r"matrix-synapse==(\S+)", (HERE / file).read_text())
        assert f"| {version} (" in PAGE
    assert f"| {RUNS.split()[1]} (" in PAGE


def test_whatever_shows_something_is_a_test_that_is_there() -> None:
    for name in re.findall(r"`(test_\w+\.py)`", PAGE):
        assert (HERE / name).exists(), name


def test_room_mates_see_each_other_whatever_is_denied(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob), deny(ann, bob)])
    bob.join(ann.create_room())
    bob.sync()
    ann.set_presence("online", "denied")
    bob.sync_until_status(ann, "denied")


def test_of_a_pair_with_anything_hidden_the_policy_brings_nothing(world: World) -> None:
    ann, bob, mate, eve = world.users("ann", "bob", "mate", "eve")
    world.daemon.apply([allow([ann.id, eve.id], "everyone"), hide(ann, [bob.id, mate.id])])
    mate.join(ann.create_room())
    bob.sync(), mate.sync()
    ann.set_presence("online", "hidden")
    eve.set_presence("online", "later")
    bob.sync_until_status(eve, "later")
    assert ann.id not in bob.senders()
    # Nor can it take anything from a room-mate.
    mate.sync_until_status(ann, "hidden")


def test_get_presence_asks_for_rooms_and_not_for_us(world: World) -> None:
    ann, bob, eve = world.users("ann", "bob", "eve")
    world.daemon.apply([allow(ann, bob), deny(ann, eve)])
    eve.join(ann.create_room())
    ann.set_presence("online", "here")
    before = asked(world)
    assert bob.get_presence(ann).status_code == 403
    assert eve.get_presence(ann).json()["status_msg"] == "here"
    assert asked(world) == before


def test_sliding_sync_carries_no_presence(world: World) -> None:
    ann, bob = world.users("ann", "bob")
    world.daemon.apply([allow(ann, bob)])
    ann.set_presence("online", "not by this way")
    before = asked(world)
    body = bob.sliding_sync()
    assert "not by this way" not in str(body) and "presence" not in body.get("extensions", {})
    assert asked(world) == before
    bob.sync_until_status(ann, "not by this way")


def asked(world: World) -> float:
    """How often Synapse asked for somebody's interest."""
    names = tuple(
        f'presence_router_{kind}_total{{callback="get_interested_users"'
        for kind in ("requests", "hits")
    )
    metrics = world.homeserver.metrics()
    return sum(value for key, value in metrics.items() if key.startswith(names))


def calls(tree: ast.AST) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def test_one_log_context_is_around_both_questions_of_a_sync() -> None:
    # That this is so for real, test_all_users_sync shows: each promise is kept.
    source = inspect.getsource(synapse.handlers.presence.PresenceEventSource.get_new_events)
    tree = ast.parse(textwrap.dedent(source))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    both = {"get_interested_users", "_filter_all_presence_updates_for_user"}
    around = [ast.unparse(block.items[0]) for block in blocks if both <= calls(block)]
    assert [one.partition("(")[0] for one in around] == ["Measure"], RUNS
    # And nobody else asks the first one.
    package = Path(synapse.__file__).parent
    asking = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if ".get_interested_users(" in file.read_text()
    }
    assert asking == {"handlers/presence.py"}, RUNS
    with context() as one:
        assert current_context() is one is current_context(), RUNS
        assert bool(one), RUNS
    assert not current_context(), f"{RUNS}: outside of all there is none"


def context() -> Any:
    arguments = {"server_name": "test"} if VERSION >= (1, 140) else {}
    return LoggingContext(name="a test", **arguments)


def test_synapse_still_misses_some_when_it_reads_everybody() -> None:
    # By an offset into what changes meanwhile. When it does not any more, `all_users`
    # may be `auto` by itself; bench_all.py says how many it misses.
    source = inspect.getsource(PresenceStore.get_presence_for_all_users)
    assert "offset += limit" in source and 'orderby="stream_id"' in source, RUNS


def test_what_sets_presence_asks_for_the_current_one_as_we_do() -> None:
    source = inspect.getsource(ModuleApi.set_presence_for_users)
    tree = ast.parse(textwrap.dedent(source))
    lines = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    assert "presence_handler = self._hs.get_presence_handler()" in lines, RUNS
    current = "states = await presence_handler.current_state_for_users(users.keys())"
    assert current in lines, RUNS


def test_the_table_of_presences_has_the_columns_that_we_read() -> None:
    schema = Path(synapse.__file__).parent / "storage/schema/main"
    texts = {file: file.read_text(errors="replace") for file in schema.rglob("*.*")}
    created = re.compile(r"CREATE TABLE presence_stream\s*\((.*?)\);", re.DOTALL)
    tables = [found for text in texts.values() for found in created.findall(text)]
    columns = ("stream_id bigint", "user_id text", "state text", "status_msg text")
    for column in columns:
        assert tables and all(re.search(rf"\b{column}\b", one, re.I) for one in tables), RUNS
    dropped = re.compile(r"DROP TABLE.*\bpresence_stream\b")
    assert [file for file, text in texts.items() if dropped.search(text)] == [], RUNS


def user_states(*user_ids: str) -> list[UserPresenceState]:
    return [UserPresenceState.default(user_id) for user_id in user_ids]


def test_synapse_copies_the_sets_of_a_presence_router() -> None:
    # The module hands out sets that several answers share.
    states = user_states(ANN)
    shared, senders = set(states), {ANN}
    router = asking(shared, senders)

    async def change_what_synapse_got() -> None:
        for _ in range(2):
            routed = await router.get_users_for_states(states)
            assert routed == {BOB: set(states), EVE: set(states)}, RUNS
            assert routed[BOB] is not routed[EVE], RUNS
            for got in routed.values():
                got.clear()
            interest = await router.get_interested_users(BOB)
            assert interest == {ANN}, RUNS
            assert isinstance(interest, set)
            # As it does itself.
            interest.add(BOB)

    in_reactor(change_what_synapse_got)
    assert (shared, senders) == (set(states), {ANN})


def test_the_own_presence_in_an_answer_changes_nothing() -> None:
    # The module's answers may contain it: users of a group share one set.
    class Rooms:
        async def get_rooms_for_user(self, _user_id: str) -> set[str]:
            return set()

    store: Any = Rooms()
    states = user_states(ANN, BOB)
    without = asking({states[0]}, set(), {BOB: {states[0]}})
    with_own = asking(set(), set(), {BOB: set(states)})

    async def compare() -> None:
        one, other = [
            await synapse.handlers.presence.get_interested_parties(store, router, states)
            for router in (without, with_own)
        ]
        rooms, users = other
        assert rooms == one[0] == {}, RUNS
        assert {user: set(got) for user, got in users.items()} == {
            user: set(got) for user, got in one[1].items()
        }, RUNS
        assert users[ANN] == [states[0]], f"{RUNS}: Synapse sends users their own presence"

    in_reactor(compare)
    # For a /sync, it adds the user to the answer, which it has copied.
    source = inspect.getsource(synapse.handlers.presence.PresenceEventSource.get_new_events)
    assert "additional_users_interested_in.add(user_id)" in source, RUNS


def asking(
    shared: set[UserPresenceState],
    senders: set[str],
    routes: dict[str, set[UserPresenceState]] | None = None,
) -> PresenceRouter:
    """Synapse's own object, with a module that always answers the same."""

    async def get_users_for_states(_states: Any) -> dict[str, set[UserPresenceState]]:
        return dict.fromkeys((BOB, EVE), shared) if routes is None else routes

    async def get_interested_users(_user_id: str) -> set[str]:
        return senders

    router = PresenceRouter(SimpleNamespace())  # type: ignore[arg-type]
    router.register_presence_router_callbacks(get_users_for_states, get_interested_users)
    return router


def test_synapse_serves_the_registry_that_our_metrics_are_in() -> None:
    shown = {metric.name for metric in RegistryProxy.collect()}
    assert "presence_router_requests" in {metric.name for metric in REGISTRY.collect()}
    assert "presence_router_requests" in shown, RUNS
