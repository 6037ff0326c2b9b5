"""Pastes the README's five minutes into a shell, runs each of its grpcurl lines alone,
and runs the lines that the daemon prints, against daemons of the test's own.

    tests/run grpcurl
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = pathlib.Path(os.environ["PRESENCE_ROUTER_BIN"]).absolute()
# So that the README's `presence-router` is the program under test.
PATH = f"{BINARY.parent}:{os.environ['PATH']}"
SERVICE = "presence_router.v1.PresenceRouterService"
CONTRACT = (ROOT / "proto/presence_router/v1/presence_router.proto").read_text()


def story():
    """The fenced shell blocks of the README's five minutes."""
    text = (ROOT / "README.md").read_text()
    (section,) = re.findall(r"^## Five minutes\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def policy():
    """The policy that the README writes."""
    (text,) = re.findall(r"^cat > policy.yaml <<'EOF'\n(.*?)^EOF\n", "".join(story()), re.MULTILINE | re.DOTALL)
    return text


def commands():
    """Every command of the README in which grpcurl occurs, without `| tail`."""
    for block in story():
        if "grpcurl" in block:
            lines = re.sub(r"(\\|\|)\n\s*", r"\1 ", block).replace("\\ ", "")
            yield from (line.split(" | tail ")[0] for line in lines.splitlines() if "grpcurl" in line)


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
            [BINARY, *arguments],
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


class Story(unittest.TestCase):
    """The five minutes, pasted from top to bottom: nothing fails, and it ends its daemon."""

    def paste(self, script):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        environment = {**os.environ, "PATH": PATH, "TMPDIR": folder.name}
        environment.pop("PRESENCE_ROUTER_ADDR", None)
        with open(f"{folder.name}/output", "w+") as output:
            shell = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, timeout=300,
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        self.assertEqual(shell.returncode, 0, text[-4000:])
        return text

    def test_it_can_be_pasted(self):
        script = "".join(story())
        # The test runs the program that its caller has built, not always for release.
        build = 'cargo build --release\nexport PATH="$PWD/target/release:$PATH"\n'
        self.assertEqual(script.count(build), 1)
        text = self.paste(script.replace(build, "") + "wait $!\n")
        for line in (
            "policy.yaml: valid: 5 rules, 3 groups, 4 users listed on 1 server: example.org (4)",
            "@ann:example.org is visible to @joe:example.org: allowed by rule `teams see each other`",
            "@ann:example.org is visible to @pat:eu.partner.example: allowed by rule `partners see the helpdesk`",
            "hidden by rule `partners see no status text`",
            "@cleo:example.org is not visible to @wallboard:example.org: denied by rule `the board stays private`",
            '"batchId": "10000"',
            "sender @ann:example.org, recipient @sam:example.org",
            "@ann:example.org is visible to @sam:example.org: allowed by rule `teams see each other`",
            "verified: ",
            "digraph presence {",
        ):
            self.assertIn(line, text)
        # A newcomer's terminal is not flooded by the stream.
        self.assertLess(len(text.splitlines()), 400)

    def test_every_command_of_the_page_is_pasted_or_known(self):
        page = (ROOT / "README.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        elsewhere = [block for block in blocks if block not in story()]
        first, module = elsewhere
        self.assertIn("cargo run --release", first)
        self.assertEqual(module, "pip install ./client/python\n")


class Grpcurl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        pathlib.Path(cls.folder.name, "policy.yaml").write_text(policy())
        cls.daemon = subprocess.Popen(
            [BINARY, "serve", "--policy", "policy.yaml", "--listen-unix", "router.sock"],
            cwd=cls.folder.name,
            stderr=subprocess.DEVNULL,
        )
        cls.addClassCleanup(cls.stop)
        socket = pathlib.Path(cls.folder.name, "router.sock")
        while not socket.is_socket():
            assert cls.daemon.poll() is None, "the daemon ended"
            time.sleep(0.05)
        cls.environment = {**os.environ, "PATH": PATH, "ROUTER": f"unix://{socket}"}

    @classmethod
    def stop(cls):
        cls.daemon.terminate()
        assert cls.daemon.wait(timeout=30) == 0

    def run_line(self, line):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
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
            # The first line of its comment in the contract, whatever that says.
            (comment,) = re.findall(rf"^  (// .*)\n(?:  //.*\n)*  rpc {call}\(", CONTRACT, re.MULTILINE)
            self.assertIn(comment, text)

    def test_get_users_for_states(self):
        answer = json.loads(self.one("/GetUsersForStates"))
        recipients = {entry["userId"]: entry["stateIndexes"] for entry in answer["recipients"]}
        self.assertEqual(recipients, {"@joe:example.org": [0], "@wallboard:example.org": [0]})
        self.assertTrue(answer["openRecipients"])

    def test_a_refusal_is_readable(self):
        (line,) = [line for line in commands() if "/GetUsersForStates" in line]
        line = line.replace("@ann:example.org", "ann")
        # As JSON, what a program reads; as text, what a person does.
        done = subprocess.run(
            line.replace("grpcurl", "grpcurl -format-error"),
            shell=True, env=self.environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        details = json.loads(done.stderr)["details"]
        info, bad = details
        self.assertEqual((info["reason"], info["domain"]), ("USER_ID_INVALID", "presence-router"))
        (violation,) = bad["fieldViolations"]
        self.assertEqual(violation["field"], "states[0].user_id")
        self.assertIn("the first character is not `@`", violation["description"])
        done = subprocess.run(
            line, shell=True, env=self.environment, capture_output=True, text=True, timeout=60
        )
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
