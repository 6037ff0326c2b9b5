"""What Synapse itself makes of the keys of the mode `exact`, and of its application services."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from embedded import EmbeddedSynapse
from fake_api import in_reactor, state
from homeserver import VERSION
from policies import allow
from presence_router.exact.routing_shapes import (
    find_deviations_of_routing,
    require_routing_shapes,
)
from routing_rig import Rig
from synapse.appservice import ApplicationService
from synapse.events.presence_router import PresenceRouter
from synapse.federation.sender import FederationSender
from synapse.handlers.presence import get_interested_parties, get_interested_remotes
from synapse.types import UserID

# Also beside the oldest Synapse: what the module relies on is no public interface.
pytestmark = pytest.mark.smoke

ANN, BOB, CAT, FAR = "@ann:test", "@bob:test", "@cat:test", "@presence-router:far.example"


class Store:
    """A store of users who are in no room."""

    async def get_rooms_for_user(self, _user: str, **_named: Any) -> frozenset[str]:
        return frozenset()


def routes_to(keys: dict[str, set[Any]]) -> PresenceRouter:
    """Synapse's router, with a module that answers these keys."""
    router = PresenceRouter(SimpleNamespace())  # type: ignore[arg-type]

    async def route(_states: Any) -> Any:
        return keys

    async def interest(_user: str) -> Any:
        return set()

    router.register_presence_router_callbacks(route, interest)
    return router


def call(function: Callable[..., Any], keys: dict[str, set[Any]]) -> Any:
    store: Any = Store()
    return in_reactor(lambda: function(store, routes_to(keys), [state(ANN)]))


def test_a_key_without_states_wakes_a_user() -> None:
    nothing: set[Any] = set()
    _, users = call(get_interested_parties, {BOB: nothing, CAT: nothing})
    assert users.keys() == {ANN, BOB, CAT}
    assert nothing == set()


def test_a_key_without_states_sends_nothing() -> None:
    remotes = call(get_interested_remotes, {BOB: set(), FAR: {state(ANN, "redacted")}})
    sent = [(list(hosts), set(states)) for hosts, states in remotes if hosts]
    assert sorted(sent) == [(["far.example"], {state(ANN, "redacted")}), (["test"], set())]
    # It looks at nothing else if there are no states.
    sender: Any = SimpleNamespace()
    in_reactor(lambda: FederationSender.send_presence_to_destinations(sender, set(), ["test"]))


@pytest.fixture(scope="module")
def synapse(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSynapse:
    return EmbeddedSynapse(tmp_path_factory.mktemp("synapse"))


def test_synapse_has_the_shapes(synapse: EmbeddedSynapse) -> None:
    assert synapse.run(find, synapse.hs) == []


async def find(hs: Any) -> list[str]:
    return find_deviations_of_routing(hs, with_federation=True)


@pytest.mark.parametrize(
    ("owner", "name", "deviation", "mode"),
    [
        ("store", "get_app_services", "there is no DataStore.get_app_services", "local"),
        ("store", "get_event", "there is no DataStore.get_event", "federation"),
        (
            "notifier", "add_replication_callback",
            "there is no Notifier.add_replication_callback", "federation",
        ),
        (
            "queue", "send_presence_to_destinations",
            "there is no PresenceFederationQueue.send_presence_to_destinations", "federation",
        ),
    ],
)  # fmt: skip
def test_another_shape_is_refused_by_name(
    synapse: EmbeddedSynapse,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    name: str,
    deviation: str,
    mode: str,
) -> None:
    hs = synapse.hs

    async def change() -> list[str]:
        owners = {
            "store": synapse.store,
            "notifier": hs.get_notifier(),
            "queue": hs.get_presence_handler().get_federation_queue(),
        }
        monkeypatch.setattr(owners[owner], name, None)
        with pytest.raises(RuntimeError, match=f"cannot start with `{mode}: exact`"):
            require_routing_shapes(hs, with_federation=True)
        if mode == "federation":
            require_routing_shapes(hs, with_federation=False)
        return await find(hs)

    assert synapse.run(change) == [deviation]


def test_what_cannot_be_looked_at_is_refused() -> None:
    (deviation,) = in_reactor(lambda: find(SimpleNamespace()))
    assert deviation.startswith("the look at its objects failed: AttributeError")


def service(flag: str, regex: str = "@irc-.*") -> ApplicationService:
    """An application service that gets presence."""
    namespaces = {"users": [{"regex": regex, "exclusive": True}], "aliases": [], "rooms": []}
    made = ApplicationService(
        "token", "irc", UserID.from_string("@irc:test"), namespaces=namespaces
    )
    assert not made.supports_ephemeral
    setattr(made, flag, True)
    return made


FLAGS = ["supports_ephemeral"]
if VERSION >= (1, 157):
    FLAGS.append("supports_unstable_ephemeral")


@pytest.mark.parametrize("flag", FLAGS)
def test_the_services_of_synapse_are_known(tmp_path: Path, flag: str) -> None:
    rig = Rig(tmp_path)
    try:
        rig.start([allow(ANN, "@irc-bob:test"), allow(CAT, "@irc:test")])
        made: Any = service(flag)
        rig.store.services.append(made)
        rig.store.get_rooms_for_user = Store().get_rooms_for_user  # type: ignore[attr-defined]
        assert rig.services.senders() == ["@irc:test"]
        assert rig.woken(state(ANN), state(CAT)) == {"@irc:test", "@irc-bob:test"}

        def shown(user: str) -> set[Any]:
            states = [state(ANN), state(CAT)]
            return set(in_reactor(lambda: rig.services.shown(user, states)))

        assert shown("@irc-bob:test") == {state(ANN), state(CAT)}
        # Synapse does not ask for a service that a user does not concern.
        assert shown(BOB) == set()
        setattr(made, flag, False)
        assert shown("@irc-bob:test") == set()
    finally:
        rig.stop()
