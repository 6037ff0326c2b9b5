"""Forks, and the end of the interpreter, with calls under way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import LONG, Daemon
from policies import allow

FORK = """
import os, sys, threading
from presence_router._native import Router

def ask():
    answered, result = threading.Event(), []
    def done(*answer):
        result.extend(answer)
        answered.set()
    router.get_interested_users("@bob:test", lambda f, *a: f(*a), done)
    assert answered.wait(30), "no answer"
    assert result[0] == "ok", result
    return result[2]

router = Router(sys.argv[1], "test", [], 10000)
if "used before" in sys.argv:
    router.know(["@stored:test"])
    router.seeded()
    assert ask() == {"@stored:test"}
child = os.fork()
if not child:
    router.know(["@child:test"])
    router.seeded()
    assert ask() == ({"@stored:test"} if "used before" in sys.argv else set()) | {"@child:test"}
    router.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
router.know(["@parent:test"])
router.seeded()
assert "@parent:test" in ask() and "@child:test" not in ask()
"""

END = """
import atexit, socket, sys
from presence_router._native import Router

hung = socket.socket(socket.AF_UNIX)
hung.bind(sys.argv[1])
hung.listen(100)
router = Router("unix:" + sys.argv[1], "test", [], 10000)
results = []
for _ in range(200):
    router.get_interested_users("@bob:test", lambda f, *a: f(*a), lambda *a: results.append(a))
if "closed" in sys.argv:
    router.close()
    # None is forgotten. Some see the connection end before their own end.
    assert len(results) == 200, len(results)
    assert {result[0] for result in results} <= {"failed", "unreachable"}, results
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.start()
    daemon.apply([allow("everyone", "@bob:test")])
    yield daemon
    daemon.stop()


def run(script: str, *args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, timeout=LONG
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("when", ["used before", "unused"])
def test_a_forked_process_has_threads_of_its_own(daemon: Daemon, when: str) -> None:
    run(FORK, daemon.address, when)


@pytest.mark.parametrize("how", ["closed", "left"])
def test_the_interpreter_ends_with_calls_under_way(tmp_path: Path, how: str) -> None:
    run(END, str(tmp_path / "hung.sock"), how)
