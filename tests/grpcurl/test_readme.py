"""Runs the README's grpcurl lines as they stand, and those that the daemon
prints, against a daemon of their own. Of the README's, only the addresses are
others: tests take a free port, and a socket in a directory of their own.

    tests/run grpcurl
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
README_ADDRESS = "127.0.0.1:9470"
README_SOCKET = "/tmp/presence-router.sock"
SERVICE = "presence_router.v1.PresenceRouterService"


def commands():
    """Every command of a fenced block of the README in which grpcurl occurs."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        if "grpcurl" in block:
            lines = re.sub(r"(\\|\|)\n\s*", r"\1 ", block).replace("\\ ", "")
            yield from (line for line in lines.splitlines() if line and line[0] != "#")


def messages(text):
    """The JSON values that stand one after another in a text."""
    decoder, at = json.JSONDecoder(), 0
    while (start := re.compile(r"\s*").match(text, at).end()) < len(text):
        value, at = decoder.raw_decode(text, start)
        yield value


class Daemon:
    """A daemon that serves the example policy."""

    def __init__(self, *arguments, cwd=None):
        self._process = subprocess.Popen(
            [os.environ["PRESENCE_ROUTER_BIN"], *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.hint = ""
        while "Ctrl-C" not in self.hint:
            line = self._process.stdout.readline()
            assert line, "the daemon ended:\n" + self.hint
            self.hint += line

    @property
    def commands(self):
        """The grpcurl commands that it printed, as they stand."""
        return re.findall(r"grpcurl .*\\\n.*", self.hint)

    def stop(self):
        self._process.terminate()
        assert self._process.wait(timeout=30) == 0
        self._process.stdout.close()


class Grpcurl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.socket = f"{cls.folder.name}/socket"
        cls.daemon = Daemon("--listen-tcp", "127.0.0.1:0", "--listen-unix", cls.socket)
        cls.addClassCleanup(cls.daemon.stop)
        cls.address = re.search(r"listening on (127\S+)", cls.daemon.hint).group(1)

    def run_line(self, line):
        line = line.replace(README_ADDRESS, self.address).replace(README_SOCKET, self.socket)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout[-2000:]}{done.stderr}")
        return done.stdout

    def one(self, *words):
        found = [line for line in commands() if all(word in line for word in words)]
        self.assertEqual(len(found), 1, f"the README has one line with {words}")
        return self.run_line(found[0])

    def test_every_line_succeeds(self):
        lines = list(commands())
        self.assertGreaterEqual(len(lines), 5)
        for line in lines:
            if "sample" not in line:
                self.run_line(line)

    def test_list_names_all_services(self):
        self.assertEqual(
            self.one(" list").split(),
            [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "presence_router.v1.PolicyService",
                SERVICE,
                "presence_router.v1.RoomService",
            ],
        )

    def test_describe_shows_calls_with_their_comments(self):
        text = self.one(" describe ")
        for call in ("GetUsersForStates", "GetInterestedUsers", "RouteStates", "WatchChanges"):
            self.assertIn(f"rpc {call} (", text)
        self.assertIn("Answers who must receive each of some presence updates.", text)

    def test_get_users_for_states(self):
        answer = json.loads(self.one("/GetUsersForStates"))
        recipients = {entry["userId"]: entry["stateIndexes"] for entry in answer["recipients"]}
        self.assertEqual(recipients, {"@joe:example.org": [0], "@wallboard:example.org": [0], "@sue:example.org": [0]})
        self.assertTrue(answer["openRecipients"])

    def test_a_refusal_is_readable(self):
        (line,) = [line for line in commands() if "/GetUsersForStates" in line]
        line = line.replace("@ann:example.org", "ann").replace(README_ADDRESS, self.address)
        # As JSON, what a program reads; as text, what a person does.
        done = subprocess.run(
            line.replace("grpcurl", "grpcurl -format-error"),
            shell=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        details = json.loads(done.stderr)["details"]
        info, bad = details
        self.assertEqual((info["reason"], info["domain"]), ("USER_ID_INVALID", "presence-router"))
        (violation,) = bad["fieldViolations"]
        self.assertEqual(violation["field"], "states[0].user_id")
        self.assertIn("does not begin with `@`", violation["description"])
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
        self.assertIn('"reason": "USER_ID_INVALID"', done.stderr)
        self.assertNotIn("not recognized", done.stderr)

    def test_get_interested_users(self):
        answer = json.loads(self.one("/GetInterestedUsers"))
        self.assertEqual(answer["userIds"], ["@ann:example.org"])

    def test_ten_thousand_batches_are_answered_in_order(self):
        told = list(messages(self.one("sample", "/RouteStates")))
        self.assertIn("opened", told[0])
        defined = set()
        batches = []
        for message in told[1:]:
            if part := message.get("setPart"):
                if part.get("last"):
                    defined.add(part["id"])
            elif answer := message.get("deliveries"):
                batches.append(int(answer["batchId"]))
                routed = [i for entry in answer["deliveries"] for i in entry["stateIndexes"]]
                self.assertEqual(len(routed), len(set(routed)))
                self.assertLessEqual({entry["recipientsSetId"] for entry in answer["deliveries"]}, defined)
                # The wallboard sees all but itself, and with it half a batch
                # at least is routed to somebody.
                self.assertGreater(len(routed), 5)
            else:
                self.assertIn("heartbeat", message)
        self.assertEqual(batches, list(range(1, 10_001)))


class Printed(unittest.TestCase):
    """Commands that the daemon prints work in a shell, whatever its address is."""

    def check(self, *arguments, cwd=None):
        daemon = Daemon(*arguments, cwd=cwd)
        self.addCleanup(daemon.stop)
        self.assertEqual(len(daemon.commands), 2, daemon.hint)
        for command in daemon.commands:
            # Somewhere else than the daemon: its relative paths would lead nowhere.
            done = subprocess.run(
                ["sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=60
            )
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
            self.assertIn("revision", json.loads(done.stdout))

    def test_of_a_port(self):
        self.check("--listen-tcp", "127.0.0.1:0")

    def test_of_a_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check("--listen-unix", f"{folder}/socket")

    def test_of_a_relative_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check("--listen-unix", "socket", cwd=folder)

    def test_of_sockets_with_odd_names(self):
        for name in ("a b", "it's", 'a"b', "$HOME", "`id`", "50%", "%41", "what?", "#1", "[a]", "a;b&c", "*", "~", "é", "a\nb"):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                self.check("--listen-unix", f"{folder}/{name}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
