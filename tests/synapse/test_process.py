"""Forks, and the end of the interpreter, with calls under way."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import presence_router
import pytest
from daemon import LONG, Daemon, until
from homeserver import Homeserver, module
from policies import allow, within
from presence_router.completions import check_reactor

ROUTER = """
from presence_router._native import Router

def make_router(address, deadline_ms):
    return Router(address, "test", [], deadline_ms, 60_000, 64, lambda state, hidden: state)
"""

FORK = """
import os, select, sys, time

def ask():
    result = []
    router.find_interest("@bob:test", False, lambda *answer: result.extend(answer))
    while not result:
        assert select.select([router.completion_fd()], [], [], 30)[0], "no answer"
        router.deliver_completions()
    assert result[0] in ("ok", "memory"), result
    return result[2]

router = make_router(sys.argv[1], 10000)
if "used before" in sys.argv:
    router.add_known_users(["@stored:test"])
    router.finish_seeding()
    assert ask() == {"@stored:test"}


def written():
    # What is written to each eventfd that was there at the fork, by fd. The
    # parent's threads sleep in epoll, which reads none of it.
    counts = {}
    for fd in inherited:
        with open(f"/proc/self/fdinfo/{fd}") as info:
            counts[fd] = [line for line in info if line.startswith("eventfd-count")]
    return counts

time.sleep(0.2)
inherited = [fd for fd in os.listdir("/proc/self/fd")
             if os.path.lexists(f"/proc/self/fd/{fd}")
             and "eventfd" in os.readlink(f"/proc/self/fd/{fd}")]
assert bool(inherited) == ("used before" in sys.argv)
before = written()
child = os.fork()
if not child:
    if "closed" in sys.argv:
        router.close()
        assert written() == before, "woke the parent's threads"
    assert str(router.completion_fd()) not in inherited, "takes the parent's answers"
    router.add_known_users(["@child:test"])
    router.finish_seeding()
    kept = "used before" in sys.argv and "closed" not in sys.argv
    assert ask() == ({"@stored:test"} if kept else set()) | {"@child:test"}
    router.close()
    assert written() == before, "woke the parent's threads"
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
router.add_known_users(["@parent:test"])
router.finish_seeding()
assert "@parent:test" in ask() and "@child:test" not in ask()
"""

END = """
import atexit, socket, sys

hung = socket.socket(socket.AF_UNIX)
hung.bind(sys.argv[1])
hung.listen(100)
router = make_router("unix:" + sys.argv[1], 10000)
results = []
for number in range(200):
    router.find_interest(f"@bob{number}:test", False, lambda *a: results.append(a))
if "closed" in sys.argv:
    router.close()
    # Not in the middle of the interpreter's end: the reactor delivers, if it still runs.
    assert results == []
    for _ in range(3):
        assert router.deliver_completions() == []
    # None is forgotten. Some see the connection end before their own end.
    assert len(results) == 200, len(results)
    assert {result[0] for result in results} <= {"failed", "unreachable"}, results
"""


# Each call fails at once, and all of them in one turn of the reactor or few.
TURNS = """
import select

router = make_router("unix:/nowhere/presence-router.sock", 10000)
results = []

def wait():
    return bool(select.select([router.completion_fd()], [], [], 30)[0])

def answer(number):
    def done(outcome, detail, value):
        results.append(number)
        if number % 100 == 7:
            raise ValueError(number)
    return done

for number in range(250):
    # Not valid Unicode: no thread takes part, so the order is certain.
    router.find_interest("\\ud800", False, answer(number))
for done, raised in ((100, 7), (200, 107), (250, 207)):
    assert wait()
    (why,) = router.deliver_completions()
    assert isinstance(why, ValueError) and why.args == (raised,), why
    assert results == list(range(done)), len(results)
assert not select.select([router.completion_fd()], [], [], 0)[0]

# A question from within an answer.
router.find_interest("\\ud800", False, lambda *_: router.check_daemon(answer(250)))
while results[-1] != 250:
    assert wait()
    assert router.deliver_completions() == []
"""

# A large answer from memory, and behind it a small one.
SLICES = """
import gc, select, sys

router = make_router(sys.argv[1], 30000)
known = {f"@user{n}:test" for n in range(100_000)}
router.add_known_users(list(known))
router.finish_seeding()
results = []

def deliver_all(number):
    turns = 0
    while len(results) < number:
        assert select.select([router.completion_fd()], [], [], 30)[0], "no answer"
        router.deliver_completions()
        turns += 1
    return turns

# The answer of the daemon comes into memory, and no set is built of it.
router.find_interest("@bob:test", True, lambda *answer: results.append(answer))
deliver_all(1)
assert results.pop()[0] == "ok"
assert router.interest_in_memory("@bob:test", False) is None, "larger than one turn"
router.find_interest("@bob:test", False, lambda *answer: results.append(answer))
# Once it is in the queue.
assert select.select([router.completion_fd()], [], [], 30)[0], "no answer"
router.find_interest("\\ud800", False, lambda *answer: results.append(answer))
turns = deliver_all(2)
small, large = results
assert small[0] == "malformed", "had to wait for the large answer"
assert large == ("memory", "", known), len(large[2])
# Slices of 10,000 users; the question above has built the first one.
assert turns == 9, turns
same = router.interest_in_memory("@bob:test", False)
assert same is large[2], "the set is shared"
assert not gc.is_tracked(same), "the garbage collector searches it"
assert gc.is_tracked(set(same))
"""

# A hundred large answers: each lists 20,000 users.
THREADS = """
import os, select, sys

def threads():
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    return sum(name.startswith("presence-router") for name in names)

router = make_router(sys.argv[1], 60000)
router.finish_seeding()
results = []
for number in range(100):
    router.find_interest(f"@user{number}:test", False, lambda *answer: results.append(answer))
most = 0
while len(results) < 100:
    most = max(most, threads())
    assert select.select([router.completion_fd()], [], [], 30)[0], "no answer"
    router.deliver_completions()
assert all(outcome == "ok" and len(senders) == 20_000 for outcome, _, senders in results)
assert 2 <= most <= 3, most
"""

# A reactor as Synapse may have it. Of two calls the first one's `done` raises.
REACTOR = """
import sys
from importlib import import_module
import_module("twisted.internet." + sys.argv[1]).install()
from twisted.internet import reactor
from twisted.python import log
from presence_router.completions import CompletionReader, check_reactor

check_reactor(reactor)
logged, results = [], []
log.startLoggingWithObserver(logged.append, setStdout=False)
router = make_router("unix:/nowhere/presence-router.sock", 10000)

def second(outcome, detail, value):
    results.append(outcome)
    reactor.stop()

def first(outcome, detail, value):
    results.append(outcome)
    router.check_daemon(second)
    raise ValueError("in done")

# Before the reactor runs.
router.check_daemon(first)
reactor.callWhenRunning(lambda: reactor.addReader(CompletionReader(router)))
reactor.callLater(30, reactor.stop)
reactor.run()
assert results == ["unreachable", "unreachable"], results
(error,) = [event for event in logged if event["isError"]]
assert error["failure"].check(ValueError), error
"""

# Where there is neither Synapse nor Twisted.
ALONE = """
import presence_router, presence_router._native
assert presence_router._native.is_server_name("example.org")
try:
    import presence_router.synapse
except ImportError as why:
    assert "runs inside Synapse" in str(why) and "No module named 'synapse'" in str(why), why
    assert "into the Python environment that Synapse itself runs from" in str(why), why
else:
    raise AssertionError("imported")
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
        [sys.executable, "-c", ROUTER + script, *args],
        capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("when", ["used before", "unused", "used before, closed"])
def test_a_forked_process_has_threads_of_its_own(daemon: Daemon, when: str) -> None:
    run(FORK, daemon.address, *when.split(", "))


def test_without_synapse_the_package_says_where_it_belongs(tmp_path: Path) -> None:
    package = Path(presence_router.__file__).parent
    shutil.copytree(package, tmp_path / "presence_router")
    # -S: without what is installed beside it.
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-c", ALONE], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_turn_of_the_reactor_delivers_a_hundred_calls_whatever_they_raise() -> None:
    run(TURNS)


def test_a_large_answer_takes_several_turns_of_the_reactor(daemon: Daemon) -> None:
    run(SLICES, daemon.address)


def test_large_answers_wait_without_a_thread(daemon: Daemon) -> None:
    daemon.apply([within("all")], {"all": [f"@user{n}:test" for n in range(20_000)]})
    run(THREADS, daemon.address)


@pytest.mark.parametrize(
    "name", ["epollreactor", "pollreactor", "selectreactor", "asyncioreactor"]
)
def test_each_reactor_reads_the_finished_calls(name: str) -> None:
    run(REACTOR, name)


def test_a_reactor_without_file_descriptors_is_refused() -> None:
    with pytest.raises(RuntimeError, match="^Twisted's object cannot wait for file descriptors; "):
        check_reactor(object())


@pytest.mark.parametrize("how", ["closed", "left"])
def test_the_interpreter_ends_with_calls_under_way(tmp_path: Path, how: str) -> None:
    run(END, str(tmp_path / "hung.sock"), how)


def test_a_synapse_that_daemonizes_forks_after_it_loaded_the_module(
    daemon: Daemon, tmp_path: Path
) -> None:
    # It changes to the root directory.
    database = {"name": "sqlite3", "args": {"database": str(tmp_path / "homeserver.db")}}
    config = module(daemon.address) | {"database": database, "daemonize": True}
    homeserver = Homeserver(tmp_path, **config)
    homeserver.start(ready=False)
    assert homeserver.code == 0, homeserver.output.read_text()
    # The child writes it, and may not have when its parent ends.
    pid_file = tmp_path / "homeserver.pid"
    until(lambda: pid_file.exists() and pid_file.read_text().strip() != "", "the child runs")
    pid = int(pid_file.read_text())
    try:
        until(lambda: homeserver.answers, "the child answers")
        ann, bob = homeserver.register("ann"), homeserver.register("bob")
        daemon.apply([allow(ann, bob)])
        poll = bob.poll()
        ann.set_presence("online", "from a child")
        assert poll.result()[ann.id]["status_msg"] == "from a child"
        assert homeserver.complaints() == []
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists(), "the child ends")
