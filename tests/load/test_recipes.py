"""Runs the commands of server/docs/integration.md as they stand, against a daemon
of their own, and checks that everything was answered. Only the address is
another one, and the counts are smaller.

    tests/run load
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "server/docs/integration.md"
BINARY = pathlib.Path(os.environ["PRESENCE_ROUTER_BIN"])
ADDRESS = "127.0.0.1:9470"

# What stands on the page, and what is run: enough to keep a daemon busy, bounded.
UNARY = ("-c 8 -n 20000", "-c 8 -n 400")
STREAMS = ("-c 4 -n 100", "-c 4 -n 12")
BATCHES = ("--batches 1000 --size 10", "--batches 200 --size 10")


def commands():
    """The commands of every `sh` block of the page."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from re.sub(r"(\\|\|)\n\s*", r"\1 ", block).replace("\\ ", "").splitlines()


class Recipes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.daemon = subprocess.Popen(
            [BINARY, "serve", "--listen-tcp", "127.0.0.1:0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        self.log = []
        for line in self.daemon.stderr:
            self.log.append(line)
            if found := re.search(r'serving address="?(127\.0\.0\.1:\d+)', line):
                self.address = found.group(1)
                break
        self.assertTrue(hasattr(self, "address"), self.log)
        self.reader = threading.Thread(target=lambda: self.log.extend(self.daemon.stderr))
        self.reader.start()
        self.addCleanup(self.stop)

    def stop(self):
        """Ends the daemon, and returns its log."""
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(timeout=30), 0)
        self.reader.join(timeout=30)
        self.daemon.stderr.close()
        return "".join(self.log)

    def run_line(self, *words, json_output=False):
        """Runs the one command of the page that has all these words."""
        found = [line for line in commands() if all(word in line for word in words)]
        self.assertEqual(len(found), 1, f"the page has one command with {words}")
        line = found[0].replace(ADDRESS, self.address)
        for long, short in (UNARY, STREAMS, BATCHES):
            line = line.replace(long, short)
        if json_output:
            line += " -O json"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder.name,
            env={**os.environ, "PATH": f"{BINARY.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout[-2000:]}{done.stderr}")
        return done.stdout

    def ghz(self, call, count):
        report = json.loads(self.run_line("ghz ", f".{call} ", json_output=True))
        self.assertEqual(report["count"], count)
        self.assertEqual(report["statusCodeDistribution"], {"OK": count})
        self.assertFalse(report.get("errorDistribution"))

    def test_the_page_has_these_commands_and_no_others(self):
        # The polyglot section installs the generators of Go by its own lines.
        run_here = [line for line in commands() if line and not line.startswith("go install ")]
        self.assertEqual(len(run_here), 6, run_here)

    def test_unary_calls(self):
        self.ghz("GetUsersForStates", 400)
        self.ghz("GetInterestedUsers", 400)

    def test_streams(self):
        self.run_line("batches.json", "sample")
        self.ghz("RouteStates", 12)
        ended = re.findall(r"stream ended.* batches=(\d+) states=(\d+) .*requests_refused=0", self.stop())
        self.assertEqual(ended, [("200", "2000")] * 12)

    def test_batches_from_standard_input(self):
        answered = re.findall(r'"batchId": "(\d+)"', self.run_line("grpcurl", "sample"))
        self.assertEqual([int(batch) for batch in answered], list(range(1, 201)))

    def test_conformance(self):
        table = self.run_line("conformance")
        self.assertRegex(table, r"\n\d+ passed, 0 failed\n$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
