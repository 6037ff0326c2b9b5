"""Runs the README's grpcurl lines as they stand, and those that the daemon
prints, against a daemon of their own. Only the address is another one: tests
take a free port.

    tests/run grpcurl
"""

import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).parents[2]
README_ADDRESS = "127.0.0.1:9470"
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


class Grpcurl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = subprocess.Popen(
            [os.environ["PRESENCE_ROUTER_BIN"], "--listen-tcp", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        cls.hint = ""
        while "Ctrl-C" not in cls.hint:
            line = cls.daemon.stdout.readline()
            assert line, "the daemon ended:\n" + cls.hint
            cls.hint += line
        cls.address = re.search(r"listening on (\S+)", cls.hint).group(1)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        assert cls.daemon.wait(timeout=30) == 0
        cls.daemon.stdout.close()

    def run_line(self, line):
        line = line.replace(README_ADDRESS, self.address)
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

    def test_get_interested_users(self):
        answer = json.loads(self.one("/GetInterestedUsers"))
        self.assertEqual(answer["userIds"], ["@ann:example.org"])

    def test_the_hint_works(self):
        lines = re.findall(r"grpcurl .*\\\n.*", self.hint)
        self.assertEqual(len(lines), 2)
        for line in lines:
            answer = json.loads(self.run_line(line))
            self.assertIn("revision", answer)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
