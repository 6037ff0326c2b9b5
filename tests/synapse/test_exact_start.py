"""How a real Synapse starts with `local: exact`, how it refuses to, and what tells operators if it is
sealed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import until
from homeserver import VERSION, Homeserver, module, module_of_tests
from presence_router.check_seal import main as check_seal

pytestmark = pytest.mark.smoke

# No daemon: Synapse starts all the same.
SOCKET = "unix:/nowhere/presence-router.sock"

excludes_rooms = VERSION >= (1, 157)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Any]:
    """Starts a Synapse with a configuration."""
    homeservers: list[Homeserver] = []

    def start(**config: Any) -> Homeserver:
        homeservers.append(Homeserver(tmp_path, **config))
        homeservers[0].start()
        return homeservers[0]

    yield start
    homeservers[0].stop()
    assert homeservers[0].complaints() == []


def parts(homeserver: Homeserver) -> dict[str, float]:
    """The parts of the seal, by the metrics."""
    prefix = 'presence_router_sealed{part="'
    return {
        name.removeprefix(prefix).removesuffix('"}'): value
        for name, value in homeserver.metrics().items()
        if name.startswith("presence_router_sealed")
    }


@pytest.mark.parametrize("interface", ["modules", "legacy"])
def test_exact_is_sealed_at_the_start(
    started: Any, interface: str, capsys: pytest.CaptureFixture[str]
) -> None:
    federation = "exact" if excludes_rooms else "add"
    homeserver = started(**module(SOCKET, interface, local="exact", federation=federation))
    sealed = parts(homeserver)
    assert set(sealed.values()) == {1}
    assert {"callbacks", "get_states", "get_presence_for_all_users"} < set(sealed)
    assert ("excluded_rooms" in sealed) == excludes_rooms
    page = f"{homeserver.url}/_synapse/metrics"
    assert check_seal([page]) == 0
    sealed_for = (
        "sealed, also federation"
        if excludes_rooms
        else "sealed for local users; other servers get presence as with `federation: add`"
    )
    away = "; the daemon is away: what is shown depends on `when_away`"
    assert capsys.readouterr().out == f"{page}: {sealed_for}{away}\n"
    assert check_seal([page, "--federation"]) == (0 if excludes_rooms else 1)
    (line,) = [line for line in homeserver.our_log() if " asks " in line]
    assert line.endswith(f", local: exact, federation: {federation}")


def test_exact_for_local_users_only_leaves_federation(started: Any) -> None:
    homeserver = started(**module(SOCKET, local="exact"))
    sealed = parts(homeserver)
    assert set(sealed.values()) == {1}
    assert not {"excluded_rooms", "process_replication_rows"} & set(sealed)


def test_add_has_no_seal(started: Any, capsys: pytest.CaptureFixture[str]) -> None:
    homeserver = started(**module(SOCKET))
    assert parts(homeserver) == {}
    assert check_seal([f"{homeserver.url}/_synapse/metrics"]) == 1
    assert capsys.readouterr().out.endswith(": NOT SEALED: it runs with `local: add`\n")


def test_a_synapse_without_the_module_has_no_seal(
    started: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    homeserver = started()
    assert check_seal([f"{homeserver.url}/_synapse/metrics"]) == 1
    assert "NOT SEALED: it has not loaded the module" in capsys.readouterr().out


def test_a_part_that_another_module_replaces_at_the_start_ends_synapse(tmp_path: Path) -> None:
    ours = module(SOCKET, local="exact")["modules"]
    homeserver = Homeserver(
        tmp_path, modules=[*ours, module_of_tests(tmp_path, "other_router.Patch")]
    )
    homeserver.start(ready=False)
    assert homeserver.code == 1
    said = "another module or a patch changed `get_states` of this Synapse"
    assert said in homeserver.output.read_text()
    assert any(" - CRITICAL - " in line and said in line for line in homeserver.our_warnings())
    # It handled no request.
    assert " - synapse.access." not in homeserver.log.read_text()


def test_a_part_that_another_module_replaces_later_is_reported(
    started: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = module(SOCKET, local="exact")["modules"]
    patch = module_of_tests(tmp_path, "other_router.LatePatch")
    homeserver = started(modules=[*ours, patch])
    until(lambda: 0 in parts(homeserver).values(), "the part is replaced")
    (line,) = [line for line in homeserver.our_warnings() if "The seal of" in line]
    assert " - ERROR - " in line and "changed `get_states` of this Synapse" in line
    assert [part for part, value in parts(homeserver).items() if value != 1] == ["get_states"]
    assert check_seal([f"{homeserver.url}/_synapse/metrics"]) == 1
    assert "replaced get_states; its log says more" in capsys.readouterr().out


@pytest.mark.parametrize("order", ["before", "after", "legacy"])
def test_another_presence_router_beside_exact_stops_synapse(tmp_path: Path, order: str) -> None:
    other = module_of_tests(tmp_path, "other_router.OtherRouter")
    ours = module(SOCKET, local="exact")
    if order == "legacy":
        # Synapse loads it after all of `modules:`.
        ours = module(SOCKET, "legacy", local="exact") | {"modules": [other]}
    else:
        ours["modules"].insert(0 if order == "before" else 1, other)
    homeserver = Homeserver(tmp_path, **ours)
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    assert "cannot run with `local: exact` beside another presence router module" in output
    assert "(its callback is other_router.OtherRouter" in output
    assert "Remove the other one from `modules`, or switch presence off" in output
    assert "all room-mates see each other, whatever the policy denies" in output


@pytest.mark.parametrize("federation", ["add", "exact"])
def test_a_synapse_of_another_shape_does_not_start(tmp_path: Path, federation: str) -> None:
    ours = module(SOCKET, local="exact", federation=federation)["modules"]
    reshape = module_of_tests(tmp_path, "other_router.Reshape")
    homeserver = Homeserver(tmp_path, modules=[reshape, *ours])
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    assert "presence-router cannot start with `local: exact` in Synapse 1." in output
    assert (
        "PresenceHandler.get_states takes (target_user_ids, requester), not (target_user_ids)"
        in output
    )
    assert "or switch presence off (`presence: {enabled: false}`" in output


@pytest.mark.skipif(excludes_rooms, reason="this Synapse has what `federation: exact` needs")
def test_federation_exact_stops_a_synapse_that_excludes_no_rooms(tmp_path: Path) -> None:
    homeserver = Homeserver(tmp_path, **module(SOCKET, local="exact", federation="exact"))
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    assert "cannot start with `federation: exact` in Synapse 1.138" in output
    assert "`_rooms_to_exclude_from_presence`" in output
    assert "known to work with Synapse 1.157 to " in output


@pytest.mark.parametrize("enabled", [False, "untracked"])
def test_presence_that_is_switched_off_is_warned_of(started: Any, enabled: Any) -> None:
    homeserver = started(presence={"enabled": enabled}, **module(SOCKET, local="exact"))
    warned = [line for line in homeserver.our_warnings() if "`presence.enabled`" in line]
    # With `untracked` modules still set presence, and the policy decides about it.
    assert len(warned) == (enabled is False)
    assert set(parts(homeserver).values()) == {1}
