"""A presence-router daemon for tests: the binary, its policy file, its socket."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from presence_router._native import Router
from presence_router.redact import redact

# Much longer than any step takes: a step that takes longer hangs.
LONG = 60.0

SERVER = "test"


def until(condition: Callable[[], bool], what: str, timeout: float = LONG) -> None:
    """Asks until it is so. Only for what tells nobody when it happens."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"still not so after {timeout} s: {what}"
        time.sleep(0.02)


class Daemon:
    """One daemon, which can be killed, paused, and given another policy."""

    # How many policies became active in all daemons: who asks from memory must catch up.
    applications = 0

    def __init__(self, directory: Path, name: str = "daemon", **limits: int) -> None:
        self.socket = directory / f"{name}.sock"
        self.address = f"unix:{self.socket}"
        self.log = directory / f"{name}.log"
        self._policy = directory / f"{name}.policy.yaml"
        self._config = directory / f"{name}.yaml"
        self._config.write_text(json.dumps({"limits": limits} if limits else {}))
        self._process: subprocess.Popen[bytes] | None = None
        self._applied = 0
        # Seconds for which to wait once a policy is active, until processes of Synapse have
        # heard of it. They are told at once, but not asked if they know.
        self.settling = 0.0
        self.write([])

    def write(
        self, rules: list[Any], groups: dict[str, Any] | None = None, **sections: Any
    ) -> tuple[str, str]:
        """Writes the policy, with a rule of its own that tells it from others."""
        self._applied += 1
        marker = (f"@applied-{self._applied}:{SERVER}", f"@policy:{SERVER}")
        rule = {"name": f"policy {self._applied}", "allow": {"from": marker[0], "to": marker[1]}}
        document = {"groups": groups or {}, "rules": [*rules, rule], **sections}
        # JSON is YAML.
        self._policy.write_text(json.dumps(document, indent=1))
        return marker

    def write_text(self, policy: str) -> None:
        """Writes a policy as it stands."""
        self._policy.write_text(policy)

    def reload_text(self, policy: str) -> None:
        """Makes it read a policy that it will not take."""
        logged = self.log.stat().st_size
        self.write_text(policy)
        self._send(signal.SIGHUP)
        until(lambda: self.log.stat().st_size > logged, "the daemon says what is wrong")

    def apply(
        self, rules: list[Any], groups: dict[str, Any] | None = None, **sections: Any
    ) -> None:
        """Makes a policy active in the running daemon."""
        sender, recipient = self.write(rules, groups, **sections)
        self._send(signal.SIGHUP)
        until(lambda: sender in ask(self.address, recipient, known=[sender]), "the policy is active")
        Daemon.applications += 1
        time.sleep(self.settling)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        binary = os.environ["PRESENCE_ROUTER_BIN"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "serve", "--config", self._config, "--policy", self._policy,
                 "--listen-unix", self.socket, "--listen-tcp", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: self._answers() or not self.runs, "the daemon answers")
        assert self.runs, f"the daemon ended: {self.log.read_text()}"

    def kill(self) -> None:
        """Kills it with SIGKILL, the socket left behind."""
        self._send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(LONG)

    def pause(self) -> None:
        """Makes it hang."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._send(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ends it, in whatever state it is."""
        if self.runs:
            self._send(signal.SIGTERM)
            self._send(signal.SIGCONT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def _answers(self) -> bool:
        outcome, _, _ = result_of(
            self.address, SERVER, lambda router, done: router.check_daemon(done)
        )
        return outcome == "ok"

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class NoVerdict(Exception):
    """The daemon did not answer."""


def ask(
    address: str, recipient: str, server: str = SERVER, known: Iterable[str] = ()
) -> set[str]:
    """Asks a daemon whose presence a user may see, without a reactor. The answer about a user
    who may see everyone has these known senders only."""

    def find_interest(router: Router, done: Any) -> None:
        router.add_known_users(list(known))
        router.find_interest(recipient, False, done)

    outcome, detail, senders = result_of(address, server, find_interest)
    if outcome not in ("ok", "memory"):
        raise NoVerdict(f"{outcome}: {detail}")
    # The answer may be one that others share, with the user in it.
    return senders - {recipient}


def result_of(address: str, server: str, call: Callable[[Router, Any], None]) -> list[Any]:
    """Outcome, detail and value of one call of a router of its own."""
    result: list[Any] = []
    router = Router(address, server, [], 5000, 0, 1, redact)
    try:
        router.finish_seeding()
        call(router, lambda *answer: result.extend(answer))
        while not result:
            assert select.select([router.completion_fd()], [], [], LONG)[0], "no answer"
            assert router.deliver_completions() == []
    finally:
        router.close()
    return result
