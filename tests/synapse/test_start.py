"""How Synapse starts with the module, and how it does not."""

import inspect
import re
from pathlib import Path

import pytest
import synapse.logging.context
import yaml
from daemon import Daemon
from homeserver import MODULE, Homeserver, module
from policies import allow
from presence_router.synapse import PresenceRouterModule

SOCKET = "unix:/nowhere/presence-router.sock"
README = Path(__file__).parents[2] / "client/python/README.md"

BAD = {
    "unknown key": (
        {"address": SOCKET, "deadline": 5},
        "modules.<item 0>.config.deadline'",
        ["`deadline` is not a key", "did you mean `deadline_ms`?", "`destinations`"],
    ),
    "no address": (
        {},
        "modules.<item 0>.config.address'",
        ["`address` is missing", "unix:/path/to/socket"],
    ),
    "address of wrong type": (
        {"address": 9470},
        "modules.<item 0>.config.address'",
        ["`address` is 9470, not a string"],
    ),
    "malformed address": (
        {"address": "https://127.0.0.1:9470"},
        "modules.<item 0>.config.address'",
        ["`https://127.0.0.1:9470`", "TLS is not supported"],
    ),
    "deadline out of range": (
        {"address": SOCKET, "deadline_ms": 10_001},
        "modules.<item 0>.config.deadline_ms'",
        ["`deadline_ms` is 10001", "from 1 to 10000"],
    ),
    "deadline of wrong type": (
        {"address": SOCKET, "deadline_ms": True},
        "modules.<item 0>.config.deadline_ms'",
        ["`deadline_ms` is True", "whole number"],
    ),
    "destination that is a glob": (
        {"address": SOCKET, "destinations": ["good.example", "*.example"]},
        "modules.<item 0>.config.destinations'",
        ["`destinations` holds '*.example'", "without wildcards"],
    ),
    "destination that is no IPv6 address": (
        {"address": SOCKET, "destinations": ["[::1]", "[1:2]"]},
        "modules.<item 0>.config.destinations'",
        ["`destinations` holds '[1:2]'"],
    ),
    "rooms of wrong type": (
        {"address": SOCKET, "rooms": "yes"},
        "modules.<item 0>.config.rooms'",
        ["`rooms` is 'yes'", "valid are true and false"],
    ),
    "rooms_when_away that is neither": (
        {"address": SOCKET, "rooms": True, "rooms_when_away": ["deny"]},
        "modules.<item 0>.config.rooms_when_away'",
        ["`rooms_when_away` is ['deny']", "valid are `allow`, `deny`"],
    ),
    "several": (
        {"adress": SOCKET, "deadline_ms": "200"},
        "modules.<item 0>.config'",
        ["did you mean `address`?", "`address` is missing", "`deadline_ms` is '200'"],
    ),
    "no mapping": (
        [SOCKET],
        "modules.<item 0>.config'",
        [f"['{SOCKET}'] is not a mapping", "valid keys are `address`"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_stops_synapse_and_names_the_key(name: str, tmp_path: Path) -> None:
    config, path, texts = BAD[name]
    homeserver = Homeserver(tmp_path, modules=[{"module": MODULE, "config": config}])
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    assert path in output
    for text in texts:
        assert text in output


@pytest.mark.parametrize("name", ["b" * 253, "[1:2:3:4:5:6:1.2.3.4]:8448"])
def test_a_destination_is_what_the_daemon_takes_for_a_server(name: str) -> None:
    raw = {"address": SOCKET, "destinations": [name]}
    assert PresenceRouterModule.parse_config(raw).destinations == (name,)


def test_the_readme_block_loads_and_says_the_defaults() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if block.startswith("modules:")]
    (entry,) = yaml.safe_load(block)["modules"]
    assert entry["module"] == MODULE
    parsed = PresenceRouterModule.parse_config(entry["config"])
    assert parsed == PresenceRouterModule.parse_config({"address": entry["config"]["address"]})


def test_complaints_are_what_synapse_says_of_log_contexts(tmp_path: Path) -> None:
    homeserver = Homeserver(tmp_path)
    source = inspect.getsource(synapse.logging.context)
    # All that it warns of, in its own words.
    for said in (
        "Expected logging context %s was lost",
        "Expected logging context %s but found %s",
        "Starting nested logging context from sentinel context: metrics will be lost",
        "deferred already completed but the function did not maintain the calling logcontext",
    ):
        assert said in source
        homeserver.log.write_text(f"all is well\n{said}\n")
        assert homeserver.complaints() == [said]


def test_the_legacy_interface_loads_it_and_registers_it_once(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    (entry,) = module(daemon.address)["modules"]
    homeserver = Homeserver(tmp_path, presence={"enabled": True, "presence_router": entry})
    try:
        daemon.start()
        homeserver.start()
        ann, bob = homeserver.register("ann"), homeserver.register("bob")
        daemon.apply([allow(ann, bob)])
        poll = bob.poll()
        ann.set_presence("online", "the old way")
        assert poll.result()[ann.id]["status_msg"] == "the old way"

        asked = 'presence_router_requests_total{callback="get_interested_users",outcome="ok"}'
        before = homeserver.metrics()[asked]
        bob.sync_again()
        assert homeserver.metrics()[asked] - before == 1
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()
        daemon.stop()


def test_synapse_starts_and_syncs_without_a_daemon(tmp_path: Path) -> None:
    homeserver = Homeserver(tmp_path, **module(SOCKET))
    try:
        homeserver.start()
        ann = homeserver.register("ann")
        ann.set_presence("online", "hello")
        assert ann.sync()[ann.id]["status_msg"] == "hello"
        (line,) = [line for line in homeserver.our_log() if " WARNING " in line]
        assert SOCKET in line and "No such file or directory" in line
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()
