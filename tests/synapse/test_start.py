"""How Synapse starts with the module, and how it does not."""

import inspect
import re
from pathlib import Path

import pytest
import synapse.logging.context
import yaml
from daemon import Daemon, until
from homeserver import MODULE, VERSION, Homeserver, module
from presence_router.synapse import PresenceRouterModule
from synapse.module_api.errors import ConfigError

SOCKET = "unix:/nowhere/presence-router.sock"
README = Path(__file__).parents[2] / "client/python/README.md"

BAD = {
    "unknown key": (
        {"address": SOCKET, "deadline": 5},
        "modules.<item 0>.config.deadline'",
        ["`deadline` is not a valid key", "did you mean `deadline_ms`?", "`destinations`"],
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
    "path without unix": (
        {"address": "/tmp/presence-router.sock"},
        "modules.<item 0>.config.address'",
        ["a path needs `unix:` before it; write `unix:/tmp/presence-router.sock`"],
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
    "stale_for out of range": (
        {"address": SOCKET, "stale_for": 3601},
        "modules.<item 0>.config.stale_for'",
        ["`stale_for` is 3601", "whole numbers of seconds from 0 to 3600"],
    ),
    "stale_for of wrong type": (
        {"address": SOCKET, "stale_for": False},
        "modules.<item 0>.config.stale_for'",
        ["`stale_for` is False", "whole numbers of seconds from 0 to 3600"],
    ),
    "cache_mib out of range": (
        {"address": SOCKET, "cache_mib": 0},
        "modules.<item 0>.config.cache_mib'",
        ["`cache_mib` is 0", "whole numbers of MiB from 1 to 65536"],
    ),
    "cache_mib of wrong type": (
        {"address": SOCKET, "cache_mib": "128 MiB"},
        "modules.<item 0>.config.cache_mib'",
        ["`cache_mib` is '128 MiB'", "whole numbers of MiB from 1 to 65536"],
    ),
    "destination that is a glob": (
        {"address": SOCKET, "destinations": ["good.example", "*.example"]},
        "modules.<item 0>.config.destinations'",
        ["`destinations` contains '*.example'", "without wildcards"],
    ),
    "destination that is no IPv6 address": (
        {"address": SOCKET, "destinations": ["[::1]", "[1:2]"]},
        "modules.<item 0>.config.destinations'",
        ["`destinations` contains '[1:2]'"],
    ),
    "destinations of wrong type": (
        {"address": SOCKET, "destinations": "good.example"},
        "modules.<item 0>.config.destinations'",
        ["`destinations` is 'good.example'", "a list of server names"],
    ),
    "all_users that is neither": (
        {"address": SOCKET, "all_users": False},
        "modules.<item 0>.config.all_users'",
        ["`all_users` is False", "the valid values are `auto`, `never`"],
    ),
    "follow_changes of wrong type": (
        {"address": SOCKET, "follow_changes": "yes"},
        "modules.<item 0>.config.follow_changes'",
        ["`follow_changes` is 'yes'", "the valid values are true and false"],
    ),
    "follow_per_second out of range": (
        {"address": SOCKET, "follow_per_second": 0},
        "modules.<item 0>.config.follow_per_second'",
        ["`follow_per_second` is 0", "from 1 to 10000"],
    ),
    "rooms of wrong type": (
        {"address": SOCKET, "rooms": "yes"},
        "modules.<item 0>.config.rooms'",
        ["`rooms` is 'yes'", "the valid values are true and false"],
    ),
    "rooms_when_away that is neither": (
        {"address": SOCKET, "rooms": True, "rooms_when_away": ["deny"]},
        "modules.<item 0>.config.rooms_when_away'",
        ["`rooms_when_away` is ['deny']", "the valid values are `allow`, `deny`"],
    ),
    "local that is neither": (
        {"address": SOCKET, "local": "exactly"},
        "modules.<item 0>.config.local'",
        ["`local` is 'exactly'", "the valid values are `add`, `exact`"],
    ),
    "local of wrong type": (
        {"address": SOCKET, "local": ["exact"]},
        "modules.<item 0>.config.local'",
        ["`local` is ['exact']", "the valid values are `add`, `exact`"],
    ),
    "federation that is neither": (
        {"address": SOCKET, "local": "exact", "federation": True},
        "modules.<item 0>.config.federation'",
        ["`federation` is True", "the valid values are `add`, `exact`"],
    ),
    "federation alone": (
        {"address": SOCKET, "federation": "exact"},
        "modules.<item 0>.config.federation'",
        ["`federation: exact` needs `local: exact`", "decides about local users as well"],
    ),
    "when_away that is neither": (
        {"address": SOCKET, "local": "exact", "when_away": "everybody"},
        "modules.<item 0>.config.when_away'",
        ["`when_away` is 'everybody'", "the valid values are `nobody`, `rooms`"],
    ),
    "when_away without exact": (
        {"address": SOCKET, "when_away": "rooms"},
        "modules.<item 0>.config.when_away'",
        ["`when_away` has no effect with `local: add`", "remove the key"],
    ),
    "all_users with exact": (
        {"address": SOCKET, "local": "exact", "all_users": "auto"},
        "modules.<item 0>.config.all_users'",
        ["`all_users` has no effect with `local: exact`", "remove the key"],
    ),
    "follow_changes with exact": (
        {"address": SOCKET, "local": "exact", "follow_changes": False},
        "modules.<item 0>.config.follow_changes'",
        ["`follow_changes` has no effect with `local: exact`", "remove the key"],
    ),
    "follow_per_second with exact": (
        {"address": SOCKET, "local": "exact", "follow_per_second": 0},
        "modules.<item 0>.config.follow_per_second'",
        ["`follow_per_second` has no effect with `local: exact`", "remove the key"],
    ),
    "several keys of exact": (
        {"address": SOCKET, "local": "exat", "federation": "exact", "when_away": 1},
        "modules.<item 0>.config'",
        ["`local` is 'exat'", "`when_away` is 1"],
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


# Those that are tried with a real Synapse, which takes a second for each.
STARTED = ("federation alone", "several", "no mapping")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_an_error_that_names_the_key(name: str) -> None:
    config, path, texts = BAD[name]
    with pytest.raises(ConfigError) as refused:
        PresenceRouterModule.parse_config(config)
    key = path.partition(".config")[2].strip(".'")
    assert list(refused.value.path or ()) == ([key] if key else [])
    for text in texts:
        assert text in refused.value.msg


@pytest.mark.parametrize("name", STARTED)
def test_a_bad_config_stops_synapse_and_names_the_key(name: str, tmp_path: Path) -> None:
    config, path, texts = BAD[name]
    homeserver = Homeserver(tmp_path, modules=[{"module": MODULE, "config": config}])
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    assert path in output
    for text in texts:
        assert text in output


@pytest.mark.parametrize("name", STARTED)
def test_a_bad_config_of_the_legacy_interface_too(name: str, tmp_path: Path) -> None:
    config, path, texts = BAD[name]
    entry = {"module": MODULE, "config": config}
    homeserver = Homeserver(tmp_path, presence={"enabled": True, "presence_router": entry})
    homeserver.start(ready=False)
    assert homeserver.code not in (None, 0)
    output = homeserver.output.read_text()
    for text in (path.replace("modules.<item 0>", "presence.presence_router"), *texts):
        assert text in output


def test_the_least_and_the_most_are_valid() -> None:
    for key, values in {
        "deadline_ms": (1, 10_000),
        "stale_for": (0, 3600),
        "cache_mib": (1, 65_536),
        "follow_per_second": (1, 10_000),
    }.items():
        for value in values:
            raw = {"address": SOCKET, key: value}
            assert getattr(PresenceRouterModule.parse_config(raw), key) == value


def test_exact_takes_its_keys_and_add_is_the_default() -> None:
    def parse(**config: str) -> tuple[str, str, str]:
        parsed = PresenceRouterModule.parse_config({"address": SOCKET} | config)
        return parsed.local, parsed.federation, parsed.when_away

    assert parse() == parse(local="add", federation="add") == ("add", "add", "nobody")
    assert parse(local="exact") == ("exact", "add", "nobody")
    assert parse(local="exact", federation="exact") == ("exact", "exact", "nobody")
    assert parse(local="exact", when_away="rooms") == ("exact", "add", "rooms")
    # It keeps the keys of both modes.
    both = {"stale_for": 5, "cache_mib": 9, "rooms": True, "destinations": ["b"]}
    PresenceRouterModule.parse_config({"address": SOCKET, "local": "exact"} | both)


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
        # Not before Synapse 1.140.
        "deferred already completed but the function did not maintain the calling logcontext",
    ):
        assert said in source or VERSION < (1, 140) and said.startswith("deferred")
        homeserver.log.write_text(f"all is well\n{said}\n")
        assert homeserver.complaints() == [said]


def test_synapse_starts_and_syncs_without_a_daemon(tmp_path: Path) -> None:
    # With the block of the README, as it stands there but for the address.
    block, *_ = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    modules = yaml.safe_load(block)["modules"]
    modules[0]["config"]["address"] = SOCKET
    homeserver = Homeserver(tmp_path, modules=modules)
    try:
        homeserver.start()
        ann = homeserver.register("ann")
        ann.set_presence("online", "hello")
        assert ann.sync()[ann.id]["status_msg"] == "hello"
        log = homeserver.our_log()
        (started,) = [line for line in log if " asks " in line]
        assert f" asks {SOCKET}, waits 200 ms for an answer, all_users: never" in started
        assert started.endswith(
            ", stale_for: 60 s, cache_mib: 128, local: add, federation: add"
        )
        (line,) = [line for line in log if " WARNING " in line]
        assert SOCKET in line and "No such file or directory" in line
        assert homeserver.metrics()["presence_router_reachable"] == 0
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()


def test_an_address_that_does_not_answer_is_warned_of_before_anybody_asks(tmp_path: Path) -> None:
    homeserver = Homeserver(tmp_path, **module(SOCKET))
    try:
        homeserver.start()
        until(lambda: homeserver.our_warnings() != [], "the module warns")
        (line,) = homeserver.our_warnings()
        assert f"presence-router at {SOCKET} does not answer: " in line
        assert "No such file or directory" in line
        metrics = homeserver.metrics()
        assert metrics["presence_router_reachable"] == 0
        # No question of Synapse's.
        assert not any(name.startswith("presence_router_requests_total") for name in metrics)
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()


def test_a_daemon_that_hangs_does_not_keep_synapse_from_starting(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    homeserver = Homeserver(tmp_path, **module(daemon.address))
    try:
        daemon.start()
        daemon.pause()
        homeserver.start()
        until(lambda: homeserver.our_warnings() != [], "the module warns")
        (line,) = homeserver.our_warnings()
        assert "does not answer: " in line
        assert homeserver.metrics()["presence_router_reachable"] == 0
        daemon.resume()
        # Without a question.
        until(lambda: len(homeserver.our_warnings()) == 2, "it is back")
        assert " is back after " in homeserver.our_warnings()[1]
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()
        daemon.stop()
