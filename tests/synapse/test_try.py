"""The README's "Try it", as it stands but for the address, with a real Synapse and a
daemon; and its unit, as far as there is no systemd here."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from daemon import LONG, Daemon, until
from homeserver import Homeserver

README = Path(__file__).parents[2] / "client/python/README.md"
BY_HAND, BY_UNIT = "/tmp/presence-router.sock", "/run/presence-router/presence-router.sock"


def block(language: str, title: str) -> str:
    """The one block of the page in this language that begins with this text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(title)]
    return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.write_text(block("yaml", "# policy.yaml\n"))
    daemon.start()
    yield daemon
    daemon.stop()


def test_it_works_as_the_page_says(daemon: Daemon, tmp_path: Path) -> None:
    text = block("yaml", "# homeserver.yaml, for a try\n")
    assert f"unix:{BY_HAND}" in text
    config = yaml.safe_load(text.replace(f"unix:{BY_HAND}", daemon.address))
    homeserver = Homeserver(tmp_path, server_name="example.org", **config)
    try:
        homeserver.start()
        ann, joe = homeserver.register("ann"), homeserver.register("joe")
        tokens = {"ANN": ann.token, "JOE": joe.token, "SYNAPSE": homeserver.url}
        # The second time within ten seconds, which Synapse by itself refuses.
        for status in ("it works", "it works again"):
            done = subprocess.run(
                ["sh", "-ec", block("sh", "curl ").replace("it works", status)],
                env=os.environ | tokens,
                capture_output=True, text=True, timeout=LONG,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "@ann:example.org" in done.stdout and f"'{status}'" in done.stdout, done.stdout
        assert homeserver.our_warnings() == []
        homeserver.stop()
        assert homeserver.complaints() == []
    finally:
        homeserver.stop()


def test_without_the_limit_raised_synapse_refuses_the_second_presence(tmp_path: Path) -> None:
    homeserver = Homeserver(tmp_path, rc_presence={})
    try:
        homeserver.start()
        ann = homeserver.register("ann")
        ann.set_presence("online", "first")
        answer = requests.put(
            f"{homeserver.url}/_matrix/client/v3/presence/{ann.id}/status",
            headers={"Authorization": f"Bearer {ann.token}"},
            json={"presence": "online", "status_msg": "second"},
            timeout=LONG,
        )
        assert answer.status_code == 429
        # Ten seconds, of which some have gone by.
        assert 0 < answer.json()["retry_after_ms"] <= 10_000
    finally:
        homeserver.stop()


def test_the_unit_starts_a_daemon(tmp_path: Path) -> None:
    unit = block("ini", "# /etc/systemd/system/presence-router.service\n").replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    program, *arguments = shlex.split(command)
    assert Path(program).name == "presence-router"
    policy, socket = tmp_path / "policy.yaml", tmp_path / "socket"
    policy.write_text("rules: []\n")
    places = {"/etc/presence-router/policy.yaml": str(policy), BY_UNIT: str(socket)}
    assert places.keys() <= set(arguments)
    process = subprocess.Popen(
        [os.environ["PRESENCE_ROUTER_BIN"], *(places.get(word, word) for word in arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: socket.is_socket() or process.poll() is not None, "the daemon listens")
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(LONG) == 0
    # The directory that systemd makes is the one of the socket.
    (directory,) = re.findall(r"^RuntimeDirectory=(.*)$", unit, re.M)
    assert Path(BY_UNIT).parent == Path("/run") / directory


def test_pages_name_the_sockets_that_there_are() -> None:
    root = README.parents[2]
    pages = [README, root / "README.md", root / "client/README.md"]
    pages += sorted((README.parent / "docs").glob("*.md"))
    named = {
        path
        for page in pages
        for path in re.findall(r"unix:(?://)?(/(?!/)[\w./-]*presence-router[\w./-]*)", page.read_text())
    }
    assert named == {BY_HAND, BY_UNIT}
